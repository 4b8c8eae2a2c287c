"""Guarded memory: the only place where a passphrase, a seed or a private key is ever in plain form.

Pages of memfd_secret(2), which not even the kernel maps and root cannot read, lie between two pages without
access. Where the kernel has no memfd_secret, locked anonymous pages take their place: visible in
`GuardedMemory.kind`. Python code holds addresses only (`Slot`), never the bytes.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Literal

from undercroft_appliance.errors import MemoryUnavailableError

from .native import MADV_DONTDUMP, MADV_DONTFORK, MAP_FAILED, checked, libc, secp_ffi, sodium, sodium_ffi, stack_zero

Kind = Literal["memfd_secret", "mlock"]
KINDS: Final[tuple[Kind, ...]] = ("memfd_secret", "mlock")
"""In the order in which they are tried."""

_SYS_MEMFD_SECRET = 447  # the same number on every architecture
_MAP_FIXED = 0x10
_PROT_NONE = 0
_READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE
_MADV_WIPEONFORK = 18
_ALIGNMENT = 16
_STACK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, repr=False)
class Slot:
    """`size` bytes at `address` in guarded memory. It tells where a secret is, and never what it is."""

    address: int
    size: int

    def __repr__(self) -> str:
        return f"Slot({self.size} guarded bytes)"

    @property
    def secp(self) -> Any:
        """The `unsigned char *` that coincurve's library takes."""
        return secp_ffi.cast("unsigned char *", self.address)

    @property
    def sodium(self) -> Any:
        """The `unsigned char *` that PyNaCl's library takes."""
        return sodium_ffi.cast("unsigned char *", self.address)

    def part(self, offset: int, size: int) -> Slot:
        """`size` bytes of this slot from `offset` on."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise ValueError(f"no part {offset}+{size} in a slot of {self.size} bytes")
        return Slot(self.address + offset, size)

    def copy_from(self, other: Slot) -> None:
        """Copies a slot of the same size; no byte passes through Python."""
        if other.size != self.size:
            raise ValueError(f"a slot of {other.size} bytes does not fit one of {self.size}")
        sodium_ffi.memmove(self.sodium, other.sodium, self.size)

    def store_public(self, data: bytes) -> None:
        """Writes bytes that are no secret (constants, indexes, test vectors), as many as the slot has."""
        if len(data) != self.size:
            raise ValueError(f"{len(data)} bytes do not fit a slot of {self.size}")
        sodium_ffi.memmove(self.sodium, data, self.size)

    def read_public(self) -> bytes:
        """The bytes themselves: only for what is public (an account's chain code, a known answer)."""
        return bytes(sodium_ffi.buffer(self.sodium, self.size))

    def wipe(self) -> None:
        """Overwrites the slot with zeros."""
        sodium.sodium_memzero(sodium_ffi.cast("void *", self.address), self.size)


class _Use:
    """For ``with``. A class: it is entered for every transaction, and a generator would cost as much as mprotect."""

    __slots__ = ("_enter", "_leave")

    def __init__(self, enter: Callable[[], None], leave: Callable[[], None]) -> None:
        self._enter = enter
        self._leave = leave

    def __enter__(self) -> None:
        self._enter()

    def __exit__(self, *_: object) -> None:
        self._leave()


class GuardedMemory:
    """A few pages for secrets, handed out slot by slot; nothing but `close` gives a slot back.

    They are open to their maker until `shut`; then, but within `used`, whoever touches a slot ends the process.
    Raises MemoryUnavailableError if none of the wanted kinds can be had.
    """

    def __init__(self, size: int = 2 * mmap.PAGESIZE, *, kinds: Sequence[Kind] = KINDS) -> None:
        self.size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        self._whole = self.size + 2 * mmap.PAGESIZE
        base = libc.mmap(None, self._whole, _PROT_NONE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        if base == MAP_FAILED:
            raise MemoryUnavailableError(f"mmap: {os.strerror(ctypes.get_errno())}")
        self._base: int = base
        self.address = self._base + mmap.PAGESIZE
        self._taken = 0
        self._users = 1
        self._use = _Use(self._open, self._leave)
        self.closed = False
        try:
            self.kind: Kind = self._map_first_of(kinds)
            checked("madvise(DONTDUMP)", libc.madvise(self.address, self.size, MADV_DONTDUMP))
        except BaseException:
            libc.munmap(self._base, self._whole)
            raise
        self.wipe()

    def _map_first_of(self, kinds: Sequence[Kind]) -> Kind:
        reasons = []
        for kind in kinds:
            try:
                if kind == "memfd_secret":
                    self._map_secret()
                else:
                    self._map_locked()
            except MemoryUnavailableError as reason:
                reasons.append(f"{kind}: {reason.detail}")
            else:
                return kind
        raise MemoryUnavailableError("; ".join(reasons))

    def _map_secret(self) -> None:
        descriptor = libc.syscall(_SYS_MEMFD_SECRET, os.O_CLOEXEC)
        if descriptor < 0:
            raise MemoryUnavailableError(f"memfd_secret: {os.strerror(ctypes.get_errno())}")
        try:
            os.ftruncate(descriptor, self.size)
            got = libc.mmap(self.address, self.size, _READ_WRITE, mmap.MAP_SHARED | _MAP_FIXED, descriptor, 0)
        except OSError as error:
            raise MemoryUnavailableError(f"ftruncate: {error.strerror}") from error
        finally:
            # An open descriptor could be taken by another process (pidfd_getfd) and mapped there.
            os.close(descriptor)
        if got != self.address:
            raise MemoryUnavailableError(f"mmap: {os.strerror(ctypes.get_errno())}")
        checked("madvise(DONTFORK)", libc.madvise(self.address, self.size, MADV_DONTFORK))

    def _map_locked(self) -> None:
        # A fresh map: a try at memfd_secret that went half way must leave nothing below this one.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED
        if libc.mmap(self.address, self.size, _READ_WRITE, flags, -1, 0) != self.address:
            raise MemoryUnavailableError(f"mmap: {os.strerror(ctypes.get_errno())}")
        checked("mlock", libc.mlock(self.address, self.size))
        checked("madvise(WIPEONFORK)", libc.madvise(self.address, self.size, _MADV_WIPEONFORK))

    def __repr__(self) -> str:
        return f"GuardedMemory({self.size} bytes, {self.kind})"

    def take(self, size: int) -> Slot:
        """The next `size` bytes that nobody has. Raises MemoryUnavailableError when the pages are full."""
        if self.closed:
            raise MemoryUnavailableError("it is closed")
        offset = -(-self._taken // _ALIGNMENT) * _ALIGNMENT
        if size <= 0 or offset + size > self.size:
            raise MemoryUnavailableError(f"no {size} bytes are left of {self.size}")
        self._taken = offset + size
        return Slot(self.address + offset, size)

    def shut(self) -> None:
        """From now on the pages can be touched only within `used`. Call it once, when all slots are taken."""
        # Attack: a library with a hole in it reads what lies about in the memory while nobody signs.
        self._leave()

    def used(self) -> AbstractContextManager[None]:
        """The pages can be read and written meanwhile; it may be nested. Entering raises MemoryUnavailableError."""
        return self._use

    def wipe(self) -> None:
        """Overwrites all of it with zeros, in use or not; the slots stay usable."""
        if self.closed:
            return
        # Not by `used`: a signal that came in the middle of that must not keep a secret from being wiped.
        self._protect(_READ_WRITE)
        Slot(self.address, self.size).wipe()
        if self._users == 0:
            self._protect(_PROT_NONE)

    def _open(self) -> None:
        if self.closed:
            raise MemoryUnavailableError("it is closed")
        self._users += 1
        if self._users == 1:
            self._protect(_READ_WRITE)

    def _leave(self) -> None:
        self._users -= 1
        if self._users == 0 and not self.closed:
            self._protect(_PROT_NONE)

    def _protect(self, access: int) -> None:
        checked("mprotect", libc.mprotect(self.address, self.size, access))

    def close(self) -> None:
        """Wipes and unmaps. No slot may be used any more: its address is gone."""
        if self.closed:
            return
        self.wipe()
        self.closed = True
        checked("munmap", libc.munmap(self._base, self._whole))

    def __enter__(self) -> GuardedMemory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def stack_wipe() -> None:
    """Overwrites the unused 64 KiB of stack below, where a C function may have spilled a secret."""
    stack_zero(_STACK_BYTES)
