"""What an appliance talks through, opened by the supervisor alone: its processes get descriptors and open no device."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from undercroft_protocol.serial.tty import open_tty

from .consoles import console_number, opened_cells, silent, without_cursor
from .errors import ConfigurationError

_TIOCGDEV: Final = 0x80045432
"""Tells also which terminal /dev/tty is."""


@dataclass(frozen=True, slots=True)
class Devices:
    """Open descriptors by their names in the port's options; they are closed by `close` or at the end.

    ``codes`` is a terminal, or the cells of a console.
    """

    named: dict[str, int]
    _stack: contextlib.ExitStack

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls, *, line: str | None, baudrate: int, camera: str | None, codes: str | None, terminal: str
    ) -> Iterator[Self]:
        """Open what there is of these paths; ``terminal``, the owner's, is looked at only.

        Raises DevicePathError, CameraError, LinkError, ConfigurationError.
        """
        with contextlib.ExitStack() as kept, contextlib.ExitStack() as stack:
            paths, named = {"line": line, "codes": codes}, dict[str, int]()
            if line is not None:
                named["line"] = stack.enter_context(contextlib.closing(open_tty(line, baudrate=baudrate))).fileno()
            if codes is not None:
                named["codes"] = _open_terminal(codes)
                kept.callback(os.close, named["codes"])
            owners = _number_at(terminal)
            # Attack: a reply over the question that its owner is to read; or a host that types for the owner.
            if any(_number(named[name], str(path)) == owners for name, path in paths.items() if name in named):
                raise ConfigurationError("line and codes need terminals of their own, beside the owner's")
            if codes is not None:
                named["codes"] = _to_draw_on(named["codes"], codes, kept, stack)
            if camera is not None:
                # Without a camera nothing of it is loaded.
                from undercroft_protocol.qr.camera import camera_descriptor  # noqa: PLC0415

                named["camera"] = camera_descriptor(camera)
                stack.callback(os.close, named["camera"])
            yield cls(named, stack)

    @property
    def options(self) -> tuple[str, ...]:
        """For the port's command line."""
        return tuple(part for name, number in self.named.items() for part in (f"--{name}-fd", str(number)))

    def close(self) -> None:
        """They are the port's alone from now on."""
        self._stack.close()


def _to_draw_on(terminal: int, path: str, kept: contextlib.ExitStack, stack: contextlib.ExitStack) -> int:
    """What the port gets of the terminal for codes, which stays open here, so that its settings hold."""
    kept.enter_context(silent(terminal))
    number = console_number(_number(terminal, path))
    # A terminal emulator's window or a serial terminal: it obeys for itself alone.
    if number is None:
        return terminal
    # Attack: a port that was taken over brings the console of codes to the front, with a false question on it.
    kept.enter_context(without_cursor(terminal))
    cells = opened_cells(number)
    stack.callback(os.close, cells)
    return cells


def _open_terminal(path: str, flags: int = os.O_WRONLY) -> int:
    try:
        return os.open(path, flags | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigurationError(f"the terminal {path} cannot be opened ({error.strerror})") from error


def _number_at(path: str) -> int:
    descriptor = _open_terminal(path, os.O_RDONLY)
    try:
        return _number(descriptor, path)
    finally:
        os.close(descriptor)


def _number(descriptor: int, name: str) -> int:
    """The kernel's number of a terminal, whatever its path. Raises ConfigurationError for what is none."""
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, _TIOCGDEV, bytes(4)), sys.byteorder)
    except OSError as error:
        raise ConfigurationError(f"{name} is no terminal") from error
