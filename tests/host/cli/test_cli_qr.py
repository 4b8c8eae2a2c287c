"""``undercroft qr``: what is shown is what is scanned, data go to stdout, and a terminal is left as it was."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pty
import random
import select
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image, ImageSequence

from cli_support import Line
from psbt_examples import unsigned_psbt
from scripted_appliance import QUORUM
from undercroft_demo.fetched import lend_zbar
from undercroft_demo.terminal_picture import TerminalPicture
from undercroft_host.codes import shown
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages.fields import MAX_MESSAGE_BYTES
from undercroft_protocol.qr.camera.y4m_stream import frame, header
from undercroft_protocol.qr.collector import Collector
from undercroft_protocol.qr.draw import draw_alike
from undercroft_protocol.qr.eye import eye_by_name
from undercroft_protocol.qr.picture import Picture
from undercroft_protocol.qr.sheet import picture_of, tight_picture
from undercroft_protocol.qr.sources import source_of
from undercroft_protocol.qr.stream import Format, Kind, Payload
from undercroft_protocol.qr.ur.registry import OutputDescriptor

PSBT = unsigned_psbt(0).serialize()
MESSAGE = random.Random(1).randbytes(2000)


def film(path: Path, *payloads: Payload, spoiled: Sequence[int] = (), width: int = 320, height: int = 240) -> str:
    """A video file that shows these payloads one after the other; the text of the camera that plays it."""
    pictures = []
    for payload in payloads:
        source = source_of(payload, version=10, entropy=random.Random(2).randbytes)
        for at in range(source.count + len(spoiled)):
            codes = draw_alike([source.next_symbol()], version=12)
            pictures.append(picture_of(codes, width=width, height=height))
            if at in spoiled:
                pictures[-1] = Picture(width, height, bytes(width * height))
    path.write_bytes(header(width, height, 30) + b"".join(frame(picture) for picture in pictures))
    return f"y4m:{path}"


def read_back(pictures: Sequence[Picture]) -> Payload:
    collector, eye = Collector(limit=1_000_000), eye_by_name("zxing")
    for picture in pictures:
        for sight in eye.look(picture):
            if (payload := collector.take(sight.text)) is not None:
                return payload
    raise AssertionError(f"nothing whole: {collector.gathered}")


@pytest.fixture
def bare(tmp_path: Path) -> Line:
    """The command line where there is no home."""
    return Line(tmp_path / "no home")


def test_what_is_scanned_goes_to_stdout_and_nothing_else_does(bare: Line, tmp_path: Path) -> None:
    camera = film(tmp_path / "film", Payload(Format.FAST, Kind.MESSAGE, MESSAGE), spoiled=[1, 3])
    result = bare.run("qr", "scan", "--camera", camera)
    assert result.stdout_bytes == MESSAGE


def test_scanned_as_json_it_says_what_it_is(bare: Line, tmp_path: Path) -> None:
    camera = film(tmp_path / "film", Payload(Format.UR, Kind.PSBT, PSBT))
    assert bare.json("qr", "scan", "--camera", camera) == {
        "format": "ur",
        "kind": "psbt",
        "bytes": len(PSBT),
        "sha256": hashlib.sha256(PSBT).hexdigest(),
        "file": None,
        "base64": base64.b64encode(PSBT).decode(),
    }


@pytest.mark.parametrize("eye", ["zxing", "pyzbar", "opencv"])
def test_every_reader_can_be_chosen(bare: Line, tmp_path: Path, eye: str) -> None:
    if eye == "pyzbar" and lend_zbar() is None:
        pytest.skip("zbar is not here")
    camera = film(tmp_path / "film", Payload(Format.FAST, Kind.MESSAGE, MESSAGE[:300]), width=960, height=720)
    assert bare.json("qr", "scan", "--camera", camera, "--eye", eye)["bytes"] == 300


def test_a_psbt_is_written_in_base64_when_asked(bare: Line, tmp_path: Path) -> None:
    camera = film(tmp_path / "film", Payload(Format.BBQR, Kind.PSBT, PSBT))
    assert bare.run("qr", "scan", "--camera", camera, "--base64").stdout == base64.b64encode(PSBT).decode() + "\n"


def test_a_file_is_written_once_and_never_over_another(bare: Line, tmp_path: Path) -> None:
    camera = film(tmp_path / "film", Payload(Format.UR, Kind.PSBT, PSBT))
    out = tmp_path / "got.psbt"
    assert bare.json("qr", "scan", "--camera", camera, "--out", str(out))["file"] == str(out)
    assert out.read_bytes() == PSBT
    assert bare.error("qr", "scan", "--camera", camera, "--out", str(out), code=4)["code"] == "conflict"
    nowhere = str(tmp_path / "nowhere" / "file")
    assert bare.error("qr", "scan", "--camera", camera, "--out", nowhere, code=1)["code"] == "failure"


def test_a_place_that_cannot_be_written_is_told_before_anybody_holds_a_device_before_the_camera(
    bare: Line, tmp_path: Path
) -> None:
    nowhere = str(tmp_path / "nowhere" / "file")
    error = bare.error("qr", "scan", "--camera", "/dev/no-camera", "--out", nowhere, code=1)
    assert error["code"] == "failure"
    assert "nowhere" in error["message"]


def test_only_the_kind_that_was_asked_for_is_taken(bare: Line, tmp_path: Path) -> None:
    both = (Payload(Format.UR, Kind.BYTES, MESSAGE), Payload(Format.UR, Kind.PSBT, PSBT))
    camera = film(tmp_path / "film", *both)
    result = bare.run("qr", "scan", "--camera", camera, "--kind", "psbt")
    assert result.stdout_bytes == PSBT
    assert "passed over: bytes, 2000 bytes" in result.stderr


def test_a_film_that_ends_too_early_is_a_camera_that_is_gone(bare: Line, tmp_path: Path) -> None:
    camera = film(tmp_path / "film", Payload(Format.UR, Kind.PSBT, PSBT))
    path = tmp_path / "film"
    path.write_bytes(path.read_bytes()[: 320 * 240 * 2])
    error = bare.error("qr", "scan", "--camera", camera, code=7)
    assert error["code"] == "camera"
    assert "the stream is over; 1 of" in error["message"]


def test_codes_that_do_not_come_in_time_are_told_with_what_is_missing(bare: Line, tmp_path: Path) -> None:
    fifo = tmp_path / "camera"
    os.mkfifo(fifo)
    source = source_of(Payload(Format.UR, Kind.PSBT, PSBT), version=10, entropy=random.Random(2).randbytes)
    one = frame(picture_of(draw_alike([source.next_symbol()]), width=320, height=240))
    ended = threading.Event()

    def play() -> None:
        with fifo.open("wb", buffering=0) as camera:
            camera.write(header(320, 240, 30) + one * 3)
            ended.wait(30)

    player = threading.Thread(target=play)
    player.start()
    try:
        error = bare.error("qr", "scan", "--camera", f"y4m:{fifo}", "--timeout", "3", code=7)
    finally:
        ended.set()
        player.join()
    assert error["code"] == "codes-missing"
    assert f"1 of {source.count} codes within 3 s" in error["message"]


@pytest.mark.parametrize(
    ("camera", "code"),
    [("rtsp://10.0.0.1/stream", 7), ("video:http://10.0.0.1/", 7), ("/dev/no-camera", 7), ("y4m:relative", 7)],
)
def test_attack_a_network_in_the_place_of_a_camera_is_refused(bare: Line, camera: str, code: int) -> None:
    assert bare.error("qr", "scan", "--camera", camera, code=code)["code"] == "camera"


@pytest.mark.parametrize("form", ["fast", "ur", "bbqr"])
def test_a_film_of_codes_is_whole_also_for_who_joins_in_the_middle(bare: Line, tmp_path: Path, form: str) -> None:
    file, gif = tmp_path / "a.psbt", tmp_path / "a.gif"
    file.write_bytes(PSBT)
    told = bare.json("qr", "show", str(file), "--format", form, "--version", "10", "--gif", str(gif))
    assert told["file"] == str(gif)
    assert told["sha256"] == hashlib.sha256(PSBT).hexdigest()
    with Image.open(gif) as image:
        frames = [frame.convert("L") for frame in ImageSequence.Iterator(image)]
    pictures = [Picture(one.width, one.height, one.tobytes()) for one in frames[told["codes"] :]]
    assert read_back(pictures) == Payload(Format(form), Kind(told["kind"]), PSBT)


def test_what_fits_into_one_code_can_be_a_picture_and_what_does_not_says_what_to_do(bare: Line, tmp_path: Path) -> None:
    file, png = tmp_path / "a.bin", tmp_path / "a.png"
    file.write_bytes(b"a short message")
    assert bare.json("qr", "show", str(file), "--png", str(png))["codes"] == 1
    assert png.read_bytes().startswith(b"\x89PNG")
    file.write_bytes(MESSAGE * 3)
    assert "--gif" in bare.error("qr", "show", str(file), "--png", str(png), code=2)["hint"]


@pytest.mark.parametrize("option", ["--gif", "--png"])
def test_a_picture_never_takes_the_place_of_another_file(bare: Line, tmp_path: Path, option: str) -> None:
    file, link = tmp_path / "a.bin", tmp_path / "link"
    file.write_bytes(b"a short message")
    link.symlink_to(tmp_path / "elsewhere")
    for taken in (file, link):
        assert bare.error("qr", "show", str(file), option, str(taken), code=4)["code"] == "conflict"
    assert file.read_bytes() == b"a short message"
    assert not (tmp_path / "elsewhere").exists()
    nowhere = str(tmp_path / "nowhere" / "a.gif")
    assert bare.error("qr", "show", str(file), option, nowhere, code=1)["code"] == "failure"


def test_base64_is_shown_as_the_psbt_that_it_is(bare: Line, tmp_path: Path) -> None:
    file = tmp_path / "a.psbt"
    file.write_bytes(base64.b64encode(PSBT) + b"\n")
    told = bare.json("qr", "show", str(file), "--gif", str(tmp_path / "a.gif"))
    assert (told["format"], told["kind"], told["bytes"]) == ("ur", "psbt", len(PSBT))


@pytest.mark.parametrize("wallet", ["sparrow", "keystone", "seedsigner", "coldcard-q"])
def test_a_wallets_codes_are_in_its_format(bare: Line, tmp_path: Path, wallet: str) -> None:
    file = tmp_path / "a.psbt"
    file.write_bytes(PSBT)
    gif = str(tmp_path / "a.gif")
    told = bare.json("qr", "show", str(file), "--wallet", wallet, "--gif", gif)
    assert told["format"] == ("bbqr" if wallet in ("sparrow", "coldcard-q") else "ur")
    other = "ur" if told["format"] == "bbqr" else "bbqr"
    assert bare.error("qr", "show", str(file), "--wallet", wallet, "--format", other, "--gif", gif, code=2)


@pytest.mark.parametrize("form", [Format.UR, Format.BBQR])
def test_a_quorum_is_shown_as_wallets_import_it(form: Format) -> None:
    descriptor = QUORUM.descriptor()
    text = descriptor.text().encode()
    found = shown(text, form=form, kind=Kind.OUTPUT, wallet=None, version=10, entropy=random.Random(1).randbytes)
    pictures = [
        tight_picture(draw_alike([found.source.next_symbol()]), scale=4, columns=1) for _ in range(found.source.count)
    ]
    assert read_back(pictures) == found.payload
    if form is Format.BBQR:
        assert descriptor.cosigners[1].fingerprint.hex().upper() in found.payload.data.decode()
        return
    assert OutputDescriptor.from_item(found.payload.data, Network.REGTEST).quorum == descriptor
    item = found.payload.data
    again = shown(item, form=form, kind=Kind.OUTPUT, wallet=None, version=10, entropy=random.Random(1).randbytes)
    assert again.payload == found.payload


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (b"", ()),
        (b"hello", ("--kind", "psbt")),
        (b"cHNidP8!", ()),
        (b"wsh(hello)", ("--kind", "output")),
        (b"wsh(\xff)", ("--kind", "output", "--format", "ur")),
        (b"\xa0", ("--kind", "output", "--format", "bbqr")),
        (QUORUM.descriptor().text().encode(), ("--kind", "output", "--format", "fast")),
        (MESSAGE, ("--kind", "output")),
        (QUORUM.to_bytes(), ("--kind", "output")),
        (MESSAGE, ("--kind", "account", "--wallet", "keystone")),
        (b"h\xe9llo", ("--kind", "text", "--format", "bbqr")),
        (b"h\xe9llo", ("--kind", "json", "--wallet", "keystone")),
        (b"a short message", ("--png", "another.png")),
        (b"x" * (MAX_MESSAGE_BYTES + 1), ("--version", "40")),
        (PSBT, ("--wallet", "sparrow", "--version", "20")),
        (PSBT, ("--version", "4")),
        (PSBT, ("--codes", "13")),
        (PSBT, ("--wallet", "nobody")),
        (MESSAGE * 100, ("--format", "ur", "--version", "5")),
    ],
)
def test_what_cannot_be_shown_so_is_a_usage_error(
    bare: Line, tmp_path: Path, data: bytes, options: tuple[str, ...]
) -> None:
    file = tmp_path / "file"
    file.write_bytes(data)
    error = bare.error("qr", "show", str(file), *options, "--gif", str(tmp_path / "a.gif"), code=2)
    assert error["message"]
    assert not (tmp_path / "a.gif").exists()


def test_the_desk_of_the_configuration_is_used_where_there_is_a_home(line: Line, tmp_path: Path) -> None:
    camera = film(tmp_path / "film", Payload(Format.FAST, Kind.MESSAGE, MESSAGE))
    config = line.home / "undercroft.toml"
    config.write_text(f'{config.read_text()}\n[qr]\ncamera = "{camera}"\nversion = 11\n')
    assert line.run("qr", "scan").stdout_bytes == MESSAGE


# --- on a terminal ----------------------------------------------------------------------------------------------


def on_terminal(arguments: Sequence[str], columns: int = 160, rows: int = 60) -> tuple[subprocess.Popen[bytes], int]:
    """Run a command whose stdin, stdout and stderr are one pseudo-terminal of its own session; the terminal's end."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (rows, columns))
    script = (
        "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\nfrom undercroft_host.cli.main import main; main()"
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
