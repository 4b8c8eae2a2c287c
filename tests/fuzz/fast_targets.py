"""The fast format under the fuzzer: a stream of symbols, damaged, rewritten and mixed as the input says."""

from __future__ import annotations

from typing import Final

from undercroft_protocol.errors import QrMessageError, QrSymbolError
from undercroft_protocol.qr.fast import FastSink, FastSource
from undercroft_protocol.qr.fast.symbol import read_symbol, write_symbol

_MESSAGE: Final = bytes(at * at % 251 for at in range(400)) + bytes(range(256))
_SOURCE: Final = FastSource(_MESSAGE, version=5, session=b"fuzz")
_SYMBOLS: Final = tuple(_SOURCE.next_symbol() for _ in range(3 * _SOURCE.count))
_AS_SENT: Final = 7


def fuzz_fast(data: bytes) -> None:
    """Only QrSymbolError and QrMessageError; a message that comes out is the one that was sent.

    Four bytes of the input are a symbol: which one, how it is spoiled, where, with what.
    """
    sink = FastSink(limit=len(_MESSAGE))
    for at in range(0, len(data) - 3, 4):
        text = _SYMBOLS[data[at] % len(_SYMBOLS)]
        try:
            payload = sink.take(_spoiled(text, data[at + 1], data[at + 2], data[at + 3]))
        except QrSymbolError:
            continue
        except QrMessageError:
            sink = FastSink(limit=len(_MESSAGE))
            continue
        if payload is not None and payload.data != _MESSAGE:
            raise AssertionError("a message that nobody sent")


def fast_corpus() -> list[bytes]:
    """Streams that are read: from their beginning, and joined late."""
    streams = (range(first, first + 2 * _SOURCE.count) for first in (0, 3))
    return [bytes(byte for at in numbers for byte in (at, _AS_SENT, 0, 0)) for numbers in streams]


def _spoiled(text: str, how: int, place: int, value: int) -> str:
    """A symbol as it was sent, or damaged, or as a hostile sender writes it, its checksum right."""
    symbol = read_symbol(text)
    session, count, sequence, payload = symbol.session, symbol.count, symbol.sequence, bytearray(symbol.payload)
    match how % 8:
        case 0:
            at = place % len(text)
            return text[:at] + chr(value) + text[at + 1 :]
        case 1:
            return text[: len(text) - place % 64] + "0" * (value % 64)
        case 2:
            count = 1 + place * 16 + value % 16
        case 3:
            sequence = place << 8 | value
        case 4:
            payload[place % len(payload)] ^= value
        case 5:
            payload = payload[: 1 + place % len(payload)]
        case _:
            return text
    return write_symbol(session, count, sequence, bytes(payload))
