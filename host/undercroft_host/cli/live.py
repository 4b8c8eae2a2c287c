"""One line on stderr that says how far something is: it changes in place on a terminal, and is rare in a log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import click

if TYPE_CHECKING:
    from undercroft_protocol.link import Progress
    from undercroft_protocol.qr.scanner import Seen

_TERMINAL_SECONDS: Final = 0.2
_LOG_SECONDS: Final = 10.0
_LONG_BYTES: Final = 16_000
"""A message that a line of 115200 bits per second carries in less than one and a half seconds is not told of."""
_USUAL_COLUMNS: Final = 80
_CLEAR: Final = "\r\x1b[K"


class LiveLine:
    """Use it as a context manager: whatever ends it leaves the terminal with a whole line."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Where it was closed (2>&-), nothing is told, and what is to be done is done.
        self._is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._due = clock() + (0 if self._is_terminal else _LOG_SECONDS)
        self._is_open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def is_on(self, screen: str) -> bool:
        """Whether that terminal (a path, or ``tty:`` and a path) is the one that this line is on."""
        if not self._is_terminal:
            return False
        path = screen.removeprefix("tty:")
        return path in ("/dev/tty", os.ttyname(sys.stderr.fileno()))

    def say(self, seen: Seen) -> None:
        """Say what came through a camera, if the last time is long enough ago."""
        self._tell(f"{seen.missing}; {seen.pictures} pictures, {seen.symbols_per_second:.1f} new codes/s")

    def moved(self, progress: Progress) -> None:
        """Say how far a long message is on a line, if the last time is long enough ago."""
        if progress.received_bytes < progress.expected_bytes >= _LONG_BYTES:
            self._tell(f"received {_kilobytes(progress.received_bytes)} of {_kilobytes(progress.expected_bytes)} kB")
        elif progress.total_bytes < _LONG_BYTES:
            return
        elif progress.sent_bytes < progress.total_bytes:
            self._tell(f"sent {_kilobytes(progress.sent_bytes)} of {_kilobytes(progress.total_bytes)} kB")
        else:
            # It stands there for as long as the other side thinks.
            self._tell(f"sent {_kilobytes(progress.total_bytes)} kB, waiting for the answer", at_once=self._is_terminal)

    def _tell(self, text: str, *, at_once: bool = False) -> None:
        now = self._clock()
        if now < self._due and not at_once:
            return
        self._due = now + (_TERMINAL_SECONDS if self._is_terminal else _LOG_SECONDS)
        if self._is_terminal:
            # A text that goes on in the next row could not be cleared again.
            click.echo(f"{_CLEAR}{text[: _columns() - 1]}", nl=False, err=True)
            self._is_open = True
        else:
            click.echo(text, err=True)

    def end(self) -> None:
        """Clear the line for whatever is printed next."""
        if self._is_open:
            click.echo(_CLEAR, nl=False, err=True)
            self._is_open = False


def _kilobytes(count: int) -> int:
    return count // 1000


def _columns() -> int:
    """Of the terminal on stderr; the usual number where it does not say."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _USUAL_COLUMNS
    except OSError:
        return _USUAL_COLUMNS
