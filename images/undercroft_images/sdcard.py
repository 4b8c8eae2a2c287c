"""The card: a partition table (MBR) and one FAT32 file system with the firmware, the kernel and the device trees."""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from private_apt import run

from . import fat
from .builder import Builder
from .device_tree import SOURCES
from .downloads import fetch
from .errors import ImageError
from .locks import Lock
from .places import LOCKS, cache

DISK_ID: Final = 0x55435254
FIRMWARE: Final = ("fixup4.dat", "start4.elf")
"""Of Debian's raspi-firmware: what a Pi 4 or CM4 runs before Linux. Its source is not public."""
FIRMWARE_FOLDER: Final = "usr/lib/raspi-firmware"
KERNEL: Final = "kernel8.img"
CONFIG: Final = "config.txt"
START: Final = 2048
"""The partition's first sector: it begins one mebibyte in."""
_TABLE: Final = 446
_ENTRY: Final = struct.Struct("<B3xB3xII")
_BOOTABLE: Final = 0x80
_FAT32: Final = 0x0C


def boot_files(kernel8: Path, trees: Iterable[Path], place: Path) -> dict[str, Path]:
    """What lies on the card, by its names there; the firmware is unpacked into the new folder ``place``.

    Raises ImageError.
    """
    [archive] = fetch(Lock.read(LOCKS / "board.lock"), cache() / "debs").values()
    run("dpkg-deb", "-x", archive, place)
    files = {CONFIG: SOURCES / CONFIG, KERNEL: kernel8, **{tree.name: tree for tree in trees}}
    files |= {name: place / FIRMWARE_FOLDER / name for name in FIRMWARE}
    if missing := [name for name, path in files.items() if not path.is_file()]:
        raise ImageError(f"for the card, {', '.join(missing)} is missing")
    return dict(sorted(files.items()))


def write_card(builder: Builder, files: Mapping[str, Path], place: Path, output: Path) -> None:
    """Write a card with these files, as one file of the size of its content; ``place`` is a new folder to work in.

    Raises ImageError, also when what was written is not exactly that.
    """
    partition = fat.write(builder, files, place)
    card, table = place / "card", place / "table"
    with card.open("xb") as file:
        file.seek(START * fat.SECTOR)
        file.write(partition.read_bytes())
    table.write_text(f"label: dos\nlabel-id: {DISK_ID:#x}\nstart={START}, type=c, bootable\n", encoding="ascii")
    builder.run("sh", "-c", 'exec sfdisk -q "$0" < "$1"', card, table, folder=place)
    check_card(card.read_bytes(), {name: digest(path.read_bytes()) for name, path in files.items()})
    shutil.copyfile(card, output)


def digest(data: bytes) -> str:
    """The SHA-256 (hex) of these bytes."""
    return hashlib.sha256(data).hexdigest()


def check_card(data: bytes, wanted: Mapping[str, str]) -> None:
    """Raises ImageError unless a card's bytes are one partition with exactly these files, by their SHA-256 (hex)."""
    found = {name: digest(content) for name, content in fat.read(partition(data)).items()}
    if found != dict(wanted):
        odd = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        raise ImageError(f"on the card, {', '.join(odd)} is not what it must be")


def partition(data: bytes) -> bytes:
    """The only partition of a card. Raises ImageError for any other table, and for bytes outside of both."""
    if len(data) < START * fat.SECTOR or data[510:512] != b"\x55\xaa":
        raise ImageError("this is no card of an appliance: it has no partition table")
    status, kind, start, count = _ENTRY.unpack_from(data, _TABLE)
    number = int.from_bytes(data[440:444], "little")
    size = len(data) // fat.SECTOR - START
    if (status, kind, start, count, number) != (_BOOTABLE, _FAT32, START, size, DISK_ID) or len(data) % fat.SECTOR:
        raise ImageError("the card's partition is not the one that it must have")
    # Attack: a second partition, or code in front of the first: a board is to find one thing only to start.
    if any(data[:440]) or any(data[444:446]) or any(data[_TABLE + 16 : 510]) or any(data[512 : START * fat.SECTOR]):
        raise ImageError("on the card, something lies outside of its partition")
    return data[START * fat.SECTOR :]
