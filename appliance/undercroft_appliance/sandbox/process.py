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
"""The user and group ids of the processes of an appliance that is started as root. They are in no /etc/passwd but the
image's: the range 60578 to 61183 belongs to nobody, neither to people, packages, containers nor systemd."""

READ_ANY_FILE: Final = (2, 1)
"""CAP_DAC_READ_SEARCH, and CAP_DAC_OVERRIDE where a container took the first from root."""
SWITCH_OFF: Final = 22
"""CAP_SYS_BOOT."""

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_SET_SECUREBITS: Final = 28
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_AMBIENT_RAISE: Final = 2
_NO_RIGHTS_BY_USER: Final = 0xEF
"""SECBIT_NOROOT, SECBIT_NO_SETUID_FIXUP and SECBIT_NO_CAP_AMBIENT_RAISE set, SECBIT_KEEP_CAPS not, all four locked."""
_CAPABILITY_VERSION: Final = 0x20080522
_LAST_CAPABILITY: Final = 63
_SUPERVISOR_KEEPS: Final = frozenset({
    5,  # CAP_KILL: the supervisor ends processes that are not root's
    6, 7,  # CAP_SETGID, CAP_SETUID: they are other users
    8,  # CAP_SETPCAP: they can never get a capability back
})  # fmt: skip
_libc: Final = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int = 0, more: int = 0) -> int:
    """prctl(2). Raises ConfigurationError, naming the option, when the kernel refuses."""
    words = [ctypes.c_ulong(word) for word in (value, more, 0, 0)]
    result = int(_libc.prctl(option, *words))
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


def become(user: int, keep: int | None = None) -> None:
    """Leave root for this user and group id, with no other groups and no capability; nothing where this is not root.

    ``keep``: a capability that the next program has as well, until it calls `give_up_capabilities`. Raises
    ConfigurationError when root cannot be left.
    """
    if os.geteuid() != 0:
        return
    parent = os.getppid()
    kept = frozenset() if keep is None else frozenset({keep})
    try:
        os.setgroups([])
        os.setresgid(user, user, user)
        _bound(kept)
        _set_capabilities(held(), kept)
        if keep is not None:
            prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, keep)
        # Attack: a program that gets root's user id back gets no right with it.
        prctl(_PR_SET_SECUREBITS, _NO_RIGHTS_BY_USER)
        os.setresuid(user, user, user)
    except OSError as error:
        raise ConfigurationError(f"root cannot become user {user} ({error.strerror})") from error
    _set_capabilities(kept, kept)
    # The kernel forgets both when the user changes.
    die_with(parent)
    harden_process()


def give_up_capabilities() -> None:
    """Hold no capability any more, not even one that was kept for a start. Raises ConfigurationError."""
    _set_capabilities(frozenset())


def keep_few_capabilities(more: frozenset[int]) -> None:
    """For a supervisor that is root: keep only what starting and ending its processes takes, and ``more``, for good.

    Raises ConfigurationError.
    """
    if os.geteuid() != 0:
        return
    kept = _SUPERVISOR_KEEPS | more
    _bound(kept)
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _set_capabilities(kept & held())


def held() -> frozenset[int]:
    """The capabilities of this process (permitted, capabilities(7))."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    bits = next(int(line.split()[1], 16) for line in lines if line.startswith("CapPrm:"))
    return frozenset(number for number in range(_LAST_CAPABILITY + 1) if bits >> number & 1)


def _bound(kept: frozenset[int]) -> None:
    """Take all others from what this process and its children could ever have."""
    for number in range(_LAST_CAPABILITY + 1):
        if number not in kept and _libc.prctl(_PR_CAPBSET_READ, ctypes.c_ulong(number), 0, 0, 0) == 1:
            prctl(_PR_CAPBSET_DROP, number)


def _set_capabilities(wanted: frozenset[int], inheritable: frozenset[int] = frozenset()) -> None:
    """capset(2) for this process: ``wanted`` permitted and effective."""
    call, header = this_machine().capset, (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    sets = [sum(1 << number for number in one) for one in (wanted, wanted, inheritable)]
    # Twice: the lower 32 and the upper 32 capabilities, each as effective, permitted, inheritable.
    halves = [one >> shift & 0xFFFFFFFF for shift in (0, 32) for one in sets]
    if _libc.syscall(ctypes.c_long(call), header, (ctypes.c_uint32 * 6)(*halves)) != 0:
        raise ConfigurationError(f"capabilities cannot be given up ({os.strerror(ctypes.get_errno())})")
