"""The memory of a running process as root sees it: every map of /proc/PID/maps, read through /proc/PID/mem.

Permissions of a map do not matter (the kernel lets a tracer read pages without access, too). What cannot be read
is told apart: secret memory (memfd_secret), the kernel's own pages (vvar), devices.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

from undercroft_appliance.errors import ConfigurationError

CHUNK_BYTES: Final = 1 << 17
OVERLAP_BYTES: Final = 4096
"""Chunks overlap by more than the shortest part that is looked for, so that none is cut."""

_GUARDED_NAME: Final = "/secretmem"
_LOCKED_FLAGS: Final = frozenset({"lo", "dd", "wf"})
"""mlock, DONTDUMP and WIPEONFORK together: nothing but the keeper's guarded memory asks for all three."""
_HEAD: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) [0-9a-f]+ \S+ \d+ *(.*)")
_VM_FLAGS: Final = "VmFlags:"


@dataclass(frozen=True, slots=True)
class Region:
    """One map: addresses from `start` up to `end`, its permissions as in /proc/PID/maps, and what it is of."""

    start: int
    end: int
    permissions: str
    name: str
    guarded: bool
    """The pages that an appliance's keeper has for its secrets."""

    def __str__(self) -> str:
        return f"{self.start:x}-{self.end:x} {self.permissions} {self.name or '(anonymous)'}"


def regions(pid: int) -> tuple[Region, ...]:
    """All maps of a process. Raises ConfigurationError (it is gone, or not to be looked into)."""
    try:
        lines = Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise _refused(pid, error) from error
    found: list[Region] = []
    for line in lines:
        if head := _HEAD.fullmatch(line):
            start, end, permissions, name = head.groups()
            guarded = name.startswith(_GUARDED_NAME)
            found.append(Region(int(start, 16), int(end, 16), permissions, name, guarded))
        elif line.startswith(_VM_FLAGS) and set(line.split()) >= _LOCKED_FLAGS:
            last = found.pop()
            found.append(Region(last.start, last.end, last.permissions, last.name, guarded=True))
    return tuple(found)


class Memory(Protocol):
    """The memory of a process, as it is now or as it was."""

    @property
    def pid(self) -> int: ...

    @property
    def regions(self) -> tuple[Region, ...]: ...

    def chunks(self, region: Region) -> Iterable[tuple[int, bytes]]:
        """(address, bytes) of a map, overlapping; no bytes stand for one page that the kernel refuses to read."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class ProcessMemory:
    """The memory of one process, open for reading.

    Raises ConfigurationError if this user may not look into it, it is gone, or it is this process itself.
    """

    def __init__(self, pid: int) -> None:
        if pid == os.getpid():
            raise ConfigurationError("a scan does not look into itself: it holds all that it looks for")
        self.pid = pid
        self.regions = regions(pid)
        try:
            self._file = Path(f"/proc/{pid}/mem").open("rb", buffering=0)  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise _refused(pid, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def chunks(self, region: Region) -> Iterator[tuple[int, bytes]]:
        """(address, bytes) of a map, overlapping; no bytes stand for one page that the kernel refuses to read."""
        at = region.start
        while at < region.end:
            wanted = min(CHUNK_BYTES + OVERLAP_BYTES, region.end - at)
            data = self._read(at, wanted)
            yield at, data
            if len(data) < wanted:
                at += len(data) or mmap.PAGESIZE
            else:
                at += min(CHUNK_BYTES, wanted)

    def snapshot(self) -> Snapshot:
        """All of it as it is now, to be searched for what is not known yet."""
        return Snapshot(self.pid, self.regions, {region: tuple(self.chunks(region)) for region in self.regions})

    def _read(self, at: int, size: int) -> bytes:
        if at > sys.maxsize:
            return b""  # vsyscall, in the kernel's half of the addresses
        try:
            self._file.seek(at)
            return self._file.read(size)
        except OSError as error:
            if error.errno in (errno.EIO, errno.EFAULT):
                return b""
            raise


@dataclass(frozen=True, slots=True, repr=False)
class Snapshot:
    """The memory of one process as it was."""

    pid: int
    regions: tuple[Region, ...]
    read: Mapping[Region, tuple[tuple[int, bytes], ...]]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to close."""

    def chunks(self, region: Region) -> tuple[tuple[int, bytes], ...]:
        """What was read of a map."""
        return self.read[region]


def with_children(pids: Iterable[int]) -> tuple[int, ...]:
    """The processes and all that they have started, directly or not, and that still live."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = list(pids)
    while waiting:
        pid = waiting.pop(0)
        if pid not in found:
            found.append(pid)
            waiting += sorted(children.get(pid, []))
    return tuple(found)


def _refused(pid: int, error: OSError) -> ConfigurationError:
    if isinstance(error, PermissionError):
        return ConfigurationError(
            f"the memory of process {pid} is closed to this user: a keeper is not dumpable, so that it takes root "
            "(CAP_SYS_PTRACE) to look into it"
        )
    return ConfigurationError(f"process {pid} cannot be looked into: {error.strerror}")
