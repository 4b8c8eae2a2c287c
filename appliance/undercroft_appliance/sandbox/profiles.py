"""What each of the three processes may still ask the kernel for once everything it needs is open."""

from __future__ import annotations

import fcntl
import termios
from typing import Final

from .seccomp import Condition, Rule

_WHOLE: Final = 0xFFFFFFFFFFFFFFFF
_INT: Final = 0xFFFFFFFF
_PROT_EXEC: Final = 4
_MAP_KIND: Final = 0x23
_MAP_PRIVATE_ANONYMOUS: Final = 0x22
_MSG_OOB: Final = 1
_TERMIOS2: Final = (0x802C542A, 0x402C542B, 0x402C542C, 0x402C542D)
"""TCGETS2, TCSETS2, TCSETSW2, TCSETSF2, by which newer C libraries do the same."""
_SETTINGS: Final = (
    termios.TCGETS, termios.TCSETS, termios.TCSETSW, termios.TCSETSF, termios.TCFLSH, *_TERMIOS2,
)  # fmt: skip
"""ioctl requests that read or set a terminal's settings. TIOCSTI, which types for the owner, is none of them."""
_SCREEN: Final = (*_SETTINGS, termios.TCSBRK, termios.TIOCGWINSZ)
_STREAMING: Final = (0xC058560F, 0xC0585611, 0x40045613)
"""VIDIOC_QBUF, VIDIOC_DQBUF, VIDIOC_STREAMOFF (linux/videodev2.h) of 64-bit machines; it streams already."""

_NOT_EXECUTABLE: Final = Condition(2, _PROT_EXEC, 0)
_COMMON: Final = (
    # Memory: anonymous and never executable, so that no code can be brought in; never shared, which RLIMIT_DATA would
    # not count.
    Rule("mmap", (_NOT_EXECUTABLE, Condition(3, _MAP_KIND, _MAP_PRIVATE_ANONYMOUS))),
    Rule("mprotect", (_NOT_EXECUTABLE,)),
    *map(Rule, ("brk", "madvise", "mremap", "munmap")),
    # Descriptors that are open. No address: what a socket is joined to stays what it was joined to. No byte out of
    # band: poll(2) tells of it and recv(2) does not find it, so that a keeper would wait for it, and its owner for the
    # keeper.
    Rule("sendto", (Condition(3, _MSG_OOB, 0), Condition(4, _WHOLE, 0))),
    *map(Rule, ("close", "fstat", "lseek", "poll", "ppoll", "read", "recvfrom", "write")),
    # Time, randomness, signals to itself by the kernel, and the end.
    *map(Rule, ("clock_getres", "clock_gettime", "getpid", "getrandom", "gettid", "gettimeofday")),
    *map(Rule, ("exit", "exit_group", "futex", "restart_syscall", "sched_yield")),
    *map(Rule, ("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack")),
)


def _ioctls(requests: tuple[int, ...]) -> tuple[Rule, ...]:
    return tuple(Rule("ioctl", (Condition(1, _INT, request),)) for request in requests)


KEEPER: Final = (*_COMMON, Rule("mlock"), Rule("ftruncate"), *_ioctls(_SETTINGS))
"""Locks Argon2's working memory, empties and writes its handover, sets the terminal's echo."""
PANEL: Final = (*_COMMON, *_ioctls(_SCREEN))
"""Sets the terminal, waits until it has shown all, asks for its size."""
PORT: Final = (
    *_COMMON,
    *_ioctls((*_SETTINGS, termios.TIOCGWINSZ, *_STREAMING)),
    # Whether a terminal's descriptor waits; nothing is set.
    Rule("fcntl", (Condition(1, _INT, fcntl.F_GETFL),)),
)
"""Drives the line, the camera and the terminal that it opened; pictures come in memory that was mapped before."""

REFUSED: Final = (
    "access", "faccessat", "faccessat2", "getcwd", "getdents64", "getpeername", "getsockname", "lstat", "newfstatat",
    "open", "openat", "openat2", "readlink", "readlinkat", "stat", "statx",
)  # fmt: skip
"""Answered with EPERM: when Python formats an error it tries to read its sources and to describe sockets, and goes on
without."""
