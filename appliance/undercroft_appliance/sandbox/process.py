"""What a process of an appliance gives up: root's rights, its user, and being looked into by others."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from pathlib import Path
from typing import Final

from ..errors import ConfigurationError
from .syscalls import this_machine

USERS: Final = {"port": 60801, "panel": 60802, "keeper": 60803}
"""The user and group ids of the processes of an appliance that is started as root. They are in no /etc/passwd: the
range 60578 to 61183 belongs to nobody, neither to people, packages, containers nor systemd."""

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITY_VERSION: Final = 0x20080522
_LAST_CAPABILITY: Final = 63
_SUPERVISOR_KEEPS: Final = frozenset({
    1,  # CAP_DAC_OVERRIDE: the port opens a line, a camera and a terminal that others own
    5,  # CAP_KILL: the supervisor ends processes that are no longer root's
    6, 7,  # CAP_SETGID, CAP_SETUID: they leave root
    14,  # CAP_IPC_LOCK: Argon2's working memory is locked
    24,  # CAP_SYS_RESOURCE: the limit on locked memory is raised
})  # fmt: skip
_libc: Final = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int = 0) -> int:
    """prctl(2). Raises ConfigurationError, naming the option, when the kernel refuses."""
    result = int(_libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)))
    if result < 0:
        raise ConfigurationError(f"the kernel refuses prctl {option} ({os.strerror(ctypes.get_errno())})")
    return result


def harden_process() -> None:
    """Close this process to others of its user: no ptrace, no /proc/PID/mem, no core, no new privileges.

    Raises ConfigurationError if the kernel does not do it.
    """
    prctl(_PR_SET_DUMPABLE, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with(parent: int) -> None:
    """Be killed when the process ``parent``, which started this one, ends. Raises ConfigurationError."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have ended before that.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def become(user: int) -> None:
    """Leave root for this user and group id, with no other groups; changes nothing where this is not root.

    Raises ConfigurationError when root cannot be left.
    """
    if os.geteuid() != 0:
        return
    parent = os.getppid()
    try:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    except OSError as error:
        raise ConfigurationError(f"root cannot become user {user} ({error.strerror})") from error
    # The kernel forgets both when the user changes.
    die_with(parent)
    harden_process()


def keep_few_capabilities() -> None:
    """For a supervisor that is root: keep only what starting, ending and moving its processes takes, for good.

    Raises ConfigurationError.
    """
    if os.geteuid() != 0:
        return
    for number in range(_LAST_CAPABILITY + 1):
        if number not in _SUPERVISOR_KEEPS and _libc.prctl(_PR_CAPBSET_READ, ctypes.c_ulong(number), 0, 0, 0) == 1:
            prctl(_PR_CAPBSET_DROP, number)
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _set_capabilities(sum(1 << number for number in _SUPERVISOR_KEEPS))


def _set_capabilities(wanted: int) -> None:
    """capset(2) for this process: so many of ``wanted`` as it has, permitted and effective, and none inheritable."""
    call, header = this_machine().capset, (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    # Twice: the lower 32 and the upper 32 capabilities, each as effective, permitted, inheritable.
    held = wanted & _permitted()
    halves = [part for shift in (0, 32) for part in ((held >> shift) & 0xFFFFFFFF,) * 2 + (0,)]
    if _libc.syscall(ctypes.c_long(call), header, (ctypes.c_uint32 * 6)(*halves)) != 0:
        raise ConfigurationError(f"capabilities cannot be given up ({os.strerror(ctypes.get_errno())})")


def _permitted() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapPrm:"))
