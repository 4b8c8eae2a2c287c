"""Xoshiro256**, the generator by which both ends of a UR know what a part mixes (BCR-2020-005); nothing secret."""

from __future__ import annotations

import hashlib
import struct
from typing import Final

_MASK: Final = (1 << 64) - 1
_RANGE: Final = float(1 << 64)
_SEED: Final = struct.Struct(">4Q")


class Xoshiro256:
    """The generator, seeded with the SHA-256 of ``seed`` as four big-endian words."""

    __slots__ = ("_a", "_b", "_c", "_d")

    def __init__(self, seed: bytes) -> None:
        words: tuple[int, int, int, int] = _SEED.unpack(hashlib.sha256(seed).digest())
        self._a, self._b, self._c, self._d = words

    def next(self) -> int:
        """The next number, 0 to 2^64 - 1."""
        a, b, c, d = self._a, self._b, self._c, self._d
        scrambled = b * 5 & _MASK
        scrambled = (scrambled << 7 | scrambled >> 57) & _MASK
        c ^= a
        d ^= b
        self._a = a ^ d
        self._b, self._c = b ^ c, c ^ (b << 17 & _MASK)
        self._d = (d << 45 | d >> 19) & _MASK
        return scrambled * 9 & _MASK

    def next_double(self) -> float:
        """The next number, scaled as the reference does it: from 0 up to (by rounding, once in 2^54 draws) 1."""
        return self.next() / _RANGE

    def below(self, end: int) -> int:
        """The next number from 0 to ``end`` - 1."""
        # Attack: a part made to hit the one draw in 2^54 that rounds up to 1 and would index past the end.
        return min(int(self.next() / _RANGE * end), end - 1)
