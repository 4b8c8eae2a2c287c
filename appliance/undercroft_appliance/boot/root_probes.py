"""What the root and the other file systems must be like: nothing to run but what belongs there, and no way to add."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .probes import MISSING, Probe

_PROGRAMS: Final = "/usr/bin/python3.13 /usr/lib/ld-linux-aarch64.so.1"
_NO_SHELL: Final = ("/bin/sh", "/usr/bin/sh", "/usr/bin/env", "/usr/bin/dpkg", "/init", "/usr/lib/python3.13/site.py")
_NEEDED: Final = {
    # Devices lie in /dev alone, programs in the root alone, and nowhere does a file give its user's rights.
    "/": {"ro", "nosuid", "nodev"},
    "/dev": {"nosuid", "noexec"},
}
_ELSEWHERE: Final = {"nosuid", "nodev", "noexec"}


@functools.cache
def _files(place: str) -> tuple[tuple[str, os.stat_result], ...]:
    """All below ``place`` on its own file system, and their states; links are not followed."""
    device, found = os.lstat(place).st_dev, list[tuple[str, os.stat_result]]()
    folders = [place]
    while folders:
        with os.scandir(folders.pop()) as entries:
            inside = [(entry.path, entry.stat(follow_symlinks=False)) for entry in entries]
        found += inside
        folders += [path for path, state in inside if stat.S_ISDIR(state.st_mode) and state.st_dev == device]
    return tuple(found)


def _those(place: str, is_one: Callable[[int], bool]) -> Callable[[], str]:
    return lambda: " ".join(sorted(path for path, state in _files(place) if is_one(state.st_mode))) or MISSING


def _is_program(mode: int) -> bool:
    return stat.S_ISREG(mode) and bool(mode & 0o111)


def _is_for_all_to_write(mode: int) -> bool:
    return not stat.S_ISLNK(mode) and bool(mode & 0o022)


def _gives_rights(mode: int) -> bool:
    return bool(mode & (stat.S_ISUID | stat.S_ISGID))


def _strangers() -> str:
    """What does not belong to root."""
    return " ".join(path for path, state in _files("/") if (state.st_uid, state.st_gid) != (0, 0)) or MISSING


def _mounts() -> str:
    """Where a file system is mounted with more rights than it needs."""
    wrong = []
    for line in Path("/proc/self/mounts").read_text(encoding="ascii").splitlines():
        _, place, _, flags, *_ = line.split()
        lacking = _NEEDED.get(place, _ELSEWHERE) - set(flags.split(","))
        if lacking:
            wrong.append(f"{place} ({' '.join(sorted(lacking))})")
    return " ".join(wrong) or MISSING


def _kinds() -> str:
    lines = Path("/proc/self/mounts").read_text(encoding="ascii").splitlines()
    known = {"rootfs", "proc", "sysfs", "devtmpfs", "securityfs", "configfs"}
    return " ".join(line for line in lines if line.split()[2] not in known) or MISSING


def _written(path: str) -> Callable[[], str]:
    def look() -> str:
        Path(path).write_bytes(b"")
        return "written"

    return look


def _there(path: str) -> Callable[[], str]:
    return lambda: "there" if os.path.lexists(path) else MISSING


ALL: Final = (
    *(Probe(f"path: {path}", MISSING, _there(path)) for path in _NO_SHELL),
    Probe("programs", _PROGRAMS, _those("/", _is_program)),
    Probe("files that give rights", MISSING, _those("/", _gives_rights)),
    Probe("files that others may write", MISSING, _those("/", _is_for_all_to_write)),
    Probe("files of others", MISSING, _strangers),
    Probe("block devices", MISSING, _those("/dev", stat.S_ISBLK)),
    Probe("mounts with rights too many", MISSING, _mounts),
    Probe("mounts of other kinds", MISSING, _kinds),
    *(Probe(f"write a file: {path}", "EROFS", _written(path)) for path in ("/written", "/tmp/written", "/run/written")),  # noqa: S108
)
"""Tried out after the root was made read-only."""
