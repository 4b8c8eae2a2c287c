"""Gaussian elimination over GF(2^8) that is never behind: each symbol is worked in when it comes.

The rows known so far stand in reduced form: each is one unknown of its own (its pivot) plus a mixture of the unknowns
that have no row yet. A new symbol loses all pivots at once, one weighted sum; what remains makes the highest unknown
left in it the next pivot, which is then taken out of the other rows. As pivots are taken from the top, the integers
that hold the rows get shorter as they get more: K²/4 bytes of coefficients at most, none at all for plain rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from undercroft_protocol.errors import QrSymbolError

from .field import INVERSES, Rows


class Elimination:
    """Finds ``count`` rows of ``size`` bytes from sums of them."""

    def __init__(self, count: int, size: int) -> None:
        self._count = count
        self._size = size
        self._field = Rows(count + size)
        # By pivot: its coefficient (1) left out, unknown u at byte size + u from the right, the payload below.
        self._rows: dict[int, int] = {}

    @property
    def rank(self) -> int:
        """How many independent symbols there were."""
        return len(self._rows)

    def add_row(self, unknown: int, payload: bytes) -> None:
        """Take row number ``unknown`` itself. Raises as ``add_sum``."""
        value = int.from_bytes(payload)
        known = self._rows.get(unknown)
        self._work_in(value ^ (1 << self._at(unknown) if known is None else known))

    def add_sum(self, weights: bytes, payload: bytes) -> None:
        """Take the sum of all rows, each times its weight; nothing happens when it follows from what is known.

        Raises QrSymbolError, and changes nothing, when it contradicts what is known.
        """
        free = bytearray(weights)
        for pivot in self._rows:
            free[pivot] = 0
        known = self._field.weighted_sum(bytes(weights[pivot] for pivot in self._rows), list(self._rows.values()))
        self._work_in((int.from_bytes(free, "little") << self._at(0)) ^ int.from_bytes(payload) ^ known)

    def solution(self) -> Iterator[bytes]:
        """The rows in order, once; each is forgotten here when it is given. Only when ``rank`` is ``count``."""
        for unknown in range(self._count):
            yield self._rows.pop(unknown).to_bytes(self._size)

    def _at(self, unknown: int) -> int:
        return 8 * (self._size + unknown)

    def _work_in(self, row: int) -> None:
        pivot = (row.bit_length() + 7) // 8 - 1 - self._size
        if pivot < 0:
            # Attack: a symbol with a good checksum and false content. Whether it is this one or one before it, the
            # SHA-256 of the message decides.
            if row:
                raise QrSymbolError("it contradicts those before it")
            return
        at = self._at(pivot)
        leading = row >> at
        if leading != 1:
            row = self._field.times(row, INVERSES[leading])
        used = [(other, weight) for other, known in self._rows.items() if (weight := known >> at & 0xFF)]
        if used:
            multiples = self._field.multiples(row)
            for other, weight in used:
                self._rows[other] ^= multiples[weight]
        self._rows[pivot] = row ^ 1 << at
