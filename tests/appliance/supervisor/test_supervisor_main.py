"""The command line: clear errors with a code, and nothing is started."""

from __future__ import annotations

import hashlib
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from undercroft_appliance import supervisor
from undercroft_appliance.errors import ConfigurationError
from undercroft_appliance.firmware import firmware_hash, hash_of
from undercroft_appliance.main import main
from undercroft_appliance.sandbox.process import READ_ANY_FILE


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "undercroft_appliance.main", *arguments], capture_output=True, text=True, check=False
    )


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return left.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("run",),
        ("run", "--line"),
        ("run", "--line", "/dev/null", "--network", "litecoin"),
        ("run", "--line", "/dev/null", "--kdf", "weak"),
        ("run", "--line", "/dev/null", "--baudrate", "fast"),
        ("run", "--line", "/dev/null", "--passphrase", "x"),
        ("run", "--camera", "/dev/video0"),
        # Whole names only: what is short for one option today may be another's tomorrow.
        ("run", "--lin", "/dev/null"),
        ("run", "--line", "/dev/null", "--codes", "/dev/tty9"),
        ("version", "--now"),
    ],
)
def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    code, message = refused(capsys, *arguments)
    assert code == 2
    assert "error [usage]: " in message


def test_attack_weak_envelopes_are_refused_on_mainnet(capsys: pytest.CaptureFixture[str], tty: str) -> None:
    for network in ((), ("--network", "mainnet")):
        code, message = refused(capsys, "run", "--line", tty, "--terminal", tty, "--kdf", "demo", *network)
        assert code == 2
        assert "error [configuration]: " in message
        assert "demo key strength is refused on mainnet" in message


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("socket://127.0.0.1:1", "device-path"),
        ("rfc2217://127.0.0.1:1", "device-path"),
        ("spy:///dev/ttyS0", "device-path"),
        ("loop://", "device-path"),
        ("alt:///dev/ttyS0?class=Serial", "device-path"),
        ("hwgrep://.*", "device-path"),
        ("cp2110://0", "device-path"),
        ("ttyS0", "device-path"),
        ("/etc/passwd", "device-path"),
        ("/nowhere/tty", "link"),
    ],
)
def test_attack_a_line_is_a_serial_device_and_never_a_network(
    capsys: pytest.CaptureFixture[str], tty: str, line: str, error: str
) -> None:
    code, message = refused(capsys, "run", "--line", line, "--terminal", tty)
    assert code == 1
    assert f"error [{error}]: " in message


@pytest.mark.parametrize(
    "url", ["socket://127.0.0.1:{port}", "rfc2217://127.0.0.1:{port}", "spy:///dev/tty", "loop://"]
)
def test_attack_a_url_in_the_place_of_a_line_is_never_connected_to(tty: str, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        done = run("run", "--line", url.format(port=server.getsockname()[1]), "--terminal", tty)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert done.returncode == 1
    assert "error [device-path]: " in done.stderr


@pytest.mark.parametrize("camera", ["rtsp://127.0.0.1/1", "video:/dev/video0", "0", "http://host/y4m:", "y4m"])
def test_attack_a_camera_is_a_device_or_a_stream_on_this_machine(
    capsys: pytest.CaptureFixture[str], tty: str, camera: str
) -> None:
    code, message = refused(capsys, "run", "--camera", camera, "--codes", tty, "--terminal", tty)
    assert code == 2
    assert "error [configuration]: " in message
    assert "a camera is" in message


def test_attack_codes_are_never_drawn_over_the_owners_questions(
    capsys: pytest.CaptureFixture[str], tty: str, tmp_path: Path
) -> None:
    (tmp_path / "codes").symlink_to(tty)
    for path in (tty, str(tmp_path / "codes")):
        for carriers in (("--camera", "/dev/video0", "--codes", path), ("--line", path)):
            code, message = refused(capsys, "run", *carriers, "--terminal", tty)
            assert code == 2
            assert "terminals of their own" in message


@pytest.mark.parametrize("codes", ["/nowhere", "/dev/null"])
def test_a_terminal_for_codes_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], tty: str, codes: str) -> None:
    code, message = refused(capsys, "run", "--camera", "/dev/video0", "--codes", codes, "--terminal", tty)
    assert code == 2
    assert codes in message


