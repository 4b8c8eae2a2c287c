"""Landlock (landlock(7)): no path, no TCP port, no abstract socket, no signal to anybody outside, for good.

Descriptors that are open already stay usable; nothing is ever allowed on top.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

from ..errors import ConfigurationError

# The same numbers on every architecture.
_CREATE_RULESET: Final = 444
_RESTRICT_SELF: Final = 446
_ASK_VERSION: Final = 1
_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many rights over files each version knows; from the fifth on 16."""
_NEWEST_FILE_RIGHTS: Final = 16
_ALL_TCP: Final = 3
_ALL_SCOPES: Final = 3
_TCP_SINCE: Final = 4
_SCOPES_SINCE: Final = 6
_libc: Final = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """The newest version of Landlock that this kernel knows; 0: none."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_ASK_VERSION))))


def restrict() -> int:
    """Take every right that this kernel's version knows from this thread and all it starts; returns the version.

    0 where the kernel has no Landlock: then nothing was done. Raises ConfigurationError when it has it and fails.
    no_new_privs must be set before.
    """
    known = version()
    if known == 0:
        return 0
    ruleset = _libc.syscall(_CREATE_RULESET, *_handled(known), ctypes.c_uint(0))
    if ruleset < 0:
        raise ConfigurationError(f"Landlock {known} makes no rules ({os.strerror(ctypes.get_errno())})")
    try:
        if _libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0)) != 0:
            raise ConfigurationError(f"Landlock {known} does not restrict ({os.strerror(ctypes.get_errno())})")
    finally:
        os.close(ruleset)
    return known


def _handled(known: int) -> tuple[bytes, ctypes.c_size_t]:
    """``struct landlock_ruleset_attr`` as far as this version knows it: what is named is forbidden."""
    parts = [(1 << _FILE_RIGHTS.get(known, _NEWEST_FILE_RIGHTS)) - 1]
    if known >= _TCP_SINCE:
        parts.append(_ALL_TCP)
    if known >= _SCOPES_SINCE:
        parts.append(_ALL_SCOPES)
    attributes = struct.pack(f"={len(parts)}Q", *parts)
    return attributes, ctypes.c_size_t(len(attributes))
