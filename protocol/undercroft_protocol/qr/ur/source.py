"""A payload as the parts of a Uniform Resource, without end."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from undercroft_protocol.errors import QrSizeError

from ..stream import Kind
from .chooser import sequences
from .fountain import MAX_FRAGMENTS, indexes
from .kinds import WRITTEN, wrap
from .part import Part, whole_text

MIN_FRAGMENT_BYTES: Final = 10
"""The least that the reference encoders allow."""


class UrSource:
    """The texts of ``data`` as a UR, in capitals, with fragments of at most ``fragment_bytes`` bytes (from 10).

    Parts 1 to K come first, so that a reader who is there from the start needs no more; then parts that a peeling
    decoder, as existing wallets have it, can use well. Raises QrSizeError when there would be more than 4096 fragments.
    """

    def __init__(self, kind: Kind, data: bytes, *, fragment_bytes: int) -> None:
        if kind not in WRITTEN:
            raise ValueError(f"{kind} has no type of uniform resources")
        if not data:
            raise ValueError("nothing to send")
        if fragment_bytes < MIN_FRAGMENT_BYTES:
            raise QrSizeError(f"fragments of {fragment_bytes} bytes; {MIN_FRAGMENT_BYTES} is the least")
        self._type = WRITTEN[kind]
        self._message = wrap(kind, data)
        self._checksum = zlib.crc32(self._message)
        count = -(-len(self._message) // fragment_bytes)
        if count > MAX_FRAGMENTS:
            raise QrSizeError(f"{count} fragments; {MAX_FRAGMENTS} is the most")
        # All fragments have one size, the least that the count allows; the last is filled up with zeros.
        self._size = -(-len(self._message) // count)
        self._fragments = [
            int.from_bytes(self._message[at : at + self._size].ljust(self._size, b"\0"), "big")
            for at in range(0, len(self._message), self._size)
        ]
        self._sequences: Iterator[int] = sequences(len(self._fragments), self._checksum)

    @property
    def count(self) -> int:
        """How many parts are needed at least."""
        return len(self._fragments)

    def next_symbol(self) -> str:
        """The text of the next part; always the same when one part is enough."""
        if len(self._fragments) == 1:
            return whole_text(self._type, self._message)
        return self.part(next(self._sequences)).text()

    def part(self, sequence: int) -> Part:
        """Part ``sequence`` (from 1), whatever the source would show next."""
        mixed = 0
        for index in indexes(sequence, len(self._fragments), self._checksum):
            mixed ^= self._fragments[index]
        data = mixed.to_bytes(self._size, "big")
        return Part(self._type, sequence, len(self._fragments), len(self._message), self._checksum, data)
