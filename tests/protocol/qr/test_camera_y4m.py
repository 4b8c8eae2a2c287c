"""A YUV4MPEG2 stream as a camera: the newest picture of whatever its writers send, cut and ended anywhere."""

from __future__ import annotations

import os
import pty
import random
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from protocol.qr.drawing_support import read_all
from undercroft_protocol.errors import CameraError
from undercroft_protocol.qr.camera import open_camera
from undercroft_protocol.qr.camera.y4m import Y4mCamera, open_y4m
from undercroft_protocol.qr.camera.y4m_stream import StreamReader, frame, header, parse_header
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.picture import Picture
from undercroft_protocol.qr.sheet import picture_of

WIDTH, HEIGHT = 64, 48


def grey(value: int, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    return Picture(width, height, bytes((value,)) * (width * height))


def stream(*values: int) -> bytes:
    return header(WIDTH, HEIGHT, 30) + b"".join(frame(grey(value)) for value in values)


def shades(reader: StreamReader) -> list[int]:
    """The brightness of every picture that it has ready."""
    found = []
    while picture := reader.next_picture():
        assert len(set(picture.grey)) == 1
        found.append(picture.grey[0])
    return found


@contextmanager
def a_fifo(folder: Path) -> Iterator[tuple[Y4mCamera, Path]]:
    os.mkfifo(folder / "fifo")
    camera = open_y4m(str(folder / "fifo"))
    yield camera, folder / "fifo"
    camera.close()


def test_a_code_travels_through_a_fifo(tmp_path: Path) -> None:
    picture = picture_of([draw("1234567890", version=5)], width=150, height=100)
    with a_fifo(tmp_path) as (camera, fifo):
        assert camera.picture(timeout=0) is None
        fifo.open("wb", buffering=0).write(header(150, 100, 10) + frame(picture))
        seen = camera.picture(timeout=1)
    assert seen == picture
    assert read_all(seen, enlarge=2) == ["1234567890"]


def test_the_newest_picture_wins_and_older_ones_are_dropped(tmp_path: Path) -> None:
    with a_fifo(tmp_path) as (camera, fifo), fifo.open("wb", buffering=0) as writer:
        writer.write(stream(1, 2, 3, 4))
        assert camera.picture(timeout=1) == grey(4)
        assert camera.picture(timeout=0) is None
        writer.write(frame(grey(5)) + frame(grey(6))[:1000])
        assert camera.picture(timeout=0) == grey(5)
        writer.write(frame(grey(6))[1000:])
        assert camera.picture(timeout=0) == grey(6)


def test_a_writer_that_vanished_in_a_picture_is_followed_by_the_next_one(tmp_path: Path) -> None:
    with a_fifo(tmp_path) as (camera, fifo):
        with fifo.open("wb", buffering=0) as writer:
            writer.write(stream(1, 2)[:-1000])
        assert camera.picture(timeout=1) == grey(1)
        assert camera.picture(timeout=0.01) is None
        smaller = Picture(20, 10, b"\x07" * 200)
        with fifo.open("wb", buffering=0) as writer:
            writer.write(header(20, 10, 5) + frame(smaller) * 20)
        assert camera.picture(timeout=1) == smaller


def test_a_file_gives_all_its_pictures_and_then_is_over(tmp_path: Path) -> None:
    (tmp_path / "film.y4m").write_bytes(stream(9, 8, 7))
    camera = open_camera(f"y4m:{tmp_path / 'film.y4m'}")
    assert [camera.picture(timeout=0) for _ in range(3)] == [grey(9), grey(8), grey(7)]
    for _ in range(2):
        with pytest.raises(CameraError, match="the stream is over"):
            camera.picture(timeout=0)
    camera.close()
    camera.close()


def test_a_pseudo_terminal_carries_every_byte_and_reports_when_it_is_gone() -> None:
    master, slave = os.openpty()
    tty.setcbreak(slave)
    noise = random.Random(4).randbytes(30 * 20)
    camera = open_y4m(os.ttyname(slave))
    os.close(slave)
    sent = header(30, 20, 5) + frame(Picture(30, 20, noise)) + frame(Picture(30, 20, bytes(range(200)) * 3))
    os.write(master, sent)
    assert camera.picture(timeout=1) == Picture(30, 20, bytes(range(200)) * 3)
    os.close(master)
    with pytest.raises(CameraError, match=r"gone|over"):
        camera.picture(timeout=0)
    camera.close()


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_a_stream_may_be_cut_anywhere(step: int) -> None:
    reader = StreamReader()
    whole = stream(10, 20, 30)
    found = []
    for at in range(0, len(whole), step):
        reader.feed(whole[at : at + step])
        found += shades(reader)
    assert found == [10, 20, 30]


@pytest.mark.parametrize("lost", [1, 5, 9, 10, 11, 100, WIDTH * HEIGHT - 1])
def test_a_new_header_anywhere_in_a_picture_begins_anew(lost: int) -> None:
    whole = stream(1, 2)[:-lost] + header(8, 8, 5) + b"".join(frame(grey(value, 8, 8)) for value in range(100, 164))
    for step in (len(whole), 11):
        reader = StreamReader()
        found = []
        for at in range(0, len(whole), step):
            reader.feed(whole[at : at + step])
            found += shades_or_torn(reader)
        assert found[0] == 1
        assert found[-60:] == list(range(104, 164))


def shades_or_torn(reader: StreamReader) -> list[int]:
    found = []
    while picture := reader.next_picture():
        found.append(picture.grey[0])
    return found


def test_attack_garbage_between_frames_costs_those_frames_only() -> None:
    reader = StreamReader()
    noise = random.Random(7).randbytes(100_000)
    reader.feed(stream(1) + noise + frame(grey(2)) + b"FRAME" * 3 + frame(grey(3)) + frame(grey(4)))
    assert shades_or_torn(reader)[-1] == 4


@pytest.mark.parametrize(
    ("colours", "chroma"),
    [
        ("", 2 * 3 * 2),
        (" C420jpeg", 2 * 3 * 2),
        (" C420mpeg2", 2 * 3 * 2),
        (" C420paldv XYSCSS=420PALDV XCOLORRANGE=FULL", 2 * 3 * 2),
        (" C422", 2 * 3 * 3),
        (" C444", 2 * 5 * 3),
        (" Cmono", 0),
    ],
)
def test_colour_is_skipped(colours: str, chroma: int) -> None:
    reader = StreamReader()
    one = b"FRAME Ip\n" + b"\x05" * 15 + b"\xee" * chroma
    reader.feed(f"YUV4MPEG2 W5 H3 F30:1 Ip A1:1{colours}\n".encode() + one + one)
    assert shades(reader) == [5, 5]


GOOD = b"YUV4MPEG2 W640 H480 F30:1 Ip A1:1 Cmono"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"W640", b"W0"),
        (b"W640", b"W4097"),
        (b"H480", b"H99999999999999999999"),
        (b"H480", b"H-480"),
        (b"H480", b"H+48"),
        (b"H480", b"H4_8"),
        (b"H480", b"H048"),
        (b"H480", b"H"),
        (b" H480", b""),
        (b"W640", b"W640 W640"),
        (b"W640", b" W640"),
        (b"Cmono", b"C420p10"),
        (b"Cmono", b"C444alpha"),
        (b"Cmono", b"Cmono\xff"),
        (b"Cmono", b"Cmono\x00"),
        (b"Cmono", b"Cmono "),
    ],
)
def test_attack_a_strange_header_is_refused(old: bytes, new: bytes) -> None:
    assert parse_header(GOOD).frame_bytes == 640 * 480
    with pytest.raises(CameraError):
        parse_header(GOOD.replace(old, new))
    reader = StreamReader()
    reader.feed(GOOD.replace(old, new) + b"\n" + stream(3))
    with pytest.raises(CameraError):
        reader.next_picture()
    # The next good stream arrives.
    assert shades(reader) == [3]


