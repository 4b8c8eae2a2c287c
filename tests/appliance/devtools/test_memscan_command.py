"""`undercroft-appliance memscan`: what it finds in which process, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.devtools.memscan_support import KEY, Holder, holding, needs_root
from system.known_owner import KnownOwner
from undercroft_appliance.main import main


@pytest.fixture
def holder() -> Iterator[Holder]:
    with holding() as running:
        running.hold({64: KEY})
        yield running


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    path = tmp_path / "secrets"
    lines = ({"name": "a key", "hex": KEY.hex()}, {"name": "a passphrase", "text": "nobody holds this one"})
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return path


def code_of(*arguments: object) -> object:
    with pytest.raises(SystemExit) as ended:
        main(["memscan", *(str(argument) for argument in arguments)])
    return ended.value.code


@needs_root
def test_a_secret_in_a_process_is_named_with_its_form_and_place(
    holder: Holder, secrets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("--secrets", secrets, holder.pid) == 1
    shown = capsys.readouterr().out
    assert f"1 x a key, raw: process {holder.pid}" in shown
    assert "a passphrase" not in shown
    assert "[vsyscall]" in shown or "[vvar]" in shown
    assert KEY.hex() not in shown


@needs_root
def test_a_process_without_the_secrets_gives_0(holder: Holder, secrets: Path) -> None:
    holder.hold({})
    assert code_of("--secrets", secrets, holder.pid) == 0


@needs_root
def test_children_are_scanned_when_asked_for(secrets: Path) -> None:
    script = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', "
        f"\"key = bytes.fromhex('{KEY.hex()}'); print('ready', flush=True); import sys; sys.stdin.read()\"])\n"
        "child.wait()\n"
    )
    # The text of the script is in the parent's memory too, so the parent itself is asked for what only its child has.
    only_raw = secrets.with_name("raw")
    only_raw.write_text(json.dumps({"name": "reversed key", "hex": KEY[::-1].hex()}) + "\n")
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"ready\n"
            assert code_of("--secrets", only_raw, parent.pid) == 0
            assert code_of("--secrets", only_raw, "--children", parent.pid) == 1
        finally:
            assert parent.stdin is not None
            parent.stdin.close()


@needs_root
def test_all_that_is_behind_an_envelope_is_looked_for(
    holder: Holder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = KnownOwner("ada", "here", "europe", "a passphrase of this test", 0xA7)
    line = {"envelope": owner.draft().to_bytes().hex(), "passphrase": owner.passphrase, "network": "regtest"}
    path = tmp_path / "envelope"
    path.write_text(json.dumps(line))
    branch = owner.account.derive([1])
    holder.hold({100: branch.key.secret, 500: branch.to_base58().encode()})
    assert code_of("--secrets", path, holder.pid) == 1
    shown = capsys.readouterr().out
    assert "branch 1, raw" in shown
    assert "branch 1, base58 (xprv)" in shown


def test_the_naive_signer_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("--naive") == 0
    assert "found at every stage" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [
        '{"name": "x", "hex": "zz"}',
        '{"name": "x"}',
        '{"name": "x", "hex": "00"}',
        '{"name": 1, "hex": 2}',
        '{"envelope": "00", "passphrase": "x", "network": "regtest"}',
        "[]",
        "secret words",
        "",
    ],
)
def test_a_file_that_is_no_list_of_secrets_is_refused_without_showing_it(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "secrets"
    path.write_text(line)
    assert code_of("--secrets", path, os.getppid()) == 2
    shown = capsys.readouterr()
    assert "secret words" not in shown.err + shown.out


@pytest.mark.parametrize("arguments", [(), ("1",), ("--naive", "1"), ("--secrets", "nowhere", "1")])
def test_wrong_usage_says_what_is_missing(arguments: tuple[str, ...]) -> None:
    assert code_of(*arguments) == 2


def test_a_process_that_is_gone_is_told(secrets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert code_of("--secrets", secrets, gone.pid) == 2
    assert f"process {gone.pid} cannot be looked into" in capsys.readouterr().err


def test_the_scanner_does_not_look_into_itself(secrets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("--secrets", secrets, os.getpid()) == 2
    assert "into itself" in capsys.readouterr().err


WITHOUT_CAPABILITIES = """\
import ctypes, struct, sys
ctypes.CDLL(None).capset(struct.pack("=Ii", 0x20080522, 0), bytes(24))
from undercroft_appliance.main import main
main(["memscan", "--secrets", *sys.argv[1:]])
"""
"""As anybody but root: all capabilities are given up."""


@needs_root
def test_who_may_not_look_into_a_process_is_told_what_is_missing(holder: Holder, secrets: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CAPABILITIES, str(secrets), str(holder.pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "it takes root (CAP_SYS_PTRACE)" in done.stderr
