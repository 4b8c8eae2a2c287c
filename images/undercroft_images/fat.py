"""A FAT32 file system with a few files in its root (Microsoft FAT specification 1.03).

It is written by the builder's mkfs.vfat and mtools, always the same bytes for the same files, and read back here by
code of our own, which accepts nothing that such a file system does not need.
"""

from __future__ import annotations

import array
import os
import shutil
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .builder import EPOCH, Builder
from .errors import ImageError

SECTOR: Final = 512
"""Bytes; a cluster is one sector, so that a small file system can be FAT32 at all."""
VOLUME_ID: Final = 0x55435254
VOLUME_LABEL: Final = "UNDERCROFT"
_MEBIBYTE: Final = 1 << 20
_RESERVED: Final = 32
_TABLES: Final = 2
_FEWEST_CLUSTERS: Final = 65_525
_SPARE_CLUSTERS: Final = 1024
"""Above what the files take: their folder, and clusters that mkfs.vfat counts otherwise."""
_ENTRY: Final = 32
_END: Final = 0x0FFF_FFF8
_LONG_NAME: Final = 0x0F
_VOLUME: Final = 0x08
_FILE: Final = 0x20
_LAST_PART: Final = 0x40
_COUNTS: Final = 488
_INFO: Final = b"RRaA" + bytes(480) + b"rrAa" + bytes(22) + b"\x55\xaa"


def write(builder: Builder, files: Mapping[str, Path], place: Path) -> Path:
    """A file system with these files by their names there, in the new folder ``place`` below the builder's root.

    Raises ImageError, also when what was written is not exactly these files.
    """
    content = place / "content"
    content.mkdir(parents=True)
    for name, path in files.items():
        shutil.copyfile(path, content / name)
        os.utime(content / name, (EPOCH, EPOCH))
    image = place / "fat"
    with image.open("xb") as file:
        file.truncate(size_for([path.stat().st_size for path in files.values()]))
    builder.run(
        "mkfs.vfat", "--invariant", "-F", "32", "-s", "1", "-S", str(SECTOR), "-R", str(_RESERVED), "-i",
        f"{VOLUME_ID:08x}", "-n", VOLUME_LABEL, image, folder=place,
    )  # fmt: skip
    # The order of the names is the order on the card.
    builder.run("mcopy", "-m", "-i", image, *(content / name for name in sorted(files)), "::", folder=place)
    found = read(image.read_bytes())
    # Mishap: a tool that leaves a file out when there is no room, or changes its name.
    if found != {name: path.read_bytes() for name, path in files.items()}:
        raise ImageError("the file system does not hold what was put into it")
    return image


