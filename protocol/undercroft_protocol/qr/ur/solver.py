"""Fragments out of any parts that suffice: Gaussian elimination over GF(2), with Python's integers as registers."""

from __future__ import annotations

from collections.abc import Iterable

from undercroft_protocol.errors import QrSymbolError


class Solver:
    """Puts ``fragments`` fragments of ``size`` bytes together from sums (XOR) of some of them.

    Rows are kept reduced at every step: a row holds one fragment that no other row holds, and beside it only fragments
    that no row stands for yet. So the work is spread over all parts and none is left for the last one. A row is one
    integer: its data above, and below a bit for each fragment that it mixes. Memory: at most
    ``fragments`` x (``size`` + ``fragments`` / 8) bytes.
    """

    def __init__(self, fragments: int, size: int) -> None:
        self._fragments = fragments
        self._size = size
        self._mask = (1 << fragments) - 1
        self._rows: dict[int, int] = {}
        self._pivots = 0
        self._open: set[int] = set()

    @property
    def rank(self) -> int:
        """How many independent parts have come; the message is whole at ``fragments``."""
        return len(self._rows)

    def add(self, mixed: Iterable[int], data: bytes) -> None:
        """Take the sum of the fragments ``mixed``. Raises QrSymbolError when it contradicts what came before; that
        changes nothing."""
        row = int.from_bytes(data, "big") << self._fragments
        for index in mixed:
            row ^= 1 << index
        known = row & self._pivots
        while known:
            bit = known & -known
            known ^= bit
            row ^= self._rows[bit.bit_length() - 1]
        unknown = row & self._mask
        if not unknown:
            # Attack: the same part with other content; neither the first nor the last is believed over the other, the
            # checksum of the whole message decides.
            if row:
                raise QrSymbolError("a part contradicts those before it")
            return
        pivot = (unknown & -unknown).bit_length() - 1
        self._insert(pivot, row)

    def _insert(self, pivot: int, row: int) -> None:
        bit = 1 << pivot
        for other in list(self._open):
            if self._rows[other] & bit:
                reduced = self._rows[other] ^ row
                self._rows[other] = reduced
                if reduced & self._mask == 1 << other:
                    self._open.discard(other)
        self._rows[pivot] = row
        self._pivots |= bit
        if row & self._mask != bit:
            self._open.add(pivot)

    def message(self) -> bytes:
        """All fragments, joined; only when ``rank`` is ``fragments``."""
        rows = (self._rows[at] >> self._fragments for at in range(self._fragments))
        return b"".join(row.to_bytes(self._size, "big") for row in rows)
