"""BBQr texts for tests: good ones, and the means to spoil them."""

from __future__ import annotations

import random

from undercroft_protocol.qr.bbqr import BbqrSink, BbqrSource
from undercroft_protocol.qr.stream import Kind, Payload

LIMIT = 100_000


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that nothing makes shorter."""
    return random.Random(seed).randbytes(size)


def psbt(size: int, seed: int = 1) -> bytes:
    """Bytes that begin as a PSBT does, half of them compressible."""
    return b"psbt\xff" + noise(size - size // 2 - 5, seed) + b"\x5a" * (size // 2)


def texts(
    data: bytes, *, characters: int = 200, encoding: str = "2", kind: Kind = Kind.PSBT, rounds: int = 1
) -> list[str]:
    """What a source shows, so many rounds of it."""
    source = BbqrSource(kind, data, characters=characters, encoding=encoding)
    return [source.next_symbol() for _ in range(rounds * source.count)]


def joined(parts: list[str], *, limit: int = LIMIT) -> Payload | None:
    """What a fresh sink makes of some texts: the last thing that it gave."""
    sink, last = BbqrSink(limit=limit), None
    for part in parts:
        last = sink.take(part) or last
    return last
