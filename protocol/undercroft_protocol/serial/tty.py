"""Opens the tty of a serial line: a UART, a USB serial port, a pseudo-terminal; no network."""

from __future__ import annotations

import errno
import os
import stat
import termios
from pathlib import Path
from typing import Protocol

import serial

from undercroft_protocol.errors import DevicePathError, LinkError

DEFAULT_BAUDRATE = 115200


class Tty(Protocol):
    """An open serial line; ``port`` is what reports call it."""

    @property
    def port(self) -> str | None:
        """Its path."""

    def fileno(self) -> int:
        """Its descriptor."""

    def close(self) -> None:
        """Give it back."""


class HandedTty:
    """A line that another process opened with `open_tty`, and whose descriptor it handed on.

    Raises DevicePathError for a descriptor of anything else.
    """

    def __init__(self, fd: int) -> None:
        try:
            self.port = os.ttyname(fd)
            os.set_blocking(fd, False)
        except OSError as error:
            raise DevicePathError(f"descriptor {fd} is not a tty") from error
        self._fd = fd

    def fileno(self) -> int:
        """See Tty."""
        return self._fd

    def close(self) -> None:
        """See Tty."""
        os.close(self._fd)


def check_device_path(path: str) -> None:
    """Raise DevicePathError unless `path` is the absolute path of a character device, or of a symlink to one.

    Raises LinkError if nothing is there: the line may only be unplugged.
    """
    # pyserial's URL handlers would open TCP connections: socket://, rfc2217://, spy://, alt:// and more to
    # come.
    if "://" in path:
        raise DevicePathError(f"{path!r} is a URL")
    # A relative name depends on the working directory; somebody else may have put a device there.
    if not path.startswith("/") or not path.isprintable():
        raise DevicePathError(f"{path!r} is not an absolute path that can be printed")
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError as error:
        raise LinkError(f"there is no {path}; plug the cable in, or check the name") from error
    except OSError as error:
        raise LinkError(f"{path} cannot be reached ({error.strerror})") from error
    # A file, a FIFO or a UNIX socket would be a line to another program.
    if not stat.S_ISCHR(mode):
        raise DevicePathError(f"{path} is not a character device")


def open_tty(path: str, *, baudrate: int = DEFAULT_BAUDRATE) -> serial.Serial:
    """Open a serial line raw, 8 data bits, no parity, 1 stop bit, no flow control, for this process alone.

    Reads and writes do not block. Raises DevicePathError for anything that is not a tty's path, LinkError if
    it cannot be opened.
    """
    check_device_path(path)
    try:
        port = _opened(path, baudrate)
    except PermissionError as error:
        raise LinkError(f"{path} may not be opened; add this user to the group that owns it") from error
    except (serial.SerialException, OSError, ValueError) as error:
        if isinstance(error.__context__, termios.error):
            raise DevicePathError(f"{path} is not a tty") from error
        raise LinkError(f"{path} cannot be opened; is another program using it? ({error})") from error
    # Between the check and the opening the path may have been pointed elsewhere.
    if not (stat.S_ISCHR(os.fstat(port.fileno()).st_mode) and os.isatty(port.fileno())):
        port.close()
        raise DevicePathError(f"{path} is not a tty")
    return port


def _opened(path: str, baudrate: int) -> serial.Serial:
    try:
        return serial.Serial(path, baudrate=baudrate, exclusive=True, timeout=0, write_timeout=0)
    except serial.SerialException as error:
        if error.errno != errno.ENOSYS:
            raise
    # An appliance's own kernel has no locks on files, and no other program that could use the line.
    return serial.Serial(path, baudrate=baudrate, timeout=0, write_timeout=0)
