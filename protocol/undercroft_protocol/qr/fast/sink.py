"""The receiver of the fast format: any K different symbols give the message, K + 0.004 on average."""

from __future__ import annotations

from typing import Final

from undercroft_protocol.errors import QrMessageError, QrSymbolError
from undercroft_protocol.qr.stream import Format, Gathered, Kind, Payload, SymbolSink

from .elimination import Elimination
from .parcel import most_bytes, unpack
from .symbol import Symbol, coefficients, read_symbol

MOST_MEMORY_BYTES: Final = 32 * 1024 * 1024
"""What a sink takes at most, the message it gives included, for the longest message there is (4 MiB)."""


class FastSink(SymbolSink):
    """Gathers the symbols of one message of at most ``limit`` bytes; the first symbol tells which message.

    No call does more than work in one symbol; the one that makes the message whole also unpacks it.
    """

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._announced: tuple[bytes, int, int] | None = None
        self._elimination = Elimination(0, 0)
        self._taken: dict[int, int] = {}
        self._done = False
        self._failed = False

    @property
    def gathered(self) -> Gathered:
        if self._announced is None:
            return Gathered(0, 0)
        _, count, size = self._announced
        return Gathered(len(self._taken), count, count * size)

    def take(self, text: str) -> Payload | None:
        symbol = read_symbol(text)
        self._check_announced(symbol)
        if self._failed:
            raise QrMessageError("this one could not be put together")
        if self._done or self._is_repeated(symbol):
            return None
        try:
            self._work_in(symbol)
            return self._payload(symbol) if len(self._taken) == symbol.count else None
        except QrMessageError:
            self._failed = True
            self._elimination = Elimination(0, 0)
            raise

    def _check_announced(self, symbol: Symbol) -> None:
        announced = symbol.session, symbol.count, len(symbol.payload)
        if self._announced is None:
            # Attack: a length that nobody would send, to have memory set aside for it.
            if (symbol.count - 1) * len(symbol.payload) >= most_bytes(self._limit):
                raise QrSymbolError(f"of a message of more than {self._limit} bytes")
            self._announced = announced
            self._elimination = Elimination(symbol.count, len(symbol.payload))
        # Attack: another size or number of symbols under the same session, to spoil what was gathered.
        elif announced != self._announced:
            raise QrSymbolError("of another message, or cut in another way")

    def _is_repeated(self, symbol: Symbol) -> bool:
        check = self._taken.get(symbol.sequence)
        # Attack: a second content under a number that was taken already.
        if check is not None and check != symbol.check:
            raise QrSymbolError(f"number {symbol.sequence} had another content before")
        return check is not None

    def _work_in(self, symbol: Symbol) -> None:
        rank = self._elimination.rank
        if symbol.sequence < symbol.count:
            self._elimination.add_row(symbol.sequence, symbol.payload)
        else:
            weights = coefficients(symbol.session, symbol.count, symbol.sequence)
            self._elimination.add_sum(weights, symbol.payload)
        # Only those that brought something are remembered: never more than the message needs.
        if self._elimination.rank > rank:
            self._taken[symbol.sequence] = symbol.check

    def _payload(self, symbol: Symbol) -> Payload:
        rows = b"".join(self._elimination.solution())
        message = unpack(rows, count=symbol.count, limit=self._limit)
        self._done = True
        return Payload(Format.FAST, Kind.MESSAGE, message)
