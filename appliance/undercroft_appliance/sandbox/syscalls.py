"""The numbers of the system calls that a filter names, for the two machines that an appliance runs on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from ..errors import ConfigurationError

_NUMBERS: Final[dict[str, tuple[int | None, int | None]]] = {
    # name: (x86_64, aarch64); None where that machine has no such call
    "access": (21, None),
    "brk": (12, 214),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "close": (3, 57),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "fcntl": (72, 25),
    "fstat": (5, 80),
    "ftruncate": (77, 46),
    "futex": (202, 98),
    "getcwd": (79, 17),
    "getdents64": (217, 61),
    "getpeername": (52, 205),
    "getpid": (39, 172),
    "getrandom": (318, 278),
    "getsockname": (51, 204),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "ioctl": (16, 29),
    "lseek": (8, 62),
    "lstat": (6, None),
    "madvise": (28, 233),
    "mlock": (149, 228),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "newfstatat": (262, 79),
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "poll": (7, None),
    "ppoll": (271, 73),
    "read": (0, 63),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "recvfrom": (45, 207),
    "restart_syscall": (219, 128),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "sendto": (44, 206),
    "sigaltstack": (131, 132),
    "stat": (4, None),
    "statx": (332, 291),
    "write": (1, 64),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """An architecture as seccomp names it (``AUDIT_ARCH_*``), and its numbers for seccomp(2) and capset(2)."""

    name: str
    audit: int
    seccomp: int
    capset: int

    def number(self, call: str) -> int | None:
        """The number of a system call, or None where this machine has no such call. Raises KeyError."""
        return _NUMBERS[call][MACHINES.index(self)]


MACHINES: Final = (Machine("x86_64", 0xC000003E, 317, 126), Machine("aarch64", 0xC00000B7, 277, 91))


def this_machine() -> Machine:
    """Raises ConfigurationError on any other: a filter with another machine's numbers would allow anything."""
    name = os.uname().machine
    for machine in MACHINES:
        if machine.name == name:
            return machine
    known = " and ".join(machine.name for machine in MACHINES)
    raise ConfigurationError(f"there is no sandbox for keys on {name}, only on {known}")