def size_for(sizes: list[int]) -> int:
    """The bytes of a file system for files of these sizes (bytes): a whole number of mebibytes."""
    clusters = max(_FEWEST_CLUSTERS, sum(-(-size // SECTOR) for size in sizes)) + _SPARE_CLUSTERS
    table = -(-(clusters + 2) * 4 // SECTOR)
    return -(-(_RESERVED + _TABLES * table + clusters) * SECTOR // _MEBIBYTE) * _MEBIBYTE


def read(data: bytes) -> dict[str, bytes]:
    """The files by their names. Raises ImageError for anything that a file system by `write` does not have.

    That is: another geometry, folders, deleted names, chains that nobody owns, bytes where there is no file.
    """
    try:
        return _Volume.of(data).files()
    except (struct.error, ValueError, IndexError) as error:
        raise ImageError(f"the FAT32 file system is damaged ({error})") from error


@dataclass(frozen=True, slots=True)
class _Volume:
    data: bytes
    table: array.array[int]
    """What follows each cluster; clusters are counted from 2."""
    start: int
    """Where cluster 2 begins, in bytes."""
    root: int

    @classmethod
    def of(cls, data: bytes) -> _Volume:
        sector, per_cluster, reserved, tables, entries, short = struct.unpack_from("<HBHBHH", data, 11)
        total, size, _, version, root, _, backup = struct.unpack_from("<IIHHIHH", data, 32)
        if (
            (sector, per_cluster, reserved, tables, entries, short) != (SECTOR, 1, _RESERVED, _TABLES, 0, 0)
            or total * SECTOR != len(data)
            or version != 0
            or data[510:512] != b"\x55\xaa"
            or data[82:90] != b"FAT32   "
        ):
            raise ValueError("its first sector")
        if data[:SECTOR] != data[backup * SECTOR : (backup + 1) * SECTOR]:
            raise ValueError("the copy of its first sector")
        first = reserved * SECTOR
        for number in range(1, reserved):
            # Beside the first sector and its copy are two with the counts of free clusters; the others are empty.
            info = _INFO if number in (1, backup + 1) else bytes(SECTOR)
            held = data[number * SECTOR : (number + 1) * SECTOR]
            if number != backup and held[:_COUNTS] + bytes(8) + held[_COUNTS + 8 :] != info:
                raise ValueError(f"its reserved sector {number}")
        middle, start = (first + number * size * SECTOR for number in (1, tables))
        one, two = data[first:middle], data[middle:start]
        if one != two:
            raise ValueError("its two tables differ")
        table = array.array("I", one)
        if table.itemsize != 4 or sys.byteorder != "little":
            raise ImageError("an image is built on an x86_64 machine")
        clusters = (len(data) - start) // SECTOR
        if clusters < _FEWEST_CLUSTERS or clusters + 2 > len(table):
            raise ValueError("its count of clusters")
        return cls(data, table[: clusters + 2], start, root)

    def files(self) -> dict[str, bytes]:
        owned: set[int] = set()
        files: dict[str, bytes] = {}
        for name, cluster, size in self._entries(self._content(self.root, owned)):
            content = self._content(cluster, owned) if size else b""
            if name in files or len(content) != -(-size // SECTOR) * SECTOR or any(content[size:]):
                raise ValueError(f"the file {name}")
            files[name] = content[:size]
        empty = bytes(SECTOR)
        for number in range(2, len(self.table)):
            # Attack: bytes beside the files, which a comparison of the files does not see.
            if number not in owned and (self.table[number] or self._cluster(number) != empty):
                raise ValueError(f"cluster {number} belongs to no file and is not empty")
        return files

    def _cluster(self, number: int) -> bytes:
        offset = self.start + (number - 2) * SECTOR
        return self.data[offset : offset + SECTOR]

    def _content(self, number: int, owned: set[int]) -> bytes:
        parts = []
        while number < _END:
            if not 2 <= number < len(self.table) or number in owned:
                raise ValueError(f"the chain at cluster {number}")
            owned.add(number)
            parts.append(self._cluster(number))
            number = self.table[number]
        return b"".join(parts)

    @staticmethod
    def _entries(folder: bytes) -> Iterator[tuple[str, int, int]]:
        """The name, first cluster and size (bytes) of each file."""
        long: list[bytes] = []
        for offset in range(0, len(folder), _ENTRY):
            entry = folder[offset : offset + _ENTRY]
            if entry[0] == 0:
                if any(folder[offset:]):
                    raise ValueError("something behind the last name")
                return
            kind = entry[11]
            if kind == _LONG_NAME:
                long.append(entry)
            elif kind == _VOLUME and not long and offset == 0:
                continue
            elif kind == _FILE:
                high, low, size = struct.unpack("<20xH4xHI", entry)
                yield _name(entry, long), high << 16 | low, size
                long = []
            else:
                raise ValueError(f"an entry of kind {kind:#x}")


def _name(entry: bytes, long: list[bytes]) -> str:
    """A file's name: its long one if it has that, else the short one with its bits for lower case."""
    if not long:
        base, extension = (entry[:8].decode("ascii").rstrip(), entry[8:11].decode("ascii").rstrip())
        base = base.lower() if entry[12] & 0x08 else base
        extension = extension.lower() if entry[12] & 0x10 else extension
        return f"{base}.{extension}" if extension else base
    checksum = 0
    for byte in entry[:11]:
        checksum = ((checksum & 1) << 7 | checksum >> 1) + byte & 0xFF
    order = [part[0] for part in long]
    wanted = [len(long) | _LAST_PART, *range(len(long) - 1, 0, -1)]
    # Attack: a long name of another file, so that readers of short names see one that is not in our list.
    if order != wanted or any(part[13] != checksum for part in long):
        raise ValueError("a long name that is not its file's")
    text = b"".join(part[1:11] + part[14:26] + part[28:32] for part in reversed(long)).decode("utf-16-le")
    return text.partition("\0")[0]
