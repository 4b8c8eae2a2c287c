"""The system calls of a first process: mount(2) and reboot(2)."""

from __future__ import annotations

import ctypes
import os
from typing import Final

from ..errors import BootError

READ_ONLY: Final = 1
NO_SETUID: Final = 2
NO_DEVICES: Final = 4
NO_PROGRAMS: Final = 8
REMOUNT: Final = 32
_POWER_OFF: Final = 0x4321FEDC
"""LINUX_REBOOT_CMD_POWER_OFF."""
_libc: Final = ctypes.CDLL(None, use_errno=True)


def mount(kind: str, place: str, flags: int, options: str = "") -> None:
    """Mount a file system of this kind. Raises BootError."""
    words = [part.encode() for part in (kind, place, kind)]
    if _libc.mount(*words, ctypes.c_ulong(flags), options.encode()) != 0:
        raise BootError(f"{kind} is not mounted at {place} ({os.strerror(ctypes.get_errno())})")


def power_off() -> None:
    """End everything; the memory, and all keys with it, lose their power. Raises BootError where it cannot be done."""
    if _libc.reboot(_POWER_OFF) != 0:
        raise BootError(f"this machine cannot be switched off ({os.strerror(ctypes.get_errno())})")
