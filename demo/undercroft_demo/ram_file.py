"""All memory of an emulated machine in a file: ELF, as QEMU's `dump-guest-memory` writes it.

Its segments are the RAM, by physical address, and a note with the registers of each processor: what a vector
register held last is in no page of memory.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from undercroft_appliance.devtools.process_memory import CHUNK_BYTES, OVERLAP_BYTES, Region
from undercroft_appliance.errors import ConfigurationError

RAM: Final = "RAM"
REGISTERS: Final = "registers"
_MAGIC: Final = b"\x7fELF\x02\x01"
"""64 bits, little-endian."""
_HEADER: Final = struct.Struct("<16s2HI3QI6H")
_SEGMENT: Final = struct.Struct("<2I6Q")
_NOTE: Final = struct.Struct("<3I")
_LOAD, _NOTES = 1, 4
_WORD_BYTES: Final = 8


class RamFile:
    """The memory in a dump, for `Search.memories`. Raises ConfigurationError if it is no such file."""

    pid: Final = 0
    """A whole machine is no process."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._places: dict[Region, int] = {}
        self._notes: dict[Region, bytes] = {}
        try:
            self._read_segments()
        except (struct.error, ValueError) as error:
            self._file.close()
            raise ConfigurationError(f"{path} is no dump of a 64-bit machine's memory: {error}") from error
        self.regions = (*self._places, *self._notes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def chunks(self, region: Region) -> Iterator[tuple[int, bytes]]:
        """(physical address, bytes) of a segment, overlapping; of a note its registers at once."""
        if region in self._notes:
            yield region.start, self._notes[region]
            return
        place = self._places[region] - region.start
        for at in range(region.start, region.end, CHUNK_BYTES):
            yield at, self._file[place + at : place + min(at + CHUNK_BYTES + OVERLAP_BYTES, region.end)]

    def _read_segments(self) -> None:
        header = _HEADER.unpack_from(self._file)
        if not header[0].startswith(_MAGIC):
            raise ValueError("not ELF, 64 bits, little-endian")
        table, size, count = header[5], header[9], header[10]
        for number in range(count):
            kind, _, place, _, address, stored, used, _ = _SEGMENT.unpack_from(self._file, table + number * size)
            if place + stored > len(self._file):
                raise ValueError("it was cut")
            if kind == _NOTES:
                self._read_notes(place, place + stored)
            elif kind == _LOAD and stored:
                if stored != used or address % mmap.PAGESIZE or stored % mmap.PAGESIZE:
                    raise ValueError("a segment is not made of whole pages")
                self._places[Region(address, address + stored, "", RAM, guarded=False)] = place
        if not self._places:
            raise ValueError("it holds no memory")

    def _read_notes(self, at: int, end: int) -> None:
        while at < end:
            name_bytes, data_bytes, _ = _NOTE.unpack_from(self._file, at)
            place = at + _NOTE.size + _to_four(name_bytes)
            data = self._file[place : place + data_bytes]
            region = Region(at, place + data_bytes, "", f"{REGISTERS}, note {len(self._notes)}", guarded=False)
            self._notes[region] = data + bytes(-len(data) % _WORD_BYTES)
            at = place + _to_four(data_bytes)


def _to_four(size: int) -> int:
    return -(-size // 4) * 4
