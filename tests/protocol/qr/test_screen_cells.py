"""Codes in the character cells of a console, played by a file of the same layout: glyphs and colours, and no orders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from protocol.qr.drawing_support import digits, read_all
from undercroft_protocol.errors import QrSizeError, ScreenError
from undercroft_protocol.qr.capacity import capacity_digits
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.picture import Picture
from undercroft_protocol.qr.screen.cells import CellScreen

# Of code page 437: which halves (upper, lower) of a cell are in its foreground's colour.
HALVES = {0x20: (0, 0), 0xDF: (1, 0), 0xDC: (0, 1), 0xDB: (1, 1)}


class Console:
    """The cells of a console; what stands there before is another program's."""

    def __init__(self, place: Path, columns: int, lines: int) -> None:
        self.place, self.columns, self.lines = place, columns, lines
        self.resize(columns, lines)

    def resize(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.place.write_bytes(bytes((lines, min(columns, 255), 0, 0)) + b"x\x07" * (columns * lines))

    def open(self) -> int:
        return os.open(self.place, os.O_RDWR)

    def picture(self) -> Picture:
        """A pixel for a half of a cell; a colour's lowest three bits that are all set are white."""
        cells = np.frombuffer(self.place.read_bytes()[4:], np.uint8).reshape(self.lines, self.columns, 2)
        light = np.zeros((2 * self.lines, self.columns), np.uint8)
        for row in range(self.lines):
            for column in range(self.columns):
                glyph, colours = cells[row, column]
                for half, inked in enumerate(HALVES[int(glyph)]):
                    colour = int(colours) >> (0 if inked else 4)
                    light[2 * row + half, column] = 255 if colour & 7 == 7 else 0
        return Picture(self.columns, 2 * self.lines, light.tobytes())


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    yield Console(tmp_path / "vcsa2", 120, 60)


@pytest.mark.parametrize(("version", "columns", "lines"), [(5, 45, 23), (20, 120, 60), (40, 185, 93), (20, 320, 90)])
def test_a_code_is_read_from_the_cells(console: Console, version: int, columns: int, lines: int) -> None:
    console.resize(columns, lines)
    text = digits(capacity_digits(version), version)
    CellScreen(console.open()).show([draw(text, version=version)])
    assert read_all(console.picture(), enlarge=3) == [text]


def test_several_codes_follow_one_another_and_the_console_is_left_clear(console: Console) -> None:
    screen = CellScreen(console.open())
    for number, version in enumerate((20, 20, 5)):
        texts = [digits(capacity_digits(version), number)]
        screen.show([draw(text, version=version) for text in texts])
        assert read_all(console.picture(), enlarge=3) == texts
    screen.close()
    assert console.place.read_bytes() == bytes((60, 120, 0, 0)) + b" \x07" * (120 * 60)


def test_a_console_that_was_never_drawn_on_is_left_alone(console: Console) -> None:
    before = console.place.read_bytes()
    CellScreen(console.open()).close()
    assert console.place.read_bytes() == before


def test_a_console_that_changes_its_size_gets_the_whole_code_again(console: Console) -> None:
    screen = CellScreen(console.open())
    text = digits(capacity_digits(5), 5)
    screen.show([draw(text, version=5)])
    console.resize(80, 25)
    assert screen.room() == (80, 25)
    screen.show([draw(text, version=5)])
    assert read_all(console.picture(), enlarge=3) == [text]


def test_what_does_not_fit_is_told(console: Console) -> None:
    screen = CellScreen(console.open())
    with pytest.raises(ScreenError, match="version 23 would fit"):
        screen.show([draw("1", version=40)])
    with pytest.raises(QrSizeError):
        screen.show([draw("1", version=5), draw("1", version=6)])


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\0\0", bytes(4) + b" \x07", b"\x19\x50\0\0", b"\x02\x02\0\0" + bytes(6)]
)
def test_attack_what_is_no_console_is_not_drawn_on(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "cells"
    place.write_bytes(content)
    with pytest.raises(ScreenError, match="no cells"):
        CellScreen(os.open(place, os.O_RDWR))
    assert place.read_bytes() == content


def test_a_console_that_is_gone_is_told(console: Console) -> None:
    descriptor = console.open()
    screen = CellScreen(descriptor)
    os.close(descriptor)
    with pytest.raises(ScreenError, match="is gone"):
        screen.show([draw("1", version=5)])
