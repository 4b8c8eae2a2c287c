"""Codes on a terminal: half blocks, two modules in each character cell."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from undercroft_protocol.errors import ScreenError
from undercroft_protocol.qr.picture import Matrix
from undercroft_protocol.qr.sheet import Grid, best_grid, enlarged, largest_version, module_rows, size_of

HOME = b"\x1b[H"
CLEAR = b"\x1b[0m\x1b[2J"
# Black on white whatever the theme is: 47 where bright backgrounds (107) are unknown, 107 where 47 is grey.
COLOURS = b"\x1b[0;30;47;107m"
PLAIN = b"\x1b[0m"
# No cursor in the picture; a line that is as wide as the terminal must not wrap.
BEGIN = b"\x1b[?25l\x1b[?7l"
END = b"\x1b[?7h\x1b[?25h"
NEWLINE = b"\r\n"
# By the upper module plus twice the lower one: none, upper, lower, both dark.
BLOCKS = (b" ", "▀".encode(), "▄".encode(), "█".encode())

MOST_COLUMNS = 1024
MOST_LINES = 512
# A picture of a v40 code has 42 kB: 3.7 seconds on a console at 115200 baud.
PICTURE_SECONDS = 10.0
STALL_SECONDS = 2.0


class TerminalScreen:
    """Shows codes on the tty ``fd``, which stays open at `close` unless ``close_fd`` is set.

    Every picture is one write that begins with ESC [ H and never scrolls. A terminal that takes nothing for 2 seconds,
    or not a whole picture in 10, is an error. Raises ScreenError.
    """

    def __init__(self, fd: int, *, close_fd: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        if not os.isatty(fd):
            raise ScreenError("codes can be drawn on a terminal only; choose a picture file or a window")
        self._fd = fd
        self._close_fd = close_fd
        self._clock = clock
        self._shown: Grid | None = None
        self._touched = False

    def show(self, codes: Sequence[Matrix]) -> None:
        """Put up these codes, all of one size, as large as they fit.

        Raises ScreenError when the terminal is too small (it says by how much) or takes nothing, QrSizeError when they
        are of several sizes.
        """
        grid = fitting_grid(codes, *self.room())
        # What stood there before must not stand around the codes.
        start = HOME + COLOURS if grid == self._shown else HOME + CLEAR + BEGIN + COLOURS
        # Should the terminal not take it whole, the next picture begins from nothing again.
        self._shown = None
        self._touched = True
        self._write(start + NEWLINE.join(half_blocks(enlarged(module_rows(codes, grid), grid.scale))) + PLAIN)
        self._shown = grid

    def blank(self) -> None:
        """Clear the terminal and give the cursor back."""
        self._shown = None
        self._write(HOME + CLEAR + END)
        self._touched = False

    def close(self) -> None:
        """Leave the terminal clear, if codes stand on it."""
        try:
            if self._touched:
                self.blank()
        finally:
            if self._close_fd:
                self._close_fd = False
                os.close(self._fd)

    def room(self) -> tuple[int, int]:
        """Its columns and lines. Raises ScreenError."""
        try:
            columns, lines = os.get_terminal_size(self._fd)
        except OSError as error:
            raise ScreenError(f"the terminal is gone ({error.strerror})") from error
        if not columns or not lines:
            raise ScreenError("the terminal does not say how large it is; set it: stty rows 60 columns 160")
        # Attack: whoever holds the other end says how large it is, 65535 x 65535 too; a picture of that has gigabytes.
        return min(columns, MOST_COLUMNS), min(lines, MOST_LINES)

    def _write(self, data: bytes) -> None:
        # The descriptor may be shared with a shell, which could not go on with a non-blocking one.
        blocking = os.get_blocking(self._fd)
        try:
            if blocking:
                os.set_blocking(self._fd, False)
            try:
                self._write_all(data)
            finally:
                if blocking:
                    os.set_blocking(self._fd, True)
        except OSError as error:
            raise ScreenError(f"the terminal is gone ({error.strerror})") from error

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        end = self._clock() + PICTURE_SECONDS
        ready = select.poll()
        ready.register(self._fd, select.POLLOUT)
        while True:
            with suppress(BlockingIOError):
                rest = rest[os.write(self._fd, rest) :]
            if not rest:
                return
            # Attack: a terminal that is stopped (Ctrl-S) or nobody reads would hold up the whole link.
            patience = min(end - self._clock(), STALL_SECONDS)
            if patience <= 0 or not ready.poll(1000 * patience):
                raise ScreenError("the terminal takes no more; was it stopped with Ctrl-S? is it too slow?")


def fitting_grid(codes: Sequence[Matrix], columns: int, lines: int) -> Grid:
    """The grid that shows these codes largest by half blocks. Raises ScreenError, QrSizeError."""
    grid = best_grid(len(codes), size_of(codes), columns, 2 * lines)
    if grid.scale:
        return grid
    needed_lines = -(-grid.height // 2)
    missing = f"{max(0, grid.width - columns)} columns and {max(0, needed_lines - lines)} rows are missing"
    smaller = largest_version(len(codes), columns, 2 * lines)
    advice = f"version {smaller} would fit" if smaller else "no version would fit"
    raise ScreenError(
        f"{missing} on this terminal of {columns} x {lines} for {len(codes)} of version {codes[0].version} "
        f"({grid.width} x {needed_lines}); {advice}; or make the terminal larger, or its letters smaller"
    )


def half_blocks(rows: Sequence[bytes], blocks: Sequence[bytes] = BLOCKS) -> list[bytes]:
    """Lines of text (UTF-8, unless other blocks are given), each of which shows two rows of modules."""
    lines = []
    for at in range(0, len(rows), 2):
        upper = rows[at]
        lower = rows[at + 1] if at + 1 < len(rows) else bytes(len(upper))
        both = int.from_bytes(upper, "big") + 2 * int.from_bytes(lower, "big")
        line = both.to_bytes(len(upper), "big")
        for value, block in enumerate(blocks):
            line = line.replace(bytes((value,)), block)
        lines.append(line)
    return lines
