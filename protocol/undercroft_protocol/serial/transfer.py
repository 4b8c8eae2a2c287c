"""The sending half of one message: what is still to be sent, what is under way, what was lost.

Every frame sent has a sequence number of its own, also when it repeats bytes. As a line keeps the order, a
frame that is missing in an acknowledgement of a later one was lost: no timer is needed to see it.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from dataclasses import dataclass

from undercroft_protocol.serial.assembly import BITMAP_BITS
from undercroft_protocol.serial.frame import OVERHEAD_BYTES

WINDOW_BYTES = 16 * 1024
WINDOW_FRAMES = BITMAP_BITS - 64
"""Fewer than an acknowledgement can name, so that pings fit between."""
MIN_PIECE_BYTES = 64
MAX_PIECE_BYTES = 1024


class PieceSize:
    """Chooses how many message bytes go into a frame, from the losses seen.

    With a chance p of losing a byte and h bytes of overhead, about sqrt(h / p) bytes per frame carry most.
    """

    __slots__ = ("_bytes", "_lost")
    _MEMORY_BYTES = 32 * 1024.0

    def __init__(self) -> None:
        self._bytes = self._MEMORY_BYTES / 2
        self._lost = 1.0

    def note(self, size: int, *, lost: bool) -> None:
        """Record the fate of a frame with `size` bytes of a message."""
        self._bytes += size + OVERHEAD_BYTES
        self._lost += lost
        if self._bytes > self._MEMORY_BYTES:
            self._bytes /= 2
            self._lost /= 2

    def bytes_now(self) -> int:
        """Message bytes for the next frame: 64 to 1,024."""
        best = math.isqrt(int(OVERHEAD_BYTES * self._bytes / max(self._lost, 0.01)))
        return min(max(best, MIN_PIECE_BYTES), MAX_PIECE_BYTES)


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the message under way in one frame; no bytes at all: the announcement."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


ANNOUNCEMENT = Piece(0, 0)


class Transfer:
    """One message on its way out. `number` rises with every message of a session."""

    __slots__ = (
        "_due",
        "_fresh",
        "_under_way",
        "_under_way_bytes",
        "acknowledged",
        "digest",
        "first",
        "message",
        "number",
        "restarts",
    )

    def __init__(self, message: bytes, *, number: int, first: int) -> None:
        self.message = message
        self.digest = hashlib.sha256(message).digest()
        self.number = number
        self.restarts = -1
        self.restart(first)

    def restart(self, first: int) -> None:
        """Begin again from the announcement, which will have the sequence number `first` or a later one."""
        self.first = first
        self.restarts += 1
        self.acknowledged = 0
        self._fresh = 0
        self._due: deque[Piece] = deque([ANNOUNCEMENT])
        self._under_way: dict[int, tuple[Piece, float]] = {}
        self._under_way_bytes = 0

    @property
    def settled(self) -> bool:
        """Every frame was taken by the other side."""
        return not self._due and not self._under_way and self._fresh == len(self.message)

    def next_piece(self, sequence: int, size: int, now: float) -> Piece | None:
        """What frame `sequence` shall carry, at most `size` bytes; None if the window is full or all sent."""
        if len(self._under_way) >= WINDOW_FRAMES or self._under_way_bytes >= WINDOW_BYTES:
            return None
        if self._due:
            piece = self._due.popleft()
            if piece.size > size:
                self._due.appendleft(Piece(piece.start + size, piece.stop))
                piece = Piece(piece.start, piece.start + size)
        elif self._fresh < len(self.message):
            piece = Piece(self._fresh, min(self._fresh + size, len(self.message)))
            self._fresh = piece.stop
        else:
            return None
        self._under_way[sequence] = (piece, now)
        self._under_way_bytes += piece.size
        return piece

    def acknowledge(self, latest: int, bits: int) -> tuple[list[Piece], list[Piece], float | None]:
        """Take an acknowledgement: bit i of `bits` is frame `latest - i`.

        Returns the pieces that arrived, those that were lost (they will be sent again), and when the newest of
        the arrived ones was sent.
        """
        arrived: list[Piece] = []
        lost: list[Piece] = []
        sent_at: float | None = None
        for sequence in [number for number in self._under_way if number <= latest]:
            piece, when = self._under_way.pop(sequence)
            self._under_way_bytes -= piece.size
            if bits >> latest - sequence & 1:
                arrived.append(piece)
                self.acknowledged += piece.size
                sent_at = when
            else:
                lost.append(piece)
                # Without the announcement the other side takes none of the pieces.
                (self._due.appendleft if piece is ANNOUNCEMENT else self._due.append)(piece)
        return arrived, lost, sent_at
