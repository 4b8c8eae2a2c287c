"""Fuzzing of what the texts of codes say: BBQr, the older forms, and the collector with everything mixed.

An input is texts, one in a line, each byte a character.
"""

from __future__ import annotations

from typing import Final

from undercroft_protocol.errors import QrMessageError, QrSymbolError
from undercroft_protocol.qr.bbqr import MAX_PARTS, BbqrSink, BbqrSource
from undercroft_protocol.qr.collector import Collector
from undercroft_protocol.qr.stream import Payload, SymbolSink
from undercroft_protocol.qr.texts import MAX_PMOFN_PARTS, PlainSink, PmofnSink

_LIMIT: Final = 4096


def fuzz_bbqr(data: bytes) -> None:
    """Only QrSymbolError and QrMessageError; what is read can be written, and is read the same again."""
    sink = BbqrSink(limit=_LIMIT)
    found = _taken(sink, data, MAX_PARTS)
    if found:
        source = BbqrSource(found[-1].kind, found[-1].data, characters=200)
        again = [source.next_symbol() for _ in range(source.count)]
        if _taken(BbqrSink(limit=_LIMIT), "\n".join(again).encode(), MAX_PARTS)[-1] != found[-1]:
            raise AssertionError("what is written is not what was read")


def fuzz_texts(data: bytes) -> None:
    """Only QrSymbolError and QrMessageError; a PSBT begins as one and is no longer than the limit."""
    for sink, most in ((PmofnSink(limit=_LIMIT), MAX_PMOFN_PARTS), (PlainSink(limit=_LIMIT), 1)):
        for payload in _taken(sink, data, most):
            if not payload.data.startswith(b"psbt\xff"):
                raise AssertionError("no PSBT")


def fuzz_collector(data: bytes) -> None:
    """Nothing is raised; every code is counted once, as what it was."""
    collector = Collector(limit=_LIMIT)
    lines = data.decode("latin-1").split("\n")
    for text in lines:
        payload = collector.take(text)
        if payload is not None and len(payload.data) > _LIMIT:
            raise AssertionError("longer than the limit")
    counts = collector.counts
    if counts.symbols != len(lines) or counts.repeats + counts.refused > counts.symbols:
        raise AssertionError("codes were counted twice")
    if collector.last_problem is None and counts.refused:
        raise AssertionError("a refusal without a reason")


def _taken(sink: SymbolSink, data: bytes, most_parts: int) -> list[Payload]:
    found = []
    for text in data.decode("latin-1").split("\n"):
        try:
            payload = sink.take(text)
        except QrSymbolError:
            continue
        except QrMessageError:
            break
        gathered = sink.gathered
        if gathered.have > gathered.need or gathered.need > most_parts:
            raise AssertionError("more parts than there can be")
        if payload is not None:
            if len(payload.data) > _LIMIT:
                raise AssertionError("longer than the limit")
            found.append(payload)
            break
    return found
