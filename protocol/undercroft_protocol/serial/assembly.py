"""One message put together from pieces in any order, and which frames were taken."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right

from undercroft_protocol.errors import FrameError, SqueezeError
from undercroft_protocol.serial.payload import unit_bytes
from undercroft_protocol.squeeze import unsqueeze

BITMAP_BITS = 256
_ALL = (1 << BITMAP_BITS) - 1
MAX_ISLANDS = 512
"""More separate pieces than a sender's window can leave are not taken."""


class Assembly:
    """A squeezed message of known length that is put together piece by piece.

    `number` is the message's number, `first` the sequence number of the first frame of this attempt to send it,
    `length` its bytes, `squeezed` the bytes that are sent. The caller has bounded both; the latter are allocated here.
    """

    __slots__ = ("_buffer", "_digest", "_ends", "_starts", "_unit", "first", "length", "number", "received")

    def __init__(self, *, number: int, first: int, length: int, squeezed: int, digest: bytes) -> None:
        self.number = number
        self.first = first
        self.length = length
        self.received = 0
        self._unit = unit_bytes(squeezed)
        self._buffer = bytearray(squeezed)
        self._digest = digest
        self._starts: list[int] = []
        self._ends: list[int] = []

    @property
    def complete(self) -> bool:
        """All bytes are there; the digest is not checked yet."""
        return self.received == len(self._buffer)

    @property
    def progress(self) -> int:
        """How much has arrived, in bytes of the message."""
        return self.length * self.received // max(len(self._buffer), 1)

    def add(self, place: int, data: bytes) -> bool:
        """Take a piece; False if it lies outside the message or leaves too many gaps: it counts as lost."""
        offset = place * self._unit
        end = offset + len(data)
        # Attack: a piece past the announced end grows the buffer without bound.
        if not data or end > len(self._buffer):
            return False
        low = bisect_left(self._ends, offset)
        high = bisect_right(self._starts, end)
        # Attack: every second byte alone makes a list of millions of islands.
        if low == high and len(self._starts) >= MAX_ISLANDS:
            return False
        self._buffer[offset:end] = data
        touched = list(zip(self._starts[low:high], self._ends[low:high], strict=True))
        start = min(offset, touched[0][0]) if touched else offset
        stop = max(end, touched[-1][1]) if touched else end
        covered = sum(there_stop - there_start for there_start, there_stop in touched)
        self._starts[low:high] = [start]
        self._ends[low:high] = [stop]
        self.received += stop - start - covered
        return True

    def verified(self) -> bytes:
        """The whole message. Raises FrameError if it has another length or SHA-256 than announced."""
        try:
            # Attack: a bomb; not a byte more than was announced comes out.
            message = unsqueeze(bytes(self._buffer), limit=self.length)
        except SqueezeError as error:
            raise FrameError(error.detail) from error
        if len(message) != self.length or hashlib.sha256(message).digest() != self._digest:
            raise FrameError("not the message that was announced")
        return message


class TakenFrames:
    """Which of the last 256 sequence numbers were taken: what an acknowledgement says.

    Those up to `latest` at the beginning are nobody's concern: they count as taken.
    """

    __slots__ = ("_missed", "latest")

    def __init__(self, latest: int = 0) -> None:
        self.latest = latest
        self._missed = 0

    def note(self, sequence: int, *, taken: bool) -> None:
        """Record that a frame was heard, and whether its content was taken."""
        ahead = sequence - self.latest
        if ahead > 0:
            # Attack: a sequence number far ahead shifts the bitmap by gigabytes.
            between = (1 << min(ahead, BITMAP_BITS)) - 1
            self._missed = (self._missed << min(ahead, BITMAP_BITS) | between) & _ALL
            self.latest = sequence
        if taken and ahead > -BITMAP_BITS:
            self._missed &= ~(1 << max(-ahead, 0))

    @property
    def gap(self) -> bool:
        """A frame shortly before the latest one is missing."""
        return bool(self._missed & 0b1110)

    def bitmap(self) -> bytes:
        """Bit i (little-endian) is set if frame `latest - i` was missed; at most 32 bytes, none on a clean line."""
        return self._missed.to_bytes((self._missed.bit_length() + 7) // 8, "little")
