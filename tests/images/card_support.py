"""A FAT32 writer and a device tree compiler of the tests' own, smaller than any that ships."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

SECTOR = 512
RESERVED = 32
CLUSTERS = 66_000
TABLE_SECTORS = -(-(CLUSTERS + 2) * 4 // SECTOR)
DATA = (RESERVED + 2 * TABLE_SECTORS) * SECTOR
"""Where cluster 2 begins."""
CARD_START = 2048 * SECTOR

Tree = Mapping[str, "bytes | Tree"]


def fat32(files: Mapping[str, bytes]) -> bytearray:
    """A file system with these files, whose names are short ones in lower case."""
    table = [0x0FFFFFF8, 0x0FFFFFFF, 0x0FFFFFFF]
    folder = b"UNDERCROFT ".ljust(11) + b"\x08" + bytes(20)
    content = b""
    for name, data in files.items():
        base, _, extension = name.upper().partition(".")
        first = len(table) if data else 0
        folder += struct.pack("<8s3sBB7xH4xHI", base.ljust(8).encode(), extension.ljust(3).encode(), 0x20, 0x18,
                              first >> 16, first & 0xFFFF, len(data))  # fmt: skip
        count = -(-len(data) // SECTOR)
        table += [len(table) + 1 + number for number in range(count - 1)] + [0x0FFFFFFF] * min(count, 1)
        content += data.ljust(count * SECTOR, b"\0")
    assert len(folder) <= SECTOR
    total = RESERVED + 2 * TABLE_SECTORS + CLUSTERS
    first_sector = bytearray(SECTOR)
    struct.pack_into("<HBHBHH", first_sector, 11, SECTOR, 1, RESERVED, 2, 0, 0)
    struct.pack_into("<IIHHIHH", first_sector, 32, total, TABLE_SECTORS, 0, 0, 2, 1, 6)
    first_sector[82:90] = b"FAT32   "
    first_sector[510:] = b"\x55\xaa"
    counts = b"RRaA" + bytes(480) + b"rrAa" + bytes(22) + b"\x55\xaa"
    head = (bytes(first_sector) + counts).ljust(6 * SECTOR, b"\0") + bytes(first_sector) + counts
    one = struct.pack(f"<{len(table)}I", *table).ljust(TABLE_SECTORS * SECTOR, b"\0")
    image = head.ljust(RESERVED * SECTOR, b"\0") + one * 2 + folder.ljust(SECTOR, b"\0") + content
    return bytearray(image.ljust(total * SECTOR, b"\0"))


def card(files: Mapping[str, bytes]) -> bytearray:
    """A card with one partition that has these files."""
    partition = fat32(files)
    table = bytearray(CARD_START)
    struct.pack_into("<I", table, 440, 0x55435254)
    struct.pack_into("<B3xB3xII", table, 446, 0x80, 0x0C, 2048, len(partition) // SECTOR)
    table[510:512] = b"\x55\xaa"
    return table + partition


def cells(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def strings(*texts: str) -> bytes:
    return b"".join(text.encode() + b"\0" for text in texts)


def flat(tree: Tree) -> bytes:
    """A flattened device tree: bytes are properties, mappings are nodes."""
    names: list[bytes] = []

    def offset(name: str) -> int:
        at = sum(map(len, names))
        names.append(name.encode() + b"\0")
        return at

    def padded(data: bytes) -> bytes:
        return data + bytes(-len(data) % 4)

    def node(name: str, content: Tree) -> bytes:
        parts: Sequence[bytes] = [
            node(one, value) if isinstance(value, Mapping) else cells(3, len(value), offset(one)) + padded(value)
            for one, value in content.items()
        ]
        return cells(1) + padded(name.encode() + b"\0") + b"".join(parts) + cells(2)

    structure = node("", tree) + cells(9)
    text = b"".join(names)
    head = 40 + 16
    total = head + len(structure) + len(text)
    return (
        cells(0xD00DFEED, total, head, head + len(structure), 40, 17, 16, 0, len(text), len(structure))
        + bytes(16) + structure + text
    )  # fmt: skip
