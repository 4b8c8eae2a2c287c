"""Codes on a console of Linux, put straight into its character cells (vcs(4)).

A terminal takes orders with what is written to it, and a console obeys some that reach beyond itself: ESC [ 12 ; n ]
brings another console to the front (console_codes(4)). Cells take no orders.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from typing import Final

from undercroft_protocol.errors import ScreenError
from undercroft_protocol.qr.picture import Matrix
from undercroft_protocol.qr.screen.terminal import fitting_grid, half_blocks
from undercroft_protocol.qr.sheet import Grid, enlarged, module_rows

_HEADER: Final = struct.Struct("BBBB")
"""Rows and columns (255: so many or more), the cursor's column and row; then two bytes for each cell."""
_MOST_ROWS: Final = 254
# Where the blocks of `half_blocks` stand in the kernel's fonts: code page 437.
_BLOCKS: Final = (b" ", b"\xdf", b"\xdc", b"\xdb")
_BLACK_ON_WHITE: Final = 0xF0
_EMPTY: Final = b" \x07"


class CellScreen:
    """Shows codes on the console whose cells (/dev/vcsaN, open for both) are behind ``fd``, which it closes.

    Raises ScreenError for a descriptor of anything else.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._shown: tuple[Grid, int, int] | None = None
        self.room()

    def room(self) -> tuple[int, int]:
        """Its columns and lines. Raises ScreenError."""
        try:
            size = os.lseek(self._fd, 0, os.SEEK_END) - _HEADER.size
            os.lseek(self._fd, 0, os.SEEK_SET)
            header = os.read(self._fd, _HEADER.size)
        except OSError as error:
            raise ScreenError(f"the console is gone ({error.strerror})") from error
        if len(header) != _HEADER.size or not 0 < (lines := header[0]) <= _MOST_ROWS or size <= 0 or size % (2 * lines):
            raise ScreenError("these are no cells of a console")
        # The header ends at 255 columns, a large screen does not.
        return size // (2 * lines), lines

    def show(self, codes: Sequence[Matrix]) -> None:
        """Put up these codes, all of one size, as large as they fit.

        Raises ScreenError when the console is too small (it says by how much) or gone, QrSizeError when they are of
        several sizes.
        """
        columns, lines = self.room()
        grid = fitting_grid(codes, columns, lines)
        # What stood there before must not stand around the codes.
        if self._shown != (grid, columns, lines):
            self.blank()
        for line, glyphs in enumerate(half_blocks(enlarged(module_rows(codes, grid), grid.scale), _BLOCKS)):
            cells = bytearray((_BLACK_ON_WHITE,)) * (2 * len(glyphs))
            cells[::2] = glyphs
            self._write(line * columns, cells)
        self._shown = grid, columns, lines

    def blank(self) -> None:
        """Clear the console."""
        self._shown = None
        columns, lines = self.room()
        self._write(0, _EMPTY * (columns * lines))

    def close(self) -> None:
        """Leave the console clear, if codes stand on it."""
        try:
            if self._shown is not None:
                self.blank()
        finally:
            os.close(self._fd)

    def _write(self, cell: int, data: bytes | bytearray) -> None:
        """Cells from this one on, counted from the upper left."""
        rest = memoryview(data)
        try:
            os.lseek(self._fd, _HEADER.size + 2 * cell, os.SEEK_SET)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            raise ScreenError(f"the console is gone ({error.strerror})") from error
