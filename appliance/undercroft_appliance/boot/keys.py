"""Keys that give orders to the kernel: they are taken off every keyboard before an owner sits down at it.

Scroll Lock stops a console, and whoever writes there then waits, whatever the terminal's own settings say; others show
what the kernel does and has in its registers, or end all that has the console. Alt with F1 to F3, which changes the
console, and Ctrl-Alt-Del, which is the supervisor's, stay.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import Final

from .probes import MISSING, Finding

CONSOLE: Final = Path("/dev/tty1")
"""Any: all consoles have the same tables."""
_GET, _SET = 0x4B46, 0x4B47
"""KDGKBENT, KDSKBENT (linux/kd.h)."""
_ENTRY: Final = struct.Struct("=BBH")
"""struct kbentry: a table, which is a set of modifiers; a key's code; what the key means there."""
_TABLES, _CODES = 256, 256
_ORDERS: Final = frozenset({0x0202, 0x0203, 0x0204, 0x0209, 0x020F, 0x0212})
"""K_SH_REGS, K_SH_MEM, K_SH_STAT, K_HOLD, K_SAK, K_SPAWNCONSOLE (linux/keyboard.h)."""
_NOTHING, _NO_TABLE = 0x0200, 0x027F
"""K_HOLE, and K_NOSUCHMAP, which the first code of a table that is not there has."""


def take_off_orders(console: Path = CONSOLE) -> Finding:
    """Let no key mean such an order any more; and the tables and codes of those that still do."""
    try:
        descriptor = os.open(console, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            seen = " ".join(_left(descriptor)) or MISSING
        finally:
            os.close(descriptor)
    except OSError as error:
        seen = str(error)
    return Finding("keys that stop a console, or show what the kernel does", MISSING, seen)


def _left(console: int) -> list[str]:
    left = []
    for table in range(_TABLES):
        if _meaning(console, table, 0) == _NO_TABLE:
            continue
        for code in range(_CODES):
            # Attack: a second keyboard, or an owner's elbow, stops the panel, which then hears no "freeze".
            if _meaning(console, table, code) in _ORDERS:
                fcntl.ioctl(console, _SET, _ENTRY.pack(table, code, _NOTHING))
                if _meaning(console, table, code) in _ORDERS:
                    left.append(f"{table}:{code}")
    return left


def _meaning(console: int, table: int, code: int) -> int:
    answer: bytes = fcntl.ioctl(console, _GET, _ENTRY.pack(table, code, 0))
    return int(_ENTRY.unpack(answer)[2])