def test_attack_a_header_without_an_end_is_dropped() -> None:
    reader = StreamReader()
    reader.feed(b"YUV4MPEG2 W64 " + b"X" * 300 + b" H48\n" + stream(3))
    assert reader.next_picture() == grey(3)


def test_attack_endless_bytes_that_are_no_stream_are_refused_with_little_kept() -> None:
    reader = StreamReader()
    with pytest.raises(CameraError, match="no YUV4MPEG2 stream"):
        for _ in range(100):
            reader.feed(bytes(4096))
            assert reader.next_picture() is None
            assert len(reader._buffer) < 16


def test_attack_a_device_that_gives_endless_zeros_is_no_camera() -> None:
    camera = open_y4m("/dev/zero")
    with pytest.raises(CameraError, match="no YUV4MPEG2"):
        camera.picture(timeout=0)
    camera.close()


def reading(data: bytes) -> Callable[[int, int], bytes]:
    """A read that gives this once, however much was asked for."""
    supply = iter([data])
    return lambda fd, count: next(supply)


def test_attack_a_writer_faster_than_the_reader_does_not_hold_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with a_fifo(tmp_path) as (camera, _):
        supply = stream(1) + frame(grey(2)) * 400
        # A second read finds nothing there, and raises.
        monkeypatch.setattr(os, "read", reading(supply))
        assert camera.picture(timeout=0) == grey(2)


