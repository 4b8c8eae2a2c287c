"""What this kernel must not have, and what it must."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..sandbox import landlock
from .probes import MISSING, WORKS, Probe

_libc: Final = ctypes.CDLL(None, use_errno=True)
_MEMFD_SECRET: Final = 447
_READ_ALL: Final = 3
"""SYSLOG_ACTION_READ_ALL."""
_NEW_USER: Final = 0x10000000
"""CLONE_NEWUSER."""
_TRACE_ME: Final = 0
_FAMILIES: Final = 64
"""Address families of sockets; Linux 6.12 knows 46."""
_KINDS: Final = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET)


def _socket(family: int, kind: socket.SocketKind) -> Callable[[], str]:
    def look() -> str:
        socket.socket(family, kind).close()
        return WORKS

    return look


def _families() -> str:
    """All address families of which there is some kind of socket."""
    working = []
    for family in range(_FAMILIES):
        for kind in _KINDS:
            try:
                socket.socket(family, kind).close()
            except OSError:
                continue
            working.append(str(family))
            break
    return " ".join(working)


def _call(number: int, *arguments: int) -> Callable[[], str]:
    def look() -> str:
        words = [ctypes.c_long(one) for one in arguments]
        if _libc.syscall(ctypes.c_long(number), *words) < 0:
            raise OSError(ctypes.get_errno(), "")
        return WORKS

    return look


def _path(path: str) -> Callable[[], str]:
    return lambda: "there" if Path(path).exists() else MISSING


def _write(path: str, text: str) -> Callable[[], str]:
    def look() -> str:
        Path(path).write_text(text, encoding="ascii")
        return WORKS

    return look


def _text(path: str) -> Callable[[], str]:
    return lambda: Path(path).read_text(encoding="ascii").strip()


def _on_disk_kinds() -> str:
    """File systems that live on a block device."""
    lines = Path("/proc/filesystems").read_text(encoding="ascii").splitlines()
    return " ".join(line.strip() for line in lines if not line.startswith("nodev")) or MISSING


def _interfaces() -> str:
    return " ".join(sorted(path.name for path in Path("/sys/class/net").iterdir()))


def _input_handlers() -> str:
    """Who gets what is pressed on a keyboard."""
    lines = Path("/proc/bus/input/handlers").read_text(encoding="ascii").splitlines()
    return " ".join(sorted(part.removeprefix("Name=") for line in lines for part in line.split() if "Name=" in part))


def _command_line() -> str:
    """What it says of random numbers and of the order of memory: none of it is asked for anywhere else."""
    words = Path("/proc/cmdline").read_text(encoding="ascii").split()
    return " ".join(word for word in words if word.startswith(("random.", "page_alloc.")))


def _secret_memory() -> str:
    descriptor = _libc.syscall(ctypes.c_long(_MEMFD_SECRET), ctypes.c_uint(0))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "")
    os.close(descriptor)
    return WORKS


def _wiping() -> str:
    """How the kernel says it treats memory that is given out and given back."""
    buffer = ctypes.create_string_buffer(1 << 20)
    size = _libc.klogctl(_READ_ALL, buffer, len(buffer))
    if size < 0:
        raise OSError(ctypes.get_errno(), "")
    lines = buffer.raw[:size].decode("ascii", "replace").splitlines()
    found = [line.partition("mem auto-init: ")[2] for line in lines if "mem auto-init: " in line]
    return found[0] if found else MISSING


def _lsm() -> str:
    return ",".join(sorted(Path("/sys/kernel/security/lsm").read_text(encoding="ascii").split(",")))


_STREAM, _PACKETS, _RAW = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW
_SOCKETS: Final = (
    ("IPv4 TCP", 2, _STREAM), ("IPv4 UDP", 2, _PACKETS), ("IPv6 TCP", 10, _STREAM), ("IPv6 UDP", 10, _PACKETS),
    ("packets of a network card", 17, _RAW), ("CAN", 29, _RAW), ("Bluetooth", 31, _RAW),
    ("kernel's crypto", 38, _STREAM), ("virtual machine's host", 40, _STREAM), ("XDP", 44, _RAW),
)  # fmt: skip
_CALLS: Final = {
    # As numbered on 64-bit Arm.
    "io_setup": 0, "quotactl": 60, "acct": 89, "kexec_load": 104, "init_module": 105, "delete_module": 106,
    "mq_open": 180, "msgget": 186, "semget": 190, "shmget": 194, "add_key": 217, "request_key": 218, "keyctl": 219,
    "swapon": 224, "perf_event_open": 241, "fanotify_init": 262, "name_to_handle_at": 264, "open_by_handle_at": 265,
    "process_vm_readv": 270, "process_vm_writev": 271, "finit_module": 273, "bpf": 280,
    "userfaultfd": 282, "kexec_file_load": 294, "io_uring_setup": 425,
}  # fmt: skip
_ABSENT: Final = (
    "/dev/fuse", "/dev/input", "/dev/kvm", "/dev/loop-control", "/dev/mem", "/dev/net/tun", "/dev/port", "/dev/ptmx",
    "/dev/rfkill", "/dev/snapshot", "/dev/uhid", "/dev/uinput",
    "/proc/bus/usb", "/proc/config.gz", "/proc/kallsyms", "/proc/kcore", "/proc/kpageflags", "/proc/modules",
    "/proc/net/packet", "/proc/net/tcp", "/proc/net/udp", "/proc/partitions", "/proc/self/pagemap", "/proc/swaps",
    "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/net/ipv4",
    "/sys/block", "/sys/class/block", "/sys/class/bluetooth", "/sys/class/hidraw", "/sys/class/ieee80211",
    "/sys/firmware/efi/efivars", "/sys/kernel/debug/tracing", "/sys/kernel/tracing/events", "/sys/kernel/vmcoreinfo",
)  # fmt: skip
_SETTINGS: Final = {
    "dev/tty/ldisc_autoload": "0", "dev/tty/legacy_tiocsti": "0", "kernel/ctrl-alt-del": "0",
    "kernel/dmesg_restrict": "1", "kernel/kptr_restrict": "2", "kernel/panic": "-1", "kernel/panic_on_oops": "1",
    "kernel/random/entropy_avail": "256", "kernel/randomize_va_space": "2", "kernel/yama/ptrace_scope": "3",
    "fs/protected_hardlinks": "1", "fs/protected_symlinks": "1", "fs/suid_dumpable": "0", "vm/mmap_min_addr": "65536",
}  # fmt: skip

MISSING_PARTS: Final = (
    *(Probe(f"socket: {name}", "EAFNOSUPPORT", _socket(family, kind)) for name, family, kind in _SOCKETS),
    # AF_UNIX, between processes; AF_NETLINK, which comes with it, and which the processes' filters refuse.
    Probe("sockets: address families", "1 16", _families),
    *(Probe(f"system call: {name}", "ENOSYS", _call(number, 0, 0, 0, 0, 0)) for name, number in _CALLS.items()),
    *(Probe(f"path: {path}", MISSING, _path(path)) for path in _ABSENT),
    Probe("unshare: a user namespace", "EINVAL", _call(97, _NEW_USER)),
    Probe("file systems on a disk", MISSING, _on_disk_kinds),
    Probe("network interfaces", "lo", _interfaces),
    # The consoles alone: nobody reads keys past the console that they are meant for.
    Probe("who gets the keys of keyboards", "kbd", _input_handlers),
)
WALLS: Final = (
    Probe("memfd_secret", WORKS, _secret_memory),
    Probe("Landlock", "6", lambda: str(landlock.version())),
    Probe("lockdown", "none integrity [confidentiality]", _text("/sys/kernel/security/lockdown")),
    Probe("lockdown: take it back", "EPERM", _write("/sys/kernel/security/lockdown", "none")),
    Probe("security modules", "capability,landlock,lockdown,yama", _lsm),
    Probe("memory that is given out or back", "stack:all(zero), heap alloc:on, heap free:on", _wiping),
    Probe("command line", "random.trust_bootloader=off page_alloc.shuffle=1", _command_line),
    Probe("memory is given out in no order", "Y", _text("/sys/module/page_alloc/parameters/shuffle")),
    *(Probe(f"setting: {name}", value, _text(f"/proc/sys/{name}")) for name, value in _SETTINGS.items()),
    Probe("ptrace: allow it again", "EINVAL", _write("/proc/sys/kernel/yama/ptrace_scope", "0")),
    Probe("ptrace: be traced", "EPERM", _call(117, _TRACE_ME, 0, 0, 0)),
)
ALL: Final = (*MISSING_PARTS, *WALLS)
"""Tried out after the set-up is done."""
