"""Frames of the serial link.

On the wire a frame is `COBS(header + payload + CRC-32) + 0x00`. The header is 9 bytes: version (high 4 bits)
and kind (low 4 bits), the tag of the session (4 bytes), the sequence number (4 bytes). Integers are big-endian;
the CRC is that of zlib (IEEE 802.3).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from undercroft_protocol.errors import FrameError
from undercroft_protocol.serial import cobs

VERSION = 1
MAX_PAYLOAD_BYTES = 2048 + 4
"""The longest payload that is read: 2 kB of a message behind their 4-byte offset."""

_HEADER = struct.Struct(">B4sI")
_CRC = struct.Struct(">I")
_FIXED_BYTES = _HEADER.size + _CRC.size
_MAX_PLAIN_BYTES = _FIXED_BYTES + MAX_PAYLOAD_BYTES
MAX_WIRE_BYTES = _MAX_PLAIN_BYTES + _MAX_PLAIN_BYTES // 254 + 1
"""The longest frame on the wire, without the zero that ends it."""
OVERHEAD_BYTES = _FIXED_BYTES + 2
"""What a frame of up to 254 bytes adds to its payload: header, CRC, one COBS code, the zero."""

_SLICE_BYTES = 4096


class Kind(IntEnum):
    """What a frame says; the payloads are in `machine`."""

    HELLO = 1
    OPEN = 2
    DATA = 3
    PING = 4
    ACK = 5
    RESET = 6


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `tag` names the session it belongs to (4 bytes), `sequence` is below 2**32."""

    kind: Kind
    tag: bytes
    sequence: int
    payload: bytes = b""


def encode_frame(frame: Frame) -> bytes:
    """Return the bytes for the wire, with the zero that ends them.

    Raises FrameError if the payload is longer than MAX_PAYLOAD_BYTES.
    """
    if len(frame.payload) > MAX_PAYLOAD_BYTES:
        raise FrameError(f"a payload of {len(frame.payload)} bytes; {MAX_PAYLOAD_BYTES} are allowed")
    plain = _HEADER.pack(VERSION << 4 | frame.kind, frame.tag, frame.sequence) + frame.payload
    return cobs.encode(plain + _CRC.pack(zlib.crc32(plain))) + b"\0"


def decode_frame(wire: bytes) -> Frame:
    """Read one frame from the bytes between two zeros.

    Raises FrameError if it is too long or too short, not COBS, has a wrong CRC, another version or an unknown
    kind.
    """
    # Unbounded, a peer that never sends a zero would fill the memory.
    if len(wire) > MAX_WIRE_BYTES:
        raise FrameError("too long")
    plain = cobs.decode(wire)
    if not _FIXED_BYTES <= len(plain) <= _MAX_PLAIN_BYTES:
        raise FrameError("too short or too long")
    body = plain[: -_CRC.size]
    if _CRC.unpack(plain[-_CRC.size :])[0] != zlib.crc32(body):
        raise FrameError("wrong CRC")
    first, tag, sequence = _HEADER.unpack_from(body)
    if first >> 4 != VERSION:
        raise FrameError(f"version {first >> 4}; only {VERSION} is understood")
    try:
        kind = Kind(first & 15)
    except ValueError as error:
        raise FrameError(f"unknown kind {first & 15}") from error
    return Frame(kind, tag, sequence, body[_HEADER.size :])


class FrameReader:
    """Finds the frames in a stream of bytes; every zero is a new chance after garbage.

    `errors` counts what lay between two zeros and was no frame. Memory is bounded by one frame.
    """

    __slots__ = ("_partial", "_skipping", "errors")

    def __init__(self) -> None:
        self._partial = bytearray()
        self._skipping = False
        self.errors = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take the next bytes, in pieces of any size, and yield the good frames that they complete."""
        # A megabyte of zeros would split into a million pieces at once.
        for start in range(0, len(data), _SLICE_BYTES):
            *ended, rest = data[start : start + _SLICE_BYTES].split(b"\0")
            for piece in ended:
                frame = self._end(piece)
                if frame is not None:
                    yield frame
            self._grow(rest)

    def _grow(self, piece: bytes) -> None:
        if self._skipping:
            return
        self._partial += piece
        if len(self._partial) > MAX_WIRE_BYTES:
            self._partial.clear()
            self._skipping = True

    def _end(self, piece: bytes) -> Frame | None:
        self._grow(piece)
        wire = bytes(self._partial)
        self._partial.clear()
        if self._skipping:
            self._skipping = False
            self.errors += 1
            return None
        if not wire:
            return None
        try:
            return decode_frame(wire)
        except FrameError:
            self.errors += 1
            return None
