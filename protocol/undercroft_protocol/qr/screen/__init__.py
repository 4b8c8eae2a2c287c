"""Where codes are shown: a terminal, a window; picture files are in `files`."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from undercroft_protocol.errors import ScreenError
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
    # A relative name depends on the working directory; somebody else may have put a device there.
    if not path.startswith("/") or "\0" in path:
        raise ScreenError(f"{path!r} is not an absolute path")
    try:
        # Attack: a FIFO or a file in the place of a tty; opening one can hang, writing to it changes it.
        if not stat.S_ISCHR(Path(path).stat().st_mode):
            raise ScreenError(f"{path} is not a terminal")
        fd = os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ScreenError(f"{path} cannot be opened ({error.strerror})") from error
    try:
        return TerminalScreen(fd, close_fd=True)
    except ScreenError:
        os.close(fd)
        raise
