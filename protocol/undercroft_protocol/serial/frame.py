"""Frames of the serial link.

On the wire a frame is `COBS(head + payload + CRC-32) + 0x00`. The head is 2 bytes: the kind (high 3 bits) and the
sequence number modulo 8192. The CRC is that of zlib (IEEE 802.3), begun with the tag of the session (4 bytes), which
is not sent: a frame of another session has a wrong CRC. Integers are big-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from undercroft_protocol.errors import FrameError
from undercroft_protocol.serial import cobs, repair

NO_TAG = bytes(4)
"""The tag of greetings, which belong to no session yet."""
MAX_PAYLOAD_BYTES = 2048 + 2
"""The longest payload that is read: 2 kB of a message behind their 2-byte place."""
SEQUENCE_NUMBERS = 1 << 13
"""So many are told apart on the wire; a sender has far fewer frames under way."""

_HEAD = struct.Struct(">H")
_CRC = struct.Struct(">I")
_FIXED_BYTES = _HEAD.size + _CRC.size
_MAX_PLAIN_BYTES = _FIXED_BYTES + MAX_PAYLOAD_BYTES
MAX_WIRE_BYTES = _MAX_PLAIN_BYTES + _MAX_PLAIN_BYTES // 254 + 1
"""The longest frame on the wire, without the zero that ends it."""
OVERHEAD_BYTES = _FIXED_BYTES + 2
"""What a frame of up to 254 bytes adds to its payload: head, CRC, one COBS code, the zero."""

_SLICE_BYTES = 4096


class Kind(IntEnum):
    """What a frame says; the payloads are in `payload`."""

    HELLO = 1
    OPEN = 2
    DATA = 3
    PING = 4
    ACK = 5
    RESET = 6


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `tag` names the session it belongs to (4 bytes).

    `sequence` is what stands on the wire, below 8192; `repaired` tells that one bit was put right.
    """

    kind: Kind
    tag: bytes
    sequence: int
    payload: bytes = b""
    repaired: bool = False


def whole_sequence(low: int, near: int) -> int:
    """The sequence number that stands on the wire as `low` and is nearest to `near`."""
    half = SEQUENCE_NUMBERS // 2
    return near + (low - near + half) % SEQUENCE_NUMBERS - half


def encode_frame(frame: Frame) -> bytes:
    """Return the bytes for the wire, with the zero that ends them; any `sequence` is reduced to what is sent.

    Raises FrameError if the payload is longer than MAX_PAYLOAD_BYTES.
    """
    if len(frame.payload) > MAX_PAYLOAD_BYTES:
        raise FrameError(f"a payload of {len(frame.payload)} bytes; {MAX_PAYLOAD_BYTES} are allowed")
    body = _HEAD.pack(frame.kind << 13 | frame.sequence % SEQUENCE_NUMBERS) + frame.payload
    return cobs.encode(body + _CRC.pack(_crc(body, frame.tag))) + b"\0"


def decode_frame(wire: bytes, tags: tuple[bytes, ...]) -> Frame:
    """Read one frame from the bytes between two zeros, if it belongs to one of the sessions with these tags.

    A DATA frame under the first tag may have one bit that is wrong: it is put right. Raises FrameError if it is too
    long or too short, not COBS, has a wrong CRC or an unknown kind.
    """
    # Attack: a peer that never sends a zero fills the memory.
    if len(wire) > MAX_WIRE_BYTES:
        raise FrameError("too long")
    plain = cobs.decode(wire)
    if not _FIXED_BYTES <= len(plain) <= _MAX_PLAIN_BYTES:
        raise FrameError("too short or too long")
    body = plain[: -_CRC.size]
    (crc,) = _CRC.unpack_from(plain, len(body))
    for tag in tags:
        if _crc(body, tag) == crc:
            return _read(body, tag)
    repaired = repair.one_bit(body, _crc(body, tags[0]) ^ crc)
    frame = _read(repaired, tags[0], repaired=True)
    # Attack: noise that is repaired into a word of control; wrong bytes of a message meet its SHA-256.
    if frame.kind is not Kind.DATA:
        raise FrameError("wrong CRC")
    return frame


def _crc(body: bytes, tag: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(tag))


def _read(body: bytes, tag: bytes, *, repaired: bool = False) -> Frame:
    (head,) = _HEAD.unpack_from(body)
    try:
        kind = Kind(head >> 13)
    except ValueError as error:
        raise FrameError(f"unknown kind {head >> 13}") from error
    # Attack: a word of a session without one, which anybody can say.
    if (kind is Kind.HELLO) != (tag == NO_TAG):
        raise FrameError("a greeting in a session, or something else outside of one")
    return Frame(kind, tag, head % SEQUENCE_NUMBERS, body[_HEAD.size :], repaired)


class FrameReader:
    """Finds the frames in a stream of bytes; every zero is a new chance after garbage.

    `tags` are those that `decode_frame` takes, and may be changed at any time. `errors` counts what lay between two
    zeros and was no frame, `repairs` the frames with a bit put right. Memory is bounded by one frame.
    """

    __slots__ = ("_partial", "_skipping", "errors", "repairs", "tags")

    def __init__(self, *tags: bytes) -> None:
        self._partial = bytearray()
        self._skipping = False
        self.tags = tags or (NO_TAG,)
        self.errors = 0
        self.repairs = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take the next bytes, in pieces of any size, and yield the good frames that they complete."""
        # Attack: a megabyte of zeros splits into a million pieces at once.
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
            frame = decode_frame(wire, self.tags)
        except FrameError:
            self.errors += 1
            return None
        self.repairs += frame.repaired
        return frame
