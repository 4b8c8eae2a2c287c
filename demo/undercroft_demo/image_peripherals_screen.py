"""Text read off a picture of the kernel's console: every cell is compared, pixel by pixel, with the kernel's own font.

No recognition of characters: a cell is exactly one glyph or it is unknown, so that what is read was really shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from undercroft_protocol.qr.picture import Picture

UNKNOWN: Final = "\ufffd"
_HEADER: Final = re.compile(rb"P6\s+(\d+)\s+(\d+)\s+255\s")
_ARRAY: Final = re.compile(r"\{\s*0,\s*0,\s*FONTDATAMAX,\s*0\s*\},\s*\{(.*?)\}", re.DOTALL)
_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_GLYPHS: Final = 256


@dataclass(frozen=True, slots=True)
class Pixels:
    """A picture in colours: three bytes (red, green, blue) for each pixel, row by row from the top."""

    width: int
    height: int
    colours: bytes

    def grey(self) -> Picture:
        """Its green, which is most of its brightness."""
        return Picture(self.width, self.height, self.colours[1::3])


def pixels_of(ppm: bytes) -> Pixels:
    """A picture in the form that the emulator leaves (netpbm's P6). Raises ValueError for another."""
    head = _HEADER.match(ppm)
    if head is None:
        raise ValueError("this is no picture in the form P6")
    return Pixels(int(head[1]), int(head[2]), ppm[head.end() :])


@dataclass(frozen=True, slots=True)
class Font:
    """A console font: ``characters`` by their rows of pixels, one bit each, the leftmost is the highest."""

    width: int
    height: int
    characters: dict[int, str]

    @classmethod
    def of_kernel(cls, source: Path, width: int, height: int) -> Font:
        """Read it from the kernel's lib/fonts. Raises ValueError for a file that is none."""
        found = _ARRAY.search(_COMMENT.sub("", source.read_text(encoding="latin-1")))
        rows = bytes(int(word, 16) for word in re.findall(r"0x([0-9a-fA-F]{2})\b", found[1])) if found else b""
        size = (width + 7) // 8 * height
        if len(rows) != _GLYPHS * size:
            raise ValueError(f"{source.name} is no font of {width} x {height}")
        characters: dict[int, str] = {}
        # ASCII last: where two characters look the same, that is meant.
        for code in (*range(127, _GLYPHS), *range(32, 127)):
            characters[int.from_bytes(rows[code * size : (code + 1) * size], "big")] = bytes((code,)).decode("cp437")
        return cls(width, height, characters)


def fonts_of(source: Path) -> tuple[Font, ...]:
    """The fonts that our kernel has; it takes the one that suits the screen. ``source``: the kernel's."""
    folder = source / "lib/fonts"
    return (
        Font.of_kernel(folder / "font_8x16.c", 8, 16),
        Font.of_kernel(folder / "font_ter16x32.c", 16, 32),
    )


def text_on(pixels: Pixels, fonts: Iterable[Font]) -> str:
    """The lines on a console, by the font with which the fewest cells are unknown; blanks at their ends are cut off."""
    return min((_read(pixels, font) for font in fonts), key=lambda text: text.count(UNKNOWN))


def _read(pixels: Pixels, font: Font) -> str:
    known: dict[bytes, str] = {}
    step, stride = 3 * font.width, 3 * pixels.width
    lines = []
    for top in range(0, pixels.height - font.height + 1, font.height):
        rows = [pixels.colours[(top + row) * stride : (top + row + 1) * stride] for row in range(font.height)]
        line = ""
        for left in range(0, stride - step + 1, step):
            cell = b"".join(row[left : left + step] for row in rows)
            if cell not in known:
                known[cell] = _character(cell, font)
            line += known[cell]
        lines.append(line.rstrip())
    return "\n".join(lines).rstrip()


def _character(cell: bytes, font: Font) -> str:
    dots = [cell[at : at + 3] for at in range(0, len(cell), 3)]
    colours = sorted(set(dots))
    if len(colours) == 1:
        return " "
    if len(colours) > 2:
        return UNKNOWN
    # Which of the two is the ink is not known: a title may be inverted.
    for ink in colours:
        bits = int("".join("1" if dot == ink else "0" for dot in dots), 2)
        if bits in font.characters:
            return font.characters[bits]
    return UNKNOWN