@pytest.mark.parametrize("camera", ["/dev/nothing", "y4m:/nowhere", "y4m:relative"])
def test_a_camera_that_is_not_there_is_told_before_anything_is_started(
    capsys: pytest.CaptureFixture[str], tty: str, camera: str
) -> None:
    master, codes = pty.openpty()
    code, message = refused(capsys, "run", "--camera", camera, "--codes", os.ttyname(codes), "--terminal", tty)
    os.close(master)
    os.close(codes)
    assert code == 1
    assert "error [camera]: " in message


class Hangs:
    """A process in a driver that never comes back: no signal ends it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def poll(self) -> None:
        return None

    def terminate(self) -> None:
        self.asked.append("end")

    def kill(self) -> None:
        self.asked.append("kill")

    def wait(self, timeout: float | None = None) -> int:
        assert timeout is not None, "this is for ever"
        raise subprocess.TimeoutExpired("hangs", timeout)


def test_attack_a_process_that_cannot_be_killed_keeps_no_other_alive() -> None:
    processes = supervisor._Processes.__new__(supervisor._Processes)
    hanging = {"panel": Hangs(), "keeper": Hangs(), "port": Hangs()}
    processes._running = cast("dict[str, subprocess.Popen[bytes]]", hanging)
    processes.end()
    assert [one.asked for one in hanging.values()] == [["end", "kill"]] * 3


def test_a_speed_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], tty: str) -> None:
    code, message = refused(capsys, "run", "--line", tty, "--terminal", tty, "--baudrate", "0")
    assert code == 2
    assert "error [configuration]: " in message


@pytest.mark.parametrize("lacking", ["swap_warnings", "this_machine"])
def test_attack_a_machine_that_cannot_keep_keys_starts_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tty: str, lacking: str
) -> None:
    def fails(*_: object) -> None:
        raise ConfigurationError("this machine swaps to /dev/zram0")

    monkeypatch.setattr(supervisor, lacking, fails)
    code, message = refused(capsys, "run", "--line", tty, "--terminal", tty)
    assert code == 2
    assert "error [configuration]: " in message
    assert "swaps to /dev/zram0" in message


@pytest.mark.parametrize("terminal", ["/nowhere", "/dev/null"])
def test_a_terminal_that_is_none_is_refused(terminal: str) -> None:
    master, line = pty.openpty()
    done = run("run", "--line", os.ttyname(line), "--terminal", terminal)
    os.close(master)
    os.close(line)
    assert done.returncode == 2
    assert "error [configuration]: " in done.stderr
    assert terminal in done.stderr


def test_version_tells_the_firmware_hash() -> None:
    done = run("version")
    assert done.returncode == 0
    assert f"firmware hash {firmware_hash().hex()}\n" in done.stdout


def test_the_firmware_hash_covers_every_program_its_name_and_nothing_else(tmp_path: Path) -> None:
    package = tmp_path / "program"
    (package / "part").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "part" / "one.py").write_text("one = 1\n")
    before = hash_of(package)
    # [["program/__init__.py", SHA-256 of nothing], ["program/part/one.py", SHA-256 of its 8 bytes]] in CBOR
    listed = (
        b"\x82"
        + b"\x82\x73program/__init__.py\x58\x20" + hashlib.sha256(b"").digest()
        + b"\x82\x73program/part/one.py\x58\x20" + hashlib.sha256(b"one = 1\n").digest()
    )  # fmt: skip
    assert before == hashlib.sha256(listed).digest()
    (package / "notes.txt").write_text("not a program")
    assert hash_of(package) == before
    (package / "part" / "one.py").write_text("one = 2\n")
    changed = hash_of(package)
    (package / "part" / "one.py").rename(package / "part" / "two.py")
    assert len({before, changed, hash_of(package)}) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has programs that nobody else can read")
def test_only_programs_that_are_roots_alone_are_loaded_with_a_capability(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program"
    program.write_text("")
    for executable, kept in (("/bin/true", {None}), (str(program), set(READ_ANY_FILE)), (str(tmp_path / "no"), {None})):
        monkeypatch.setattr(supervisor, "sys", SimpleNamespace(modules={}, executable=executable))
        assert supervisor._to_read_programs() in kept
