"""Runs something as on a kernel without memfd_secret(2), so that an appliance falls back on mlock.

A seccomp filter on one thread, which all processes started from it inherit: the appliance itself has no switch for it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable
from typing import Final, TypeVar

R = TypeVar("R")

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_SYS_MEMFD_SECRET: Final = 447
_LOAD_NUMBER: Final = 0x20
_JUMP_IF_EQUAL: Final = 0x15
_RETURN: Final = 0x06
_ALLOW: Final = 0x7FFF0000
_FAIL: Final = 0x00050000


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


def without_memfd_secret(run: Callable[[], R]) -> R:
    """What `run` returns or raises, in a thread of its own. Raises OSError where seccomp is not to be had."""
    results: list[R] = []
    errors: list[BaseException] = []

    def filtered() -> None:
        try:
            _forbid_memfd_secret()
            results.append(run())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=filtered, name="without memfd_secret")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _forbid_memfd_secret() -> None:
    instructions = (_Instruction * 4)(
        _Instruction(_LOAD_NUMBER, 0, 0, 0),
        _Instruction(_JUMP_IF_EQUAL, 0, 1, _SYS_MEMFD_SECRET),
        _Instruction(_RETURN, 0, 0, _FAIL | errno.ENOSYS),
        _Instruction(_RETURN, 0, 0, _ALLOW),
    )
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]
    program = _Program(len(instructions), instructions)
    for option, value, pointer in (
        (_PR_SET_NO_NEW_PRIVS, 1, None),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program)),
    ):
        if libc.prctl(option, value, pointer, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl({option}): {os.strerror(ctypes.get_errno())}")
