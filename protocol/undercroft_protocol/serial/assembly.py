"""One message put together from pieces in any order, and which frames were taken."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right

BITMAP_BITS = 256
MAX_ISLANDS = 512
"""More separate pieces than a sender's window can leave are not taken."""


class Assembly:
    """A message of known length and digest that is put together piece by piece.

    `number` is the message's number, `first` the sequence number of the first frame of this attempt to send
    it. The caller has bounded `length` (bytes); it is allocated here.
    """

    __slots__ = ("_buffer", "_digest", "_ends", "_starts", "first", "number", "received")

    def __init__(self, *, number: int, first: int, length: int, digest: bytes) -> None:
        self.number = number
        self.first = first
        self.received = 0
        self._buffer = bytearray(length)
        self._digest = digest
        self._starts: list[int] = []
        self._ends: list[int] = []

    @property
    def length(self) -> int:
        """The announced length in bytes."""
        return len(self._buffer)

    @property
    def complete(self) -> bool:
        """All bytes are there; the digest is not checked yet."""
        return self.received == len(self._buffer)

    def add(self, offset: int, data: bytes) -> bool:
        """Take a piece; False if it lies outside the message or leaves too many gaps: it counts as lost."""
        end = offset + len(data)
        # A piece past the announced end would grow the buffer without bound.
        if not data or end > len(self._buffer):
            return False
        low = bisect_left(self._ends, offset)
        high = bisect_right(self._starts, end)
        # Every second byte alone would make a list of millions of islands.
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

    def verified(self) -> bytes | None:
        """The whole message, or None if its SHA-256 is not the announced one."""
        message = bytes(self._buffer)
        return message if hashlib.sha256(message).digest() == self._digest else None


class TakenFrames:
    """Which of the last 256 sequence numbers were taken: what an acknowledgement says."""

    __slots__ = ("_bits", "latest")

    def __init__(self) -> None:
        self.latest = 0
        self._bits = 0

    def note(self, sequence: int, *, taken: bool) -> None:
        """Record that a frame was heard, and whether its content was taken."""
        ahead = sequence - self.latest
        if ahead > 0:
            # A sequence number far ahead would shift the bitmap by gigabytes.
            self._bits = self._bits << ahead & (1 << BITMAP_BITS) - 1 if ahead < BITMAP_BITS else 0
            self.latest = sequence
        if taken and ahead > -BITMAP_BITS:
            self._bits |= 1 << max(-ahead, 0)

    @property
    def gap(self) -> bool:
        """A frame shortly before the latest one is missing."""
        return bool(~self._bits & 0b1110) and self.latest > 3

    def bitmap(self) -> bytes:
        """Bit i (little-endian) is set if frame `latest - i` was taken; at most 32 bytes."""
        return self._bits.to_bytes((self._bits.bit_length() + 7) // 8, "little")
