"""Reads what a loader reads of an ELF file (System V ABI, 64 bit, little-endian): what it needs, and where from."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from .errors import ImageError

AARCH64: Final = 183
"""e_machine of arm64."""
MAGIC: Final = b"\x7fELF"
_CLASS_64: Final = 2
_LITTLE_ENDIAN: Final = 1
_LOAD: Final = 1
_DYNAMIC: Final = 2
_INTERPRETER: Final = 3
_STACK: Final = 0x6474E551
_EXECUTABLE: Final = 1
_NEEDED: Final = 1
_STRINGS: Final = 5
_SONAME: Final = 14
_RPATH: Final = 15
_RUNPATH: Final = 29
_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_ENTRY: Final = struct.Struct("<qQ")


class _Segment(NamedTuple):
    kind: int
    flags: int
    offset: int
    address: int
    size: int


@dataclass(frozen=True, slots=True)
class Elf:
    """A program or library: ``machine`` (e_machine), its ``interpreter`` (the loader, None for a library), the sonames
    it needs in their order, the folders it looks in first (``$ORIGIN`` as written), its own soname, and whether it asks
    for a stack that can be run."""

    machine: int
    interpreter: str | None
    needed: tuple[str, ...]
    folders: tuple[str, ...]
    soname: str | None
    runs_stack: bool


def read_elf(data: bytes, name: str) -> Elf:
    """Raises ImageError, calling the file ``name``, for what is no 64-bit little-endian ELF file or is cut off."""
    try:
        return _read(data)
    except (struct.error, ValueError, IndexError, UnicodeDecodeError) as error:
        raise ImageError(f"{name} is no ELF file of a 64-bit little-endian machine, or is cut off") from error


def _read(data: bytes) -> Elf:
    ident, _, machine, _, _, at, _, _, _, size, count, *_ = _HEADER.unpack_from(data)
    if ident[:4] != MAGIC or ident[4] != _CLASS_64 or ident[5] != _LITTLE_ENDIAN or size != _SEGMENT.size:
        raise ValueError(ident)
    segments = []
    for number in range(count):
        kind, flags, offset, address, _, length, _, _ = _SEGMENT.unpack_from(data, at + number * size)
        segments.append(_Segment(kind, flags, offset, address, length))
    entries = _dynamic(data, segments)
    tables = [value for tag, value in entries if tag == _STRINGS]
    strings = _offset(segments, tables[0]) if tables else 0

    def texts(*tags: int) -> tuple[str, ...]:
        return tuple(_text(data, strings + value) for tag, value in entries if tag in tags)

    loaders = [_text(data, one.offset) for one in segments if one.kind == _INTERPRETER]
    # The newer of the two tags wins, as in the loader.
    paths = texts(_RUNPATH) or texts(_RPATH)
    return Elf(
        machine=machine,
        interpreter=loaders[0] if loaders else None,
        needed=texts(_NEEDED),
        folders=tuple(folder for path in paths for folder in path.split(":")),
        soname=next(iter(texts(_SONAME)), None),
        runs_stack=any(one.kind == _STACK and one.flags & _EXECUTABLE for one in segments),
    )


def _dynamic(data: bytes, segments: list[_Segment]) -> list[tuple[int, int]]:
    """The entries of the dynamic section, up to its end mark; none for a static program."""
    found = []
    for segment in segments:
        if segment.kind != _DYNAMIC:
            continue
        for at in range(segment.offset, segment.offset + segment.size, _ENTRY.size):
            tag, value = _ENTRY.unpack_from(data, at)
            if tag == 0:
                break
            found.append((tag, value))
    return found


def _offset(segments: list[_Segment], address: int) -> int:
    """Where in the file lies what is loaded at ``address``."""
    for segment in segments:
        if segment.kind == _LOAD and segment.address <= address < segment.address + segment.size:
            return segment.offset + address - segment.address
    raise ValueError(address)


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode("ascii")
