"""The foreign functions that touch secrets, in one place.

coincurve's and PyNaCl's own C libraries are called through their cffi modules, the C library and the symbols
that libsodium exports beside them through ctypes: all of them take a pointer into guarded memory, so that a
secret never becomes a Python object.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

import nacl._sodium
from coincurve._libsecp256k1 import ffi as secp_ffi
from coincurve._libsecp256k1 import lib as secp
from coincurve.context import GLOBAL_CONTEXT
from nacl._sodium import ffi as sodium_ffi
from nacl._sodium import lib as sodium

from undercroft_appliance.errors import MemoryUnavailableError, SelfTestError

__all__ = [
    "MADV_DONTDUMP",
    "MADV_DONTFORK",
    "MAP_FAILED",
    "SECP_CONTEXT",
    "checked",
    "libc",
    "secp",
    "secp_ffi",
    "sodium",
    "sodium_ffi",
    "stack_zero",
]

SECP_CONTEXT: Any = GLOBAL_CONTEXT.ctx

MAP_FAILED = ctypes.c_void_p(-1).value
MADV_DONTFORK = 10
MADV_DONTDUMP = 16

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
]  # fmt: skip
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.read.restype = ctypes.c_ssize_t
libc.read.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
libc.getrandom.restype = ctypes.c_ssize_t
libc.getrandom.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint]
libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]
libc.syscall.restype = ctypes.c_long

if sodium.sodium_init() < 0:
    raise SelfTestError("libsodium does not start")

try:
    stack_zero = ctypes.CDLL(nacl._sodium.__file__).sodium_stackzero
except AttributeError:
    raise SelfTestError("libsodium does not export sodium_stackzero") from None
stack_zero.argtypes = [ctypes.c_size_t]
stack_zero.restype = None


def checked(what: str, result: int) -> None:
    """Raises MemoryUnavailableError, naming the call and errno, if a libc call returned other than 0."""
    if result != 0:
        raise MemoryUnavailableError(f"{what}: {os.strerror(ctypes.get_errno())}")
