"""``undercroft qr``: what is shown is what is scanned, data go to stdout, and a terminal is left as it was."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image, ImageSequence

from cli_support import Line
from films import film, read_back
from psbt_examples import unsigned_psbt
from scripted_appliance import QUORUM
from undercroft_demo.fetched import lend_zbar
from undercroft_host.codes import shown
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.fields import MAX_MESSAGE_BYTES
from undercroft_protocol.qr.camera.y4m_stream import frame, header
from undercroft_protocol.qr.draw import draw_alike
from undercroft_protocol.qr.picture import Picture
from undercroft_protocol.qr.sheet import picture_of, tight_picture
from undercroft_protocol.qr.sources import source_of
from undercroft_protocol.qr.stream import Format, Kind, Payload
from undercroft_protocol.qr.ur.registry import OutputDescriptor

PSBT = unsigned_psbt(0).serialize()
MESSAGE = random.Random(1).randbytes(2000)


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


def test_a_camera_that_gives_no_picture_is_not_told_to_be_held_steady(bare: Line, tmp_path: Path) -> None:
    fifo = tmp_path / "camera"
    os.mkfifo(fifo)
    error = bare.error("qr", "scan", "--camera", f"y4m:{fifo}", "--timeout", "1", code=7)
    assert error["code"] == "camera"
    assert "within 1 s" in error["message"]
    assert "--camera" in error["hint"]


@pytest.mark.parametrize("closed", [1, 2])
def test_without_stdout_or_stderr_a_scan_is_told_or_done_but_never_lost(tmp_path: Path, closed: int) -> None:
    camera = film(tmp_path / "film", Payload(Format.FAST, Kind.MESSAGE, MESSAGE))
    out = ["--out", str(tmp_path / "out")] if closed == 2 else []
    program = [sys.executable, "-c", "from undercroft_host.cli.main import main; main()"]
    command = ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *program, "qr", "scan", "--camera", camera, *out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if closed == 2:
        assert done.returncode == 0
        assert (tmp_path / "out").read_bytes() == MESSAGE
    else:
        assert done.returncode == 2
        assert "--out" in done.stderr
        assert "Traceback" not in done.stderr


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
