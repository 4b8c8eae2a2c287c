"""Symbols of the fast format for tests, and a second reader of it, written from docs/qr.md alone."""

from __future__ import annotations

import random
import zlib
from hashlib import sha256, shake_128

from undercroft_protocol.qr.fast import FastSource
from undercroft_protocol.qr.fast.symbol import SEQUENCES, Symbol, read_symbol, write_symbol
from undercroft_protocol.squeeze import unsqueeze

SESSION = b"\x11\x22\x33\x44"
LIMIT = 1 << 20
MESSAGE = random.Random(11).randbytes(3000)


def texts(
    message: bytes = MESSAGE, *, count: int, version: int = 10, session: bytes = SESSION, skip: int = 0
) -> list[str]:
    """``count`` symbols after the first ``skip``."""
    source = FastSource(message, version=version, session=session)
    return [source.next_symbol() for _ in range(skip + count)][skip:]


def rewritten(text: str, *, session: bytes = b"", count: int = 0, sequence: int = -1, payload: bytes = b"") -> str:
    """The symbol with another field and a right checksum, as a hostile sender writes it."""
    one = read_symbol(text)
    chosen = sequence if sequence >= 0 else one.sequence
    return write_symbol(session or one.session, count or one.count, chosen, payload or one.payload)


class SecondReader:
    """Slow and plain: big numbers, logarithms, elimination at the end."""

    def __init__(self) -> None:
        self._exp, self._log = [1] * 510, [0] * 256
        for power in range(1, 510):
            value = self._exp[power - 1] << 1
            self._exp[power] = value ^ 0x11D if value > 255 else value
        for power in range(255):
            self._log[self._exp[power]] = power

    def message(self, several: list[str]) -> bytes:
        """The message of symbols that suffice."""
        parsed = [self._symbol(text) for text in several]
        count = parsed[0].count
        table = [[*self._weights(one), *one.payload] for one in parsed]
        for column in range(count):
            at = next(row for row in range(column, len(table)) if table[row][column])
            table[column], table[at] = table[at], table[column]
            inverse = self._exp[255 - self._log[table[column][column]]]
            table[column] = [self._times(value, inverse) for value in table[column]]
            for row, values in enumerate(table):
                if row != column and values[column]:
                    factor = values[column]
                    table[row] = [a ^ self._times(b, factor) for a, b in zip(values, table[column], strict=True)]
        parcel = bytes(value for row in table[:count] for value in row[count:])
        length = int.from_bytes(parcel[:3], "big")
        message = unsqueeze(parcel[35 : 35 + length], limit=LIMIT)
        assert sha256(message).digest() == parcel[3:35]
        return message

    def _symbol(self, text: str) -> Symbol:
        data = bytearray()
        for at in range(0, len(text), 53):
            group = text[at : at + 53]
            size = next(size for size in range(23) if len(str(256**size - 1)) == len(group))
            data += int(group).to_bytes(size, "big")
        body, check = bytes(data[:-4]), int.from_bytes(data[-4:], "big")
        assert zlib.crc32(b"undercroft fast 1" + body) == check
        word = int.from_bytes(body[4:8], "big")
        return Symbol(body[:4], (word >> 20) + 1, word & (SEQUENCES - 1), body[8:], check)

    def _weights(self, one: Symbol) -> bytes:
        if one.sequence < one.count:
            return bytes(int(at == one.sequence) for at in range(one.count))
        drawn = shake_128(one.session + one.sequence.to_bytes(4, "big")).digest(one.count)
        return bytes(value or 1 for value in drawn)

    def _times(self, left: int, right: int) -> int:
        return self._exp[self._log[left] + self._log[right]] if left and right else 0
