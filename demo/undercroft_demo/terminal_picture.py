"""Sees what a terminal shows: reads what `TerminalScreen` writes back into a picture.

It knows what that writes and no more: home, clear, colours, half blocks, CR LF, private modes. Other characters, such
as the letters of an owner's screen, are as light as a space.
"""

from __future__ import annotations

import codecs
import re

from undercroft_protocol.qr.picture import Picture

_TOKEN = re.compile(r"\x1b\[([?0-9;]*)([@-~])|\r|\n|[^\x1b\r\n]+|\x1b")
_UNFINISHED = re.compile(r"\x1b(\[[?0-9;]*)?\Z")
_BLACK, _WHITE = {"30"}, {"47", "107"}
# A cell is upper plus twice lower half, 1 is dark.
_CELLS = {"▀": 1, "▄": 2, "█": 3}
_UPPER = bytes(0 if cell & 1 else 255 for cell in range(256))
_LOWER = bytes(0 if cell & 2 else 255 for cell in range(256))
_INVERTED = bytes(cell ^ 3 for cell in range(256))


class TerminalPicture:
    """A terminal of ``columns`` x ``lines``. On a dark theme whatever has no colour of its own is light on dark."""

    def __init__(self, columns: int = 200, lines: int = 100, *, dark_theme: bool = False) -> None:
        self._columns = columns
        self._blank = bytes((3 if dark_theme else 0,)) * columns
        self._inverts_plain = dark_theme
        self._cells = [self._blank] * lines
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._line = self._column = 0
        self._plain = True

    def feed(self, data: bytes) -> None:
        """Take what was written, cut anywhere. Raises ValueError for what would scroll or wrap."""
        text = self._rest + self._decoder.decode(data)
        unfinished = _UNFINISHED.search(text)
        self._rest = unfinished.group() if unfinished else ""
        for token in _TOKEN.finditer(text, 0, len(text) - len(self._rest)):
            if token[2]:
                self._control(token[1], token[2])
            elif token[0] == "\r":
                self._column = 0
            elif token[0] == "\n":
                self._line += 1
            elif token[0] != "\x1b":
                self._put(token[0])

    def picture(self) -> Picture:
        """Two pixels for each cell, one above the other."""
        rows = (half for cells in self._cells for half in (cells.translate(_UPPER), cells.translate(_LOWER)))
        return Picture(self._columns, 2 * len(self._cells), b"".join(rows))

    def _control(self, arguments: str, final: str) -> None:
        if final == "H":
            line, _, column = arguments.partition(";")
            self._line, self._column = int(line or 1) - 1, int(column or 1) - 1
        elif final == "J":
            self._cells = [self._blank] * len(self._cells)
        elif final == "m":
            # Every change of colours in this stream begins with 0.
            colours = set(arguments.split(";"))
            self._plain = not (colours >= _BLACK and colours & _WHITE)

    def _put(self, text: str) -> None:
        end = self._column + len(text)
        if self._line >= len(self._cells) or end > self._columns:
            raise ValueError(f"line {self._line + 1}, column {end}: the terminal would scroll or wrap")
        cells = bytes(_CELLS.get(character, 0) for character in text)
        if self._plain and self._inverts_plain:
            cells = cells.translate(_INVERTED)
        old = self._cells[self._line]
        self._cells[self._line] = old[: self._column] + cells + old[end:]
        self._column = end
