"""One direction of a serial line: how fast its bytes go, how late they come, and what the noise does to them."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Final

_CHUNK_BYTES: Final = 4096
_AHEAD_SECONDS: Final = 0.002
"""Bytes are taken on and handed over in portions of this, or of so many bytes:"""
_LEAST_BYTES: Final = 8
_CATCH_UP_SECONDS: Final = 0.25
BITS_PER_BYTE: Final = 10
"""8N1: a start bit, eight of data, a stop bit."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with a line; rates are chances per bit (flipped) and per byte (lost, doubled).

    `baud` is its speed in bits per second, 0 for as fast as it goes; `latency` in seconds, one way.
    """

    bit_error_rate: float = 0.0
    drop_rate: float = 0.0
    duplicate_rate: float = 0.0
    latency: float = 0.0
    baud: int = 0
    seed: int = 0


class Noise:
    """Spoils a stream of bytes, the same way for the same seed, however it is cut."""

    def __init__(self, faults: Faults, *, way: int) -> None:
        self._random = random.Random(2 * faults.seed + way)
        self._faults = faults
        self._bits_to_error = self._distance(faults.bit_error_rate)
        self._bytes_to_drop = self._distance(faults.drop_rate)
        self._bytes_to_double = self._distance(faults.duplicate_rate)

    def spoil(self, data: bytes) -> bytes:
        """Return what arrives of `data`."""
        out = bytearray(data)
        while self._bits_to_error < 8 * len(out):
            out[self._bits_to_error // 8] ^= 1 << self._bits_to_error % 8
            self._bits_to_error += 1 + self._distance(self._faults.bit_error_rate)
        self._bits_to_error -= 8 * len(data)
        dropped = 0
        while self._bytes_to_drop < len(data):
            del out[self._bytes_to_drop - dropped]
            dropped += 1
            self._bytes_to_drop += 1 + self._distance(self._faults.drop_rate)
        self._bytes_to_drop -= len(data)
        left = len(out)
        doubled = 0
        while self._bytes_to_double < left:
            at = self._bytes_to_double + doubled
            out[at:at] = out[at : at + 1]
            doubled += 1
            self._bytes_to_double += 1 + self._distance(self._faults.duplicate_rate)
        self._bytes_to_double -= left
        return bytes(out)

    def _distance(self, rate: float) -> int:
        return int(self._random.expovariate(rate)) if rate > 0 else 2**62


class Wire:
    """Takes bytes as fast as the line sends them and gives them when they arrive; times are seconds on one clock."""

    def __init__(self, faults: Faults, *, way: int) -> None:
        self._noise = Noise(faults, way=way)
        self._byte_seconds = BITS_PER_BYTE / faults.baud if faults.baud else 0.0
        self._latency = faults.latency
        self._ahead = max(_AHEAD_SECONDS, _LEAST_BYTES * self._byte_seconds)
        self._free_at = 0.0
        self._backlog = False
        self._flying: deque[tuple[float, bytes]] = deque()

    def room(self, now: float) -> int:
        """How many bytes it takes now; 0: see `next_at`."""
        if not self._byte_seconds:
            return _CHUNK_BYTES
        return max(0, min(_CHUNK_BYTES, int((now + self._ahead - self._start(now)) / self._byte_seconds)))

    def take(self, data: bytes, now: float, *, asked: int) -> None:
        """The next bytes, read when `asked` were asked for: if so many came, more were waiting."""
        self._free_at = self._start(now) + len(data) * self._byte_seconds
        self._backlog = len(data) == asked
        spoilt = self._noise.spoil(data)
        if spoilt:
            self._flying.append((self._free_at + self._latency, spoilt))

    def arrived(self, now: float) -> bytes:
        """What is at the other end by now and was not fetched yet."""
        out = bytearray()
        while self._flying and self._flying[0][0] <= now:
            out += self._flying.popleft()[1]
        return bytes(out)

    def next_at(self, now: float) -> float | None:
        """When to look again; None if only new bytes change anything."""
        times = [self._flying[0][0]] if self._flying else []
        if not self.room(now):
            times.append(self._free_at - self._ahead / 2)
        return min(times, default=None)

    def _start(self, now: float) -> float:
        # A line that had bytes to send all the time has sent them, also while this process was not looking.
        if self._backlog and now - self._free_at < _CATCH_UP_SECONDS:
            return self._free_at
        return max(self._free_at, now)
