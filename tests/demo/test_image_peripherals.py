"""What the test of the image's screen, USB and camera is made of, without an emulator."""

from __future__ import annotations

import gzip
import stat
from pathlib import Path

import pytest

from undercroft_demo import image_peripherals_guest as guest
from undercroft_demo.image_peripherals_camera import expected_bars
from undercroft_demo.image_peripherals_root import root_of, with_guest
from undercroft_demo.image_peripherals_screen import UNKNOWN, Font, Pixels, pixels_of, text_on
from undercroft_images import cpio, kernel, test_kernels
from undercroft_images.ingredients import LIBRARY
from undercroft_images.places import IMAGES
from undercroft_protocol.qr.camera import v4l2, v4l2_abi

INK, PAPER = b"\xaa\xaa\xaa", b"\x00\x00\x00"
WIDTH, HEIGHT = 8, 2
ROOT = {"usr/lib/one": cpio.Entry(stat.S_IFREG | 0o644, b"070701 is no end"), "dev": cpio.Entry(stat.S_IFDIR | 0o755)}


def glyph(code: int) -> bytes:
    """Two rows of eight pixels that no other character has, if it is one of ASCII."""
    return b"\0\0" if code == ord(" ") else bytes((code, 0xFF ^ code >> 1))


@pytest.fixture
def font(tmp_path: Path) -> Font:
    rows = "".join(f"/* {code} 0x{code:02x} */ 0x{one:02x},\n" for code in range(256) for one in glyph(code))
    source = tmp_path / "font.c"
    source.write_text("static const struct font_data fontdata = {\n{ 0, 0, FONTDATAMAX, 0 }, {\n" + rows + "} };\n")
    return Font.of_kernel(source, WIDTH, HEIGHT)


def drawn(text: str, ink: bytes = INK, paper: bytes = PAPER) -> Pixels:
    lines = text.split("\n")
    width = max(map(len, lines))
    rows = []
    for line in lines:
        for row in range(HEIGHT):
            bits = "".join(f"{glyph(ord(letter))[row]:08b}" for letter in line.ljust(width))
            rows.append(b"".join(ink if bit == "1" else paper for bit in bits))
    return Pixels(width * WIDTH, len(rows), b"".join(rows))


def test_text_is_read_off_a_screen_pixel_by_pixel(font: Font) -> None:
    assert text_on(drawn("--- Ready ---\n\n  type: help"), [font]) == "--- Ready ---\n\n  type: help"
    assert text_on(drawn("Ready", ink=PAPER, paper=INK), [font]) == "Ready"


def test_a_cell_that_differs_by_one_pixel_is_not_read(font: Font) -> None:
    pixels = drawn("no")
    spoilt = bytearray(pixels.colours)
    place = next(at for at in range(0, len(spoilt), 3) if spoilt[at : at + 3] == PAPER)
    spoilt[place : place + 3] = INK
    assert UNKNOWN in text_on(Pixels(pixels.width, pixels.height, bytes(spoilt)), [font])


def test_a_picture_of_the_emulator_is_taken_apart() -> None:
    pixels = pixels_of(b"P6\n2 1\n255\n" + b"\x01\x02\x03\x04\x05\x06")
    assert (pixels.width, pixels.height, pixels.grey().grey) == (2, 1, b"\x02\x05")
    with pytest.raises(ValueError, match="P6"):
        pixels_of(b"P5\n2 1\n255\n\x01\x02")


def test_a_file_that_is_no_font_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "font.c"
    source.write_text("{ 0, 0, FONTDATAMAX, 0 }, { 0x00, 0x01 }")
    with pytest.raises(ValueError, match="no font"):
        Font.of_kernel(source, WIDTH, HEIGHT)


def test_the_root_is_cut_out_of_an_image_as_it_was_put_in(tmp_path: Path) -> None:
    archive = cpio.archive(ROOT)
    image = tmp_path / "kernel8.img"
    image.write_bytes(gzip.compress(b"\0code that names 070701 and goes on" + archive + b"more of the kernel"))
    assert archive.startswith(root_of(image))
    assert set(archive[len(root_of(image)) :]) <= {0}
    image.write_bytes(gzip.compress(b"070701 alone"))
    with pytest.raises(ValueError, match="no root"):
        root_of(image)


def test_a_tests_root_begins_with_the_shipped_one_and_adds_one_file() -> None:
    archive = cpio.archive(ROOT)
    root = with_guest(archive)
    assert root.startswith(archive)
    more = root[len(archive) :]
    assert more.count(b"070701") == 2
    assert f"{LIBRARY}/{guest.MODULE}.py\0".encode() in more


def test_every_format_that_the_appliance_reads_is_tried() -> None:
    assert {v4l2_abi.fourcc(one) for one in guest.FORMATS} == set(v4l2._CONVERTERS)
    for format_ in guest.FORMATS:
        bars = expected_bars(format_)
        assert len(bars) == guest.BARS
        assert bars == sorted(bars, reverse=True)


def test_no_driver_of_a_test_is_in_what_is_shipped() -> None:
    shipped = "\n".join((IMAGES / "kernel" / f"{name}.config").read_text() for name in kernel.FRAGMENTS)
    fragment = (IMAGES / "kernel" / f"{test_kernels.PERIPHERALS}.config").read_text().splitlines()
    drivers = [line for line in fragment if line.startswith("CONFIG_")]
    assert drivers
    assert not set(drivers) & set(shipped.splitlines())
    assert test_kernels.PERIPHERALS not in kernel.FRAGMENTS
