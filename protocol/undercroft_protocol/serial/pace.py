"""How much goes into a frame, and how much may be under way: both learnt from the line, for all messages of a link."""

from __future__ import annotations

import math
from typing import Final

from undercroft_protocol.serial.frame import OVERHEAD_BYTES

MIN_PIECE_BYTES: Final = 96
MAX_PIECE_BYTES: Final = 2048
MIN_WINDOW_BYTES: Final = 3072
MAX_WINDOW_BYTES: Final = 16 * 1024
_PIECES: Final = 4
_COST_BYTES: Final = OVERHEAD_BYTES + 1
"""What a frame costs beside its bytes, with a part of the COBS codes."""


class PieceSize:
    """Chooses how many bytes go into a frame, from the losses seen.

    With a chance p of losing a byte and h bytes of overhead, about sqrt(h / p) bytes per frame carry most. Before
    anything was seen a good line is assumed, with little weight: the first losses count for much.
    """

    __slots__ = ("_bytes", "_lost")
    _MEMORY_BYTES = 64 * 1024.0

    def __init__(self) -> None:
        self._bytes = 6144.0
        self._lost = 0.15

    def note(self, size: int, *, lost: bool) -> None:
        """Record the fate of a frame with `size` bytes of a message."""
        self._bytes += size + OVERHEAD_BYTES
        self._lost += lost
        if self._bytes > self._MEMORY_BYTES:
            self._bytes /= 2
            self._lost /= 2

    def bytes_now(self) -> int:
        """Bytes for the next frame: 96 to 2,048."""
        best = math.isqrt(int(_COST_BYTES * self._bytes / max(self._lost, 0.01)))
        return min(max(best, MIN_PIECE_BYTES), MAX_PIECE_BYTES)


class Window:
    """Chooses how many bytes may be under way, from the time that their acknowledgements take.

    Enough that the line never falls idle, and no more: what waits in a driver's buffer was cut into pieces before the
    losses were known. Where pieces are large few are lost: four may wait, for a process that gets its turn late.
    """

    __slots__ = ("_least_seconds", "bytes_now")
    _SHORT_SECONDS = 0.2
    _LONG_SECONDS = 0.45

    def __init__(self) -> None:
        self.bytes_now = MIN_WINDOW_BYTES
        self._least_seconds = math.inf

    def bytes_for(self, piece: int) -> int:
        """Bytes that may be under way when a piece has so many."""
        return max(self.bytes_now, _PIECES * piece)

    def note(self, arrived: int, seconds: float) -> None:
        """Record that so many bytes were acknowledged, the newest of them so long after it was written."""
        self._least_seconds = min(self._least_seconds, seconds)
        waited = seconds - self._least_seconds
        if waited < self._SHORT_SECONDS:
            self.bytes_now = min(self.bytes_now + arrived, MAX_WINDOW_BYTES)
        elif waited > self._LONG_SECONDS:
            self.bytes_now = max(self.bytes_now - arrived, MIN_WINDOW_BYTES)
