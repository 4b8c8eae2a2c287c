"""The command line as a whole: what an image has, and what only a developer's machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import undercroft_appliance
from appliance.commands.commands_support import run
from undercroft_appliance.commands import version as commands_version
from undercroft_appliance.firmware import hash_of
from undercroft_appliance.main import COMMANDS, DEVELOPMENT, main

HOME = Path(undercroft_appliance.__file__).parent


def image(tmp_path: Path) -> Path:
    """The package as an image has it."""
    shutil.copytree(HOME, tmp_path / HOME.name, ignore=shutil.ignore_patterns("devtools", "__pycache__"))
    return tmp_path


def run_image(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "undercroft_appliance.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(folder)},
        cwd=folder,
    )


def test_every_command_is_listed_and_has_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    names = [name.replace("_", "-") for name in (*COMMANDS, *DEVELOPMENT)]
    for name in ("", *names):
        with pytest.raises(SystemExit) as left:
            main([*([name] if name else []), "--help"])
        assert left.value.code == 0
        shown = capsys.readouterr().out.split()
        assert shown[1] == "undercroft-appliance"
        assert set(names) <= set(shown) if not name else shown[2] == name


def test_attack_an_image_has_no_way_to_sign_with_a_key_that_is_bound_to_no_quorum(tmp_path: Path) -> None:
    folder = image(tmp_path)
    shown = run_image(folder, "--help").stdout
    assert "check" in shown
    for name in DEVELOPMENT:
        assert name.replace("_", "-") not in shown
        done = run_image(folder, name.replace("_", "-"))
        assert done.returncode == 2
        assert "error [usage]" in done.stderr


def test_development_tools_are_no_part_of_the_firmware(tmp_path: Path) -> None:
    assert hash_of(HOME) == hash_of(image(tmp_path) / HOME.name)
    version = run("version").out
    assert version == run_image(tmp_path, "version").stdout.encode()


@pytest.mark.parametrize("out", ["full", "closed"])
def test_an_answer_that_cannot_be_written_is_a_failure_in_one_line(out: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with Path("/dev/full").open("wb") as full, os.fdopen(writing, "wb") as closed:
        command = [sys.executable, "-m", "undercroft_appliance.main", "version"]
        target = full if out == "full" else closed
        done = subprocess.run(command, stdout=target, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert done.stderr.startswith("undercroft-appliance: error [system]: ")


def test_ctrl_c_ends_a_command_without_a_trace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands_version, "run", interrupted)
    with pytest.raises(SystemExit) as left:
        main(["version"])
    assert (left.value.code, capsys.readouterr().err) == (130, "undercroft-appliance: interrupted\n")
