"""Puts one Uniform Resource together again, from any of its parts in any order."""

from __future__ import annotations

import zlib

from undercroft_protocol.errors import QrMessageError, QrSymbolError

from ..stream import Format, Gathered, Payload
from .fountain import indexes
from .kinds import ITEM_OVERHEAD_BYTES, kind_of, unwrap
from .part import Part, Whole, parse
from .solver import Solver


class UrSink:
    """Reads one UR: a PSBT, bytes, an account or an output of at most ``limit`` bytes."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._whole: Whole | None = None
        self._parts: tuple[Part, Solver] | None = None
        self._broken = False

    @property
    def gathered(self) -> Gathered:
        """Independent parts of those needed; 0 of 0 before the first."""
        if self._whole is not None:
            return Gathered(1, 1, len(self._whole.message))
        if self._parts is None:
            return Gathered(0, 0)
        first, solver = self._parts
        return Gathered(solver.rank, first.fragments, first.length)

    def take(self, text: str) -> Payload | None:
        """Take the text of a code; the payload when this made it whole, once.

        Raises QrSymbolError for a code that is no part of this UR or contradicts its other parts, QrMessageError when
        what came together fails its checksum or is not what its type says; after that the sink is of no more use.
        """
        if self._broken:
            raise QrMessageError("this message failed before")
        found = parse(text)
        kind = kind_of(found.type)
        message = self._whole_message(found) if isinstance(found, Whole) else self._joined_message(found)
        if message is None:
            return None
        try:
            return Payload(Format.UR, kind, unwrap(kind, message, limit=self._limit))
        except QrMessageError:
            self._broken = True
            raise

    def _whole_message(self, found: Whole) -> bytes | None:
        if self._whole == found:
            return None
        if self._whole is not None or self._parts is not None:
            raise QrSymbolError("it belongs to another message")
        self._check_length(len(found.message))
        self._whole = found
        return found.message

    def _joined_message(self, part: Part) -> bytes | None:
        solver = self._solver(part)
        if solver.rank == part.fragments:
            return None
        solver.add(indexes(part.sequence, part.fragments, part.checksum), part.data)
        if solver.rank < part.fragments:
            return None
        message = solver.message()[: part.length]
        # Attack: parts that fit each other, and together are not what their checksum promises.
        if zlib.crc32(message) != part.checksum:
            self._broken = True
            raise QrMessageError("the checksum of the message is wrong")
        return message

    def _solver(self, part: Part) -> Solver:
        if self._parts is None and self._whole is None:
            self._check_length(part.length)
            self._parts = part, Solver(part.fragments, len(part.data))
        # Attack: parts of two messages mixed, or a length that changes in the middle.
        if self._parts is None or part.stream != self._parts[0].stream:
            raise QrSymbolError("it belongs to another message")
        return self._parts[1]

    def _check_length(self, length: int) -> None:
        # Attack: a message announced that would exhaust memory.
        if length > self._limit + ITEM_OVERHEAD_BYTES:
            raise QrSymbolError(f"a message of {length} bytes announced; {self._limit} is the most")
