"""Argon2id (RFC 9106) whose working memory does not outlive it.

libsodium unmaps Argon2's memory uncleared, and its last KiB alone gives the key. Here the reference code of
argon2-cffi works in a map of our own, which is overwritten before it is given back. The output equals
libsodium's.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import Any

from argon2.low_level import Type, core, error_to_str
from argon2.low_level import ffi as argon2_ffi

from undercroft_appliance.errors import MemoryUnavailableError, SelfTestError

from .memory import Slot
from .native import MADV_DONTDUMP, MADV_DONTFORK, MAP_FAILED, checked, libc

_VERSION = 0x13
_LANES = 1
_MEMORY_ALLOCATION_ERROR = -22
SALT_BYTES = 16


class Argon2id:
    """One at a time; made once, since its callbacks need executable pages that a sandbox later forbids."""

    def __init__(self) -> None:
        self._working = Slot(0, 0)
        self._most_bytes = os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE // 4 * 3
        self._allocate: Any = argon2_ffi.callback(
            "int(uint8_t **, size_t)", self._hand_out, error=_MEMORY_ALLOCATION_ERROR
        )
        self._release: Any = argon2_ffi.callback("void(uint8_t *, size_t)", lambda _memory, _size: None)

    def _hand_out(self, memory: Any, size: int) -> int:
        if size > self._working.size:
            return _MEMORY_ALLOCATION_ERROR
        memory[0] = argon2_ffi.cast("uint8_t *", self._working.address)
        return 0

    def derive(self, password: Slot, salt: bytes, *, opslimit: int, memory_kib: int, out: Slot) -> None:
        """Fills `out` from the password: `opslimit` passes over `memory_kib` KiB, one lane.

        Raises MemoryUnavailableError if there is not so much memory, SelfTestError if Argon2 refuses.
        """
        # Attack: a host asks for all the memory that there is, and the kernel ends the keeper, with what it remembers.
        if memory_kib * 1024 > self._most_bytes:
            raise MemoryUnavailableError(f"{memory_kib} KiB for Argon2id are more than 3/4 of this machine's memory")
        salt_buffer = argon2_ffi.new("uint8_t[]", salt)
        context = argon2_ffi.new(
            "argon2_context *",
            {
                "version": _VERSION,
                "out": argon2_ffi.cast("uint8_t *", out.address),
                "outlen": out.size,
                "pwd": argon2_ffi.cast("uint8_t *", password.address),
                "pwdlen": password.size,
                "salt": salt_buffer,
                "saltlen": len(salt),
                "t_cost": opslimit,
                "m_cost": memory_kib,
                "lanes": _LANES,
                "threads": _LANES,
                "allocate_cbk": self._allocate,
                "free_cbk": self._release,
            },
        )
        self._working = _map(memory_kib * 1024)
        try:
            result = core(context, Type.ID.value)
        finally:
            working, self._working = self._working, Slot(0, 0)
            working.wipe()
            checked("munmap", libc.munmap(working.address, working.size))
        if result == _MEMORY_ALLOCATION_ERROR:
            raise MemoryUnavailableError(f"{memory_kib} KiB for Argon2id")
        if result != 0:
            raise SelfTestError(f"Argon2id: {error_to_str(result)}")


def _map(size: int) -> Slot:
    address = libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if address == MAP_FAILED:
        raise MemoryUnavailableError(f"{size} bytes for Argon2id: {os.strerror(ctypes.get_errno())}")
    for name, advice in (("DONTDUMP", MADV_DONTDUMP), ("DONTFORK", MADV_DONTFORK)):
        checked(f"madvise({name})", libc.madvise(address, size, advice))
    # Against swap, which has to be off anyway: whoever may not lock so much (RLIMIT_MEMLOCK) goes on without.
    libc.mlock(address, size)
    return Slot(address, size)
