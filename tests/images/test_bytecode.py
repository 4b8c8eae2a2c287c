"""Compiled forms against their sources, by this Python; the build does it by the appliance's."""

from __future__ import annotations

import importlib.util
import marshal
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from undercroft_images import bytecode
from undercroft_images.bytecode import fault

_SOURCE = b"def sign(amount: int) -> bool:\n    return amount < 100 and (lambda: amount != -0.0)()\n"
_NAME = "/lib/policy.py"


def compiled(source: bytes, folder: Path, name: str = _NAME) -> bytes:
    """As the build makes it."""
    path = folder / "policy.py"
    path.write_bytes(source)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    made = py_compile.compile(str(path), str(folder / "policy.pyc"), name, doraise=True, invalidation_mode=mode)
    assert made is not None
    return Path(made).read_bytes()


def test_the_compiled_form_of_a_source_passes(tmp_path: Path) -> None:
    assert fault(_SOURCE, compiled(_SOURCE, tmp_path), _NAME) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"100", b"999"),
        (b"<", b">"),
        (b"amount !=", b"amount =="),
        (b"-0.0", b"0.0"),
        (b"sign", b"sing"),
        (b"    ", b" "),
    ],
)
def test_attack_a_source_that_looks_honest_beside_code_that_is_not(tmp_path: Path, old: bytes, new: bytes) -> None:
    # With the head of the honest one: the interpreter takes it without a look at the source.
    evil = compiled(_SOURCE, tmp_path)[:16] + compiled(_SOURCE.replace(old, new), tmp_path)[16:]
    assert fault(_SOURCE, evil, _NAME) == "is not what its source says"


def test_attack_code_under_the_name_of_another_file(tmp_path: Path) -> None:
    assert fault(_SOURCE, compiled(_SOURCE, tmp_path, "/lib/other.py"), _NAME) == "is not what its source says"


def test_mishap_a_stale_or_a_damaged_form_is_told(tmp_path: Path) -> None:
    good = compiled(_SOURCE, tmp_path)
    assert fault(_SOURCE + b"\n", good, _NAME) == "is of another source, or of another Python"
    for head in (good[:4] + b"\x03" + good[5:], good[:4] + bytes(12) + good[16:], b"\0" + good[1:], b""):
        assert fault(_SOURCE, head, _NAME) == "is of another source, or of another Python"
    assert fault(_SOURCE, good[:-10], _NAME) == "is damaged"
    assert fault(_SOURCE, good + b"\0", _NAME) == "has something behind it"
    assert fault(_SOURCE, good[:16] + marshal.dumps("text"), _NAME) == "is not what its source says"


def test_as_a_program_it_names_the_module_whose_form_is_another(tmp_path: Path) -> None:
    def run(folder: Path) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-I", "-S", bytecode.__file__, str(folder), "/lib"]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    inside = tmp_path / "lib"
    (inside / "__pycache__").mkdir(parents=True)
    (inside / "policy.py").write_bytes(_SOURCE)
    place = Path(importlib.util.cache_from_source(str(inside / "policy.py")))
    place.write_bytes(compiled(_SOURCE, tmp_path))
    assert run(inside).returncode == 0
    place.write_bytes(compiled(b"pass\n", tmp_path))
    assert "/lib/policy.py is of another source" in run(inside).stderr
    # Mishap: a look into the wrong folder finds nothing wrong.
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty").returncode == 1
