"""Where codes are shown: a terminal, a window; picture files are in `files`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from undercroft_protocol.errors import ScreenError
from undercroft_protocol.qr.paths import TERMINAL, open_checked
from undercroft_protocol.qr.picture import Matrix
from undercroft_protocol.qr.screen.terminal import TerminalScreen
from undercroft_protocol.qr.screen.window import WindowScreen


class Screen(Protocol):
    """Shows one picture at a time."""

    def show(self, codes: Sequence[Matrix]) -> None:
        """Put up these codes, all of one size, as one picture in place of the last.

        Raises ScreenError when they cannot be shown, QrSizeError when they are of several sizes.
        """

    def blank(self) -> None:
        """Show nothing. Raises ScreenError."""

    def close(self) -> None:
        """Show nothing, and give back what was opened. Raises ScreenError."""


def open_screen(text: str) -> Screen:
    """Open "tty:PATH" or a path under /dev (half blocks on that terminal), or "window" (needs tkinter).

    Raises ScreenError for anything else, and for what cannot be opened.
    """
    if text == "window":
        return WindowScreen()
    path = text.removeprefix("tty:")
    if path == text and not text.startswith("/dev/"):
        raise ScreenError(f"{text!r} is neither window, tty:PATH nor a path under /dev")
    return open_terminal(path)


def open_terminal(path: str) -> TerminalScreen:
    """Open the tty at this absolute path, non-blocking and not as the controlling terminal. Raises ScreenError."""
    fd = open_checked(path, os.O_WRONLY, TERMINAL, ScreenError)
    try:
        return TerminalScreen(fd, close_fd=True)
    except ScreenError:
        os.close(fd)
        raise
