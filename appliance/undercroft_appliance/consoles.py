"""Consoles of this machine that are not the owner's: nothing that is typed there is shown, and no process but the
supervisor gives them orders."""

from __future__ import annotations

import contextlib
import os
import stat
import termios
from collections.abc import Iterator
from typing import Final

from .errors import ConfigurationError

_CONSOLES: Final = 4
"""The major number of /dev/tty1 to /dev/tty63 (Documentation/admin-guide/devices.txt of Linux)."""
_LAST_CONSOLE: Final = 63
_CELLS: Final = 7, 128
"""Major number of /dev/vcsaN, and what N is added to."""
_LOCAL: Final = 3
"""Where a terminal's local modes stand among its settings."""
_HIDE_CURSOR: Final = b"\x1b[?25l"
_SHOW_CURSOR: Final = b"\x1b[?25h"


def silence(terminal: int) -> None:
    """Neither show nor gather into lines what is typed there, and forget what was. Raises termios.error."""
    # Mishap: an owner types the passphrase at the wrong console, and the room reads it.
    settings = termios.tcgetattr(terminal)
    settings[_LOCAL] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON)
    termios.tcsetattr(terminal, termios.TCSANOW, settings)
    termios.tcflush(terminal, termios.TCIFLUSH)


@contextlib.contextmanager
def silent(terminal: int) -> Iterator[None]:
    """As `silence`; the settings are put back at the end, and hold as long as the descriptor is open."""
    before = termios.tcgetattr(terminal)
    silence(terminal)
    try:
        yield
    finally:
        # It may be gone.
        with contextlib.suppress(termios.error):
            termios.tcflush(terminal, termios.TCIFLUSH)
            termios.tcsetattr(terminal, termios.TCSANOW, before)


@contextlib.contextmanager
def without_cursor(console: int) -> Iterator[None]:
    """Hide a console's cursor until the end."""
    with contextlib.suppress(OSError):
        os.write(console, _HIDE_CURSOR)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.write(console, _SHOW_CURSOR)


def console_number(device: int) -> int | None:
    """N of /dev/ttyN for a terminal's number in the kernel; None for one that is no console."""
    major, minor = os.major(device), os.minor(device)
    return minor if major == _CONSOLES and 1 <= minor <= _LAST_CONSOLE else None


def opened_cells(number: int) -> int:
    """A descriptor of the character cells of /dev/ttyN, to read and write. Raises ConfigurationError."""
    path = f"/dev/vcsa{number}"
    try:
        cells = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigurationError(f"the console's cells {path} cannot be opened ({error.strerror})") from error
    state, (major, first) = os.fstat(cells), _CELLS
    if not stat.S_ISCHR(state.st_mode) or state.st_rdev != os.makedev(major, first + number):
        os.close(cells)
        raise ConfigurationError(f"{path} is not the cells of console {number}")
    return cells
