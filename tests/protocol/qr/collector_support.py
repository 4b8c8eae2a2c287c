"""Streams of codes for the collector's tests."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator

from protocol.qr.bbqr_examples import psbt
from undercroft_protocol.qr.bbqr import BbqrSource, Encoding, Header
from undercroft_protocol.qr.collector import Collector
from undercroft_protocol.qr.fast import FastSource
from undercroft_protocol.qr.stream import Format, Kind, Payload, SymbolSource
from undercroft_protocol.qr.ur import UrSource

LIMIT = 100_000


def session(number: int) -> bytes:
    return number.to_bytes(4, "big")


def fast(message: bytes, number: int = 1, version: int = 10) -> FastSource:
    return FastSource(message, version=version, session=session(number))


def ur(data: bytes, fragment_bytes: int = 100) -> UrSource:
    return UrSource(Kind.PSBT, data, fragment_bytes=fragment_bytes)


def bbqr(data: bytes, characters: int = 200, encoding: str = "2") -> BbqrSource:
    return BbqrSource(Kind.PSBT, data, characters=characters, encoding=encoding)


class Pmofn(SymbolSource):
    """Specter's form, which nobody but a test writes."""

    def __init__(self, data: bytes, characters: int = 100) -> None:
        text = base64.b64encode(data).decode()
        cut = [text[at : at + characters] for at in range(0, len(text), characters)]
        self.texts = [f"p{number}of{len(cut)} {part}" for number, part in enumerate(cut, 1)]
        self._shown = 0

    @property
    def count(self) -> int:
        return len(self.texts)

    def next_symbol(self) -> str:
        self._shown += 1
        return self.texts[(self._shown - 1) % len(self.texts)]


def source(format_: Format, data: bytes, number: int = 1) -> SymbolSource:
    """``data`` in one of the formats of several codes."""
    match format_:
        case Format.FAST:
            return fast(data, number)
        case Format.UR:
            return ur(data)
        case Format.BBQR:
            return bbqr(data)
        case _:
            return Pmofn(data)


def shown(from_source: SymbolSource, rounds: int = 1) -> Iterator[str]:
    for _ in range(rounds * from_source.count):
        yield from_source.next_symbol()


def given(collector: Collector, texts: Iterable[str]) -> list[Payload]:
    """What comes out."""
    return [payload for payload in map(collector.take, texts) if payload is not None]


def strangers(number: int, codes_each: int = 1, first: int = 0) -> Iterator[str]:
    """Good codes of ever new senders, none of whom finishes: fast sessions, URs, BBQr headers."""
    for at in range(first, first + number):
        data = psbt(2000, seed=1000 + at)
        match at % 3:
            case 0:
                one: SymbolSource = fast(data, 1_000_000 + at)
            case 1:
                one = ur(data)
            case _:
                # A header for each: total, file type and encoding are all that it has.
                yield from (
                    Header(Encoding.HEX, "B", 100 + at % 1000, index).text() + "AB" for index in range(codes_each)
                )
                continue
        for _ in range(codes_each):
            yield one.next_symbol()