def test_attack_a_flood_of_tiny_pictures_does_not_hold_the_reader(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with a_fifo(tmp_path) as (camera, _):
        tiny = header(1, 1, 5) + frame(Picture(1, 1, b"\x09")) * 9000
        monkeypatch.setattr(os, "read", reading(tiny))
        assert camera.picture(timeout=0) == Picture(1, 1, b"\x09")


def test_attack_a_writer_that_never_finishes_a_picture_does_not_hold_the_reader(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with a_fifo(tmp_path) as (camera, _):
        endless = iter([header(4096, 4096, 5)])
        monkeypatch.setattr(os, "read", lambda fd, count: next(endless, b"F" * count))
        assert camera.picture(timeout=0) is None


def test_random_bytes_never_raise_anything_else() -> None:
    chance = random.Random(11)
    pieces = [b"YUV4MPEG2 ", b"FRAME", b"\n", b" ", b"W", b"H", b"9", b"Cmono", stream(1), bytes(99)]
    for _ in range(300):
        reader = StreamReader()
        for _ in range(30):
            reader.feed(chance.choice(pieces))
            try:
                while reader.next_picture():
                    pass
            except CameraError:
                continue


@pytest.mark.parametrize(
    "text",
    [
        "y4m:",
        "y4m:film",
        "y4m:http://127.0.0.1/",
        "y4m:tcp://1:1",
        "y4m:/dev/../tcp://1",
        "Y4M:/dev/zero",
        "film",
        "-",
        "y4m:/x\0",
    ],
)
def test_attack_urls_and_relative_paths_are_refused(text: str) -> None:
    with pytest.raises(CameraError):
        open_camera(text)


def test_a_terminal_that_ends_while_it_is_opened_is_reported_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    host, line = pty.openpty()
    opened: list[int] = []

    def gone(fd: int) -> None:
        opened.append(fd)
        raise termios.error(5, "Input/output error")

    monkeypatch.setattr(tty, "setraw", gone)
    with pytest.raises(CameraError, match="cannot be opened"):
        open_y4m(os.ttyname(line))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])
    os.close(host)
    os.close(line)


def test_attack_folders_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="is not a FIFO or a character device or a file"):
        open_y4m(str(tmp_path))
    with pytest.raises(CameraError, match="cannot be reached"):
        open_y4m(str(tmp_path / "none"))


def test_attack_pixels_that_spell_the_beginning_of_a_header_cost_their_picture_only() -> None:
    # Whoever holds the screen before the camera chooses its pixels.
    pixels = bytearray(grey(9).grey)
    pixels[50:66] = b"YUV4MPEG2 W 2<F\n"
    reader = StreamReader()
    reader.feed(stream(1) + frame(Picture(WIDTH, HEIGHT, bytes(pixels))) + frame(grey(3)) + frame(grey(4)))
    assert shades_or_torn(reader) == [1, 3, 4]


def test_a_new_header_that_cannot_be_read_is_still_refused() -> None:
    reader = StreamReader()
    reader.feed(stream(1) + b"YUV4MPEG2 W8 H8 F5:1 C420p10\n")
    assert reader.next_picture() == grey(1)
    with pytest.raises(CameraError, match="420p10"):
        reader.next_picture()
