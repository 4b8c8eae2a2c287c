"""Uniform Resources for tests: the reference's message, good texts, and readers of them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from undercroft_protocol.qr.stream import Kind, Payload
from undercroft_protocol.qr.ur import UrSink, UrSource
from undercroft_protocol.qr.ur.xoshiro import Xoshiro256

VECTORS = Path(__file__).parents[2] / "vectors"
LIMIT = 400_000


def vectors(name: str) -> Any:
    """The content of a vector file of other people's."""
    return json.loads((VECTORS / "ur" / f"{name}.json").read_text(encoding="utf-8"))


def reference_message(size: int) -> bytes:
    """The message that the reference's tests send."""
    generator = Xoshiro256(b"Wolf")
    return bytes(generator.below(256) for _ in range(size))


def noise(size: int, seed: int = 1) -> bytes:
    """Any bytes."""
    return random.Random(seed).randbytes(size)


def texts(data: bytes, count: int, *, fragment_bytes: int, kind: Kind = Kind.PSBT, start: int = 0) -> list[str]:
    """What a source shows, from frame ``start`` (0 is its first) on."""
    source = UrSource(kind, data, fragment_bytes=fragment_bytes)
    for _ in range(start):
        source.next_symbol()
    return [source.next_symbol() for _ in range(count)]


def joined(parts: Iterable[str], *, limit: int = LIMIT) -> tuple[Payload, int]:
    """What a fresh sink makes of texts, and how many of them it took."""
    sink = UrSink(limit=limit)
    for taken, text in enumerate(parts, start=1):
        payload = sink.take(text)
        if payload is not None:
            return payload, taken
    raise AssertionError(f"not whole: {sink.gathered}")
