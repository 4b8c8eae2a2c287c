"""What somebody learns who records every byte of a serial line: the bytes, and the messages that they carry.

It shares no state with the two sides and needs none: it reads a recording of `cable` as the link's format says, without
checking whether a frame belongs to anybody.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from undercroft_appliance.devtools.process_memory import Region
from undercroft_protocol.errors import FrameError, SqueezeError
from undercroft_protocol.serial import cobs, payload
from undercroft_protocol.serial.frame import Kind
from undercroft_protocol.squeeze import unsqueeze

_HEAD: Final = struct.Struct(">H")
_CRC_BYTES: Final = 4
_WORD_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Recording:
    """Some named bytes, which can be searched as the memory of a process is."""

    parts: tuple[tuple[str, bytes], ...]
    pid: int = 0

    @property
    def regions(self) -> tuple[Region, ...]:
        """One for each part; nothing that a sniffer has is guarded."""
        return tuple(
            Region(number << 32, (number << 32) + len(data), "r--p", name, guarded=False)
            for number, (name, data) in enumerate(self.parts)
        )

    def chunks(self, region: Region) -> Iterable[tuple[int, bytes]]:
        """The part in one piece, filled up to whole words."""
        data = self.parts[region.start >> 32][1]
        return ((region.start, data + bytes(-len(data) % _WORD_BYTES)),)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to close."""


def sniffed(record: Path) -> Recording:
    """What `cable` recorded of both ways, raw, and every message in it, whole."""
    parts: list[tuple[str, bytes]] = []
    for end in "ab":
        raw = record.with_name(f"{record.name}.{end}").read_bytes()
        parts.append((f"raw {end}", raw))
        # A part of a secret may end at the edge of a frame: what frames carry is also read as one.
        parts.append((f"frames {end}", b"".join(body for _, body in frames(raw))))
        parts += ((f"message {end}{number}", message) for number, message in enumerate(messages(raw)))
    return Recording(tuple(parts))


def messages(raw: bytes) -> Iterator[bytes]:
    """The whole messages of one way, in order."""
    announced: tuple[int, bytes] | None = None
    squeezed = bytearray()
    for kind, body in frames(raw):
        if kind is Kind.OPEN and len(body) == payload.OPEN.size:
            _, _, length, sent, digest = payload.OPEN.unpack(body)
            announced, squeezed = (length, digest), bytearray(sent)
        elif kind is Kind.DATA and announced is not None:
            (place,) = payload.DATA.unpack_from(body)
            start = place * payload.unit_bytes(len(squeezed))
            squeezed[start : start + len(body) - payload.DATA.size] = body[payload.DATA.size :]
            try:
                message = unsqueeze(bytes(squeezed), limit=announced[0])
            except SqueezeError:
                continue
            if hashlib.sha256(message).digest() == announced[1]:
                yield message
                announced = None


def frames(raw: bytes) -> Iterator[tuple[Kind, bytes]]:
    """Kind and payload of each frame of one way, in order."""
    for piece in raw.split(b"\0"):
        try:
            plain = cobs.decode(piece)
            kind = Kind(_HEAD.unpack_from(plain)[0] >> 13)
        except (FrameError, ValueError, struct.error):
            continue
        yield kind, plain[_HEAD.size : -_CRC_BYTES]
