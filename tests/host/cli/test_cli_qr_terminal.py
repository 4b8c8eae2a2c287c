"""``undercroft qr`` on a terminal: codes there can be read, and it is left as it was."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import random
import select
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from films import film, read_back
from psbt_examples import unsigned_psbt
from undercroft_demo.terminal_picture import TerminalPicture
from undercroft_protocol.qr.camera.y4m_stream import frame, header
from undercroft_protocol.qr.picture import Picture
from undercroft_protocol.qr.stream import Format, Kind, Payload

PSBT = unsigned_psbt(0).serialize()
MESSAGE = random.Random(1).randbytes(2000)


def on_terminal(arguments: Sequence[str], columns: int = 160, rows: int = 60) -> tuple[subprocess.Popen[bytes], int]:
    """Run a command whose stdin, stdout and stderr are one pseudo-terminal of its own session; the terminal's end."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (rows, columns))
    # Who runs the tests in the background of a shell runs them deaf to Ctrl-C.
    script = (
        "import fcntl, signal, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom undercroft_host.cli.main import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "UNDERCROFT_HOME": "/nonexistent"},
    )
    os.close(theirs)
    return process, ours


def read_until(fd: int, done: bytes | None, seconds: float = 30) -> bytes:
    """What the terminal gets, until that is in it or its program has ended."""
    data, until = b"", time.monotonic() + seconds
    while time.monotonic() < until and (done is None or done not in data):
        if select.select([fd], [], [], 0.2)[0]:
            try:
                data += os.read(fd, 65536)
            except OSError:
                return data
    return data


def test_codes_on_a_terminal_are_readable_and_ctrl_c_leaves_it_clear(tmp_path: Path) -> None:
    file = tmp_path / "a.psbt"
    file.write_bytes(PSBT)
    process, fd = on_terminal(["qr", "show", str(file), "--version", "10", "--rate", "20"])
    seen = b""
    terminal, pictures = TerminalPicture(160, 60), []
    until = time.monotonic() + 30
    payload = None
    while payload is None and time.monotonic() < until:
        # A picture is one write that begins with home; between two of them the terminal shows a whole one.
        seen += read_until(fd, b"\x1b[H", 1)
        *whole, seen = seen.split(b"\x1b[H")
        for one in whole:
            terminal.feed(b"\x1b[H" + one if one else b"")
            pictures.append(terminal.picture())
        try:
            payload = read_back([Picture(p.width * 2, p.height * 2, doubled(p)) for p in pictures])
        except AssertionError:
            continue
    assert payload == Payload(Format.UR, Kind.PSBT, PSBT)
    os.write(fd, b"\x03")
    rest = read_until(fd, None, 20)
    assert process.wait(20) == 130
    after = rest[rest.rindex(b"\x1b[2J") :]
    assert b"\x1b[?25h" in after
    assert "▀".encode() not in after
    assert b"interrupted" in after


def doubled(picture: Picture) -> bytes:
    """Twice as large: one pixel a module is too little for any reader."""
    rows = (picture.grey[at : at + picture.width] for at in range(0, len(picture.grey), picture.width))
    return b"".join(bytes(value for value in row for _ in range(2)) * 2 for row in rows)


def test_a_terminal_that_is_too_small_is_told_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "a.psbt"
    file.write_bytes(PSBT)
    process, fd = on_terminal(["qr", "show", str(file), "--version", "20", "--json"], columns=80, rows=24)
    said = read_until(fd, None)
    assert process.wait(20) == 7
    error = json.loads(said[said.index(b'{"error"') :])["error"]
    assert "rows are missing" in error["message"]
    assert "--version" in error["hint"]


def test_a_wallet_whose_codes_do_not_fit_is_not_offered_a_version(tmp_path: Path) -> None:
    file = tmp_path / "a.psbt"
    file.write_bytes(PSBT)
    process, fd = on_terminal(["qr", "show", str(file), "--wallet", "keystone", "--json"], columns=60, rows=24)
    said = read_until(fd, None)
    assert process.wait(20) == 7
    error = json.loads(said[said.index(b'{"error"') :])["error"]
    assert "rows are missing" in error["message"]
    assert "--version" not in error["hint"]
    assert "--gif" in error["hint"]


def test_attack_bytes_are_never_written_to_a_terminal(tmp_path: Path) -> None:
    camera = film(tmp_path / "film", Payload(Format.FAST, Kind.MESSAGE, b"\x1b]0;owned\x07" + MESSAGE))
    process, fd = on_terminal(["qr", "scan", "--camera", camera])
    said = read_until(fd, None)
    assert process.wait(20) == 2
    assert b"owned" not in said
    assert b"--base64" in said


@pytest.mark.parametrize(
    ("text", "code"), [(b"\x1b]0;owned\x07", 1), ("\u009b31mowned".encode(), 1), (b"a\r\n\tb\n", 0)]
)
def test_attack_a_text_with_commands_to_the_terminal_is_not_written_to_one(
    tmp_path: Path, text: bytes, code: int
) -> None:
    camera = film(tmp_path / "film", Payload(Format.BBQR, Kind.TEXT, text))
    process, fd = on_terminal(["qr", "scan", "--camera", camera, "--kind", "text"])
    said = read_until(fd, None)
    assert process.wait(20) == code
    assert b"owned" not in said
    assert (b"--out" in said) is bool(code)


def test_ctrl_c_while_scanning_ends_at_once_with_a_whole_line(tmp_path: Path) -> None:
    fifo = tmp_path / "camera"
    os.mkfifo(fifo)
    process, fd = on_terminal(["qr", "scan", "--camera", f"y4m:{fifo}", "--base64"])
    with fifo.open("wb", buffering=0) as camera:
        camera.write(header(320, 240, 30) + frame(Picture(320, 240, bytes(320 * 240))) * 2)
        said = read_until(fd, b"pictures")
        os.write(fd, b"\x03")
        said += read_until(fd, None, 20)
    assert process.wait(20) == 130
    assert said.rstrip().splitlines()[-1].endswith(b"interrupted")
    assert b"\r\x1b[K" in said


def test_a_terminal_is_left_clear_also_when_the_program_is_told_to_end(tmp_path: Path) -> None:
    file = tmp_path / "a.psbt"
    file.write_bytes(PSBT)
    process, fd = on_terminal(["qr", "show", str(file), "--version", "10"])
    assert "▀".encode() in read_until(fd, "▀".encode())
    process.terminate()
    rest = read_until(fd, None, 20)
    assert process.wait(20) == 130
    assert b"\x1b[?25h" in rest[rest.rindex(b"\x1b[2J") :]


def test_what_is_missing_stays_on_one_line_of_a_narrow_terminal(tmp_path: Path) -> None:
    fifo = tmp_path / "camera"
    os.mkfifo(fifo)
    process, fd = on_terminal(["qr", "scan", "--camera", f"y4m:{fifo}", "--base64", "--timeout", "2"], columns=30)
    said = read_until(fd, None)
    assert process.wait(20) == 7
    # The last piece is the error, behind the cleared line.
    lines = said.split(b"\r\x1b[K")[1:-1]
    assert lines
    assert all(0 < len(line) < 30 for line in lines)


def test_after_so_many_seconds_it_ends_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "a.psbt"
    file.write_bytes(PSBT)
    process, fd = on_terminal(["qr", "show", str(file), "--version", "10", "--seconds", "1"])
    said = read_until(fd, None)
    assert process.wait(20) == 0
    assert hashlib.sha256(PSBT).hexdigest().encode() in said[said.rindex(b"\x1b[2J") :]
