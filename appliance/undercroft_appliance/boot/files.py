"""The file systems of a running appliance: all in memory, nothing to run outside the root, the root read-only."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..errors import BootError
from .kernel_calls import NO_DEVICES, NO_PROGRAMS, NO_SETUID, READ_ONLY, REMOUNT, mount

_DATA: Final = NO_SETUID | NO_DEVICES | NO_PROGRAMS
_SETTINGS: Final = {
    "fs/protected_symlinks": "1",
    "fs/protected_hardlinks": "1",
    "fs/suid_dumpable": "0",
    # Or else the machine starts anew without a word to anybody, with keys in its memory. So PID 1 gets a signal.
    "kernel/ctrl-alt-del": "0",
    "kernel/dmesg_restrict": "1",
    "kernel/kptr_restrict": "2",
    "kernel/panic": "-1",
    "kernel/panic_on_oops": "1",
    "kernel/randomize_va_space": "2",
    # The strictest: nothing on this machine is ever traced, and nobody can take that back.
    "kernel/yama/ptrace_scope": "3",
    "vm/mmap_min_addr": "65536",
}


def mount_all() -> None:
    """Mount what the kernel shows of itself, and the devices. Raises BootError."""
    mount("proc", "/proc", _DATA)
    mount("sysfs", "/sys", _DATA)
    mount("devtmpfs", "/dev", NO_SETUID | NO_PROGRAMS, "mode=0755")
    mount("securityfs", "/sys/kernel/security", _DATA)


def seal() -> None:
    """Set what can be set for good, and make the root read-only. Raises BootError."""
    for name, value in _SETTINGS.items():
        try:
            Path("/proc/sys", name).write_text(value + "\n", encoding="ascii")
        except OSError as error:
            raise BootError(f"{name} cannot be set ({error.strerror})") from error
    mount("rootfs", "/", REMOUNT | READ_ONLY | NO_SETUID | NO_DEVICES)
