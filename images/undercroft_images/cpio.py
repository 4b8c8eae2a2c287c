"""Writes the archive that a kernel unpacks as its root: cpio in the format "newc" (initramfs buffer format).

The bytes follow from the names, contents and modes alone: sorted, user and group 0, one time for all, inodes counted.
Nothing of the machine that builds gets in, and no right of root is needed for the device nodes.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .builder import EPOCH
from .errors import ImageError

_MAGIC: Final = b"070701"
_TRAILER: Final = "TRAILER!!!"
_ALIGN: Final = 4
_BLOCK: Final = 512
_HEAD_BYTES: Final = 110

NODES: Final = {
    # Python asks for random numbers before anything is mounted, and a first process needs its console.
    "dev/console": (0o600, 5, 1),
    "dev/null": (0o666, 1, 3),
    "dev/random": (0o666, 1, 8),
    "dev/urandom": (0o666, 1, 9),
}
"""The character devices of an archive: mode, major and minor number."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One name of an archive: ``mode`` with its type (as st_mode), what it holds, and a device's two numbers."""

    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def entries(tree: Path, executables: Iterable[str]) -> dict[str, Entry]:
    """What lies in ``tree``, and the nodes, by names relative to it; only ``executables`` and folders get an x bit.

    Modes of the tree count for nothing. Raises ValueError for what is neither file, folder nor symbolic link.
    """
    programs = frozenset(executables)
    found = {name: Entry(stat.S_IFCHR | mode, device=(major, minor)) for name, (mode, major, minor) in NODES.items()}
    for path in tree.rglob("*"):
        name = path.relative_to(tree).as_posix()
        if path.is_symlink():
            found[name] = Entry(stat.S_IFLNK | 0o777, str(path.readlink()).encode())
        elif path.is_dir():
            found[name] = Entry(stat.S_IFDIR | 0o755)
        elif path.is_file():
            found[name] = Entry(stat.S_IFREG | (0o755 if name in programs else 0o644), path.read_bytes())
        else:
            raise ValueError(f"{name} is neither a file, a folder nor a symbolic link")
    return found


def archive(content: Mapping[str, Entry]) -> bytes:
    """The archive of these entries. Raises ValueError for a name that is not plain and relative."""
    parts = []
    for number, name in enumerate(sorted(content), start=1):
        if not name or name == _TRAILER or name != Path(name).as_posix() or Path(name).is_absolute():
            raise ValueError(f"{name!r} cannot be a name in an archive")
        parts.append(_record(name, content[name], number, EPOCH))
    parts.append(_record(_TRAILER, Entry(0), 0, 0))
    whole = b"".join(parts)
    return whole + bytes(-len(whole) % _BLOCK)


def read(data: bytes) -> dict[str, Entry]:
    """What an archive of this writer holds, in its order, as a kernel would unpack it.

    Raises ImageError for another format, an owner that is not root, another time than EPOCH, a repeated name.
    """
    found: dict[str, Entry] = {}
    at = 0
    while True:
        head = data[at : at + _HEAD_BYTES]
        if len(head) != _HEAD_BYTES or head[: len(_MAGIC)] != _MAGIC:
            raise ImageError("the archive is cut off, or is no cpio archive of the newc format")
        numbers = [int(head[start : start + 8], 16) for start in range(len(_MAGIC), _HEAD_BYTES, 8)]
        _, mode, user, group, _, time, size, _, _, major, minor, length, _ = numbers
        start = at + _HEAD_BYTES
        name = data[start : start + length - 1].decode()
        start += length + (-(_HEAD_BYTES + length) % _ALIGN)
        at = start + size + (-size % _ALIGN)
        if name == _TRAILER:
            return found
        if (user, group, time) != (0, 0, EPOCH) or name in found:
            raise ImageError(f"{name} is in the archive twice, or with an owner or a time that tells who built it")
        found[name] = Entry(mode, data[start : start + size], (major, minor))


def _record(name: str, entry: Entry, inode: int, time: int) -> bytes:
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    words = name.encode() + b"\0"
    # user, group; links; time; size; the device that it lies on; the device that it is; the name's length; no checksum.
    numbers = (
        inode, entry.mode, 0, 0, links, time, len(entry.content), 0, 0, *entry.device, len(words), 0,
    )  # fmt: skip
    head = _MAGIC + b"".join(b"%08X" % number for number in numbers) + words
    return _padded(head) + _padded(entry.content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGN)
