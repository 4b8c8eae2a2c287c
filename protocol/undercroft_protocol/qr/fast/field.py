"""Arithmetic of GF(2^8), x^8 + x^4 + x^3 + x^2 + 1 (0x11D), on whole rows: an integer, each of its bytes an element.

Addition is XOR. All else is made of doubling, which masks do for all bytes at once: no table per byte, no native code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_REDUCTION: Final = 0x1D
_BITS: Final = 8
_NIBBLE: Final = 4


class Rows:
    """Operations on rows of at most ``width`` bytes."""

    def __init__(self, width: int) -> None:
        self._lower_bits = int.from_bytes(b"\x7f" * width)
        self._lowest_bits = int.from_bytes(b"\x01" * width)

    def doubled(self, row: int) -> int:
        """Each byte times 2."""
        carries = (row >> 7) & self._lowest_bits
        return (row & self._lower_bits) << 1 ^ carries * _REDUCTION

    def multiples(self, row: int) -> list[int]:
        """The row times 0, 1 … 255."""
        found = [0]
        for _ in range(_BITS):
            found += [row ^ one for one in found]
            row = self.doubled(row)
        return found

    def times(self, row: int, factor: int) -> int:
        """Each byte times ``factor``."""
        return self.weighted_sum(bytes((factor,)), (row,))

    def weighted_sum(self, weights: bytes, rows: Sequence[int]) -> int:
        """The sum of the rows, each times its weight."""
        # Two additions for a row, whatever its weight: rows that share half a weight are added up first.
        high, low = [0] * 16, [0] * 16
        for weight, row in zip(weights, rows, strict=True):
            high[weight >> _NIBBLE] ^= row
            low[weight & 15] ^= row
        total = 0
        for half in (high, low):
            for bit in (8, 4, 2, 1):
                total = self.doubled(total)
                for nibble in range(bit, 16):
                    if nibble & bit:
                        total ^= half[nibble]
        return total


def _inverses() -> bytes:
    rows = Rows(1)
    powers = [1]
    for _ in range(254):
        powers.append(rows.doubled(powers[-1]))
    found = bytearray(256)
    for exponent, power in enumerate(powers):
        found[power] = powers[-exponent % 255]
    return bytes(found)


INVERSES: Final = _inverses()
"""1 / x at place x; 0 at place 0."""
