"""The files tests/vectors/qr/ur-*.json: bad Uniform Resources, each a good one with one mutation, and what to expect.

make_qr.py writes them with the others. Fields of a file:
`attack`, `line` (of the list of bad inputs that the links are built against), `sink`, `texts` in the order in which
they are read, `expect` (the code of the first error), `after` ("whole": the message still arrives from these texts;
"nothing": it does not, and nothing else does).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Final

from undercroft_protocol import cbor
from undercroft_protocol.qr.stream import Kind
from undercroft_protocol.qr.ur import UrSource, bytewords
from undercroft_protocol.qr.ur.fountain import indexes
from undercroft_protocol.qr.ur.part import Part, parse

DATA: Final = b"".join(hashlib.sha256(bytes([at])).digest() for at in range(8))
"""The message of every vector: 256 bytes, in nine parts."""

OTHER: Final = DATA[::-1]


def good(data: bytes = DATA, kind: Kind = Kind.BYTES) -> list[str]:
    """The nine parts."""
    source = UrSource(kind, data, fragment_bytes=29)
    return [source.next_symbol() for _ in range(source.count)]


def part(number: int) -> Part:
    """Part ``number`` (from 1) as a value."""
    found = parse(good()[number - 1])
    assert isinstance(found, Part)
    return found


def _with_body(body: bytes, sequence: str = "1-9") -> str:
    return f"UR:BYTES/{sequence}/{bytewords.encode(body)}"


def _fields(**changed: object) -> list[object]:
    first = dataclasses.replace(part(1), **changed)  # type: ignore[arg-type]
    return [first.sequence, first.fragments, first.length, first.checksum, first.data]


def _body(fields: Sequence[object]) -> bytes:
    return cbor.encode(fields)  # type: ignore[arg-type]


def _flipped(one: Part) -> str:
    return dataclasses.replace(one, data=bytes([one.data[0] ^ 1]) + one.data[1:]).text()


def _symbols() -> Iterator[tuple[int, str, str]]:
    """Single codes that are refused before or among good ones, without harm to them: line, name, text."""
    first = good()[0]
    yield 72, "million-fragments", _with_body(_body(_fields(fragments=1_000_000, length=29_000_000)), "1-1000000")
    yield 72, "million-fragments-outside", first.replace("1-9/", "1-1000000/")
    yield 72, "million-fragments-inside", _with_body(_body(_fields(fragments=1_000_000, length=29_000_000)))
    yield 72, "one-fragment-too-many", _with_body(_body(_fields(fragments=4097, length=29 * 4097)), "1-4097")
    yield 72, "four-gigabytes-announced", _with_body(_body(_fields(length=0xFFFFFFFF)))
    yield 72, "longer-than-the-limit", _with_body(_body(_fields(fragments=4096, length=29 * 4096)), "1-4096")
    yield 72, "longer-than-a-code", first + "AE" * 2200
    yield 73, "index-zero", _with_body(_body(_fields(sequence=0)), "0-9")
    yield 73, "index-zero-outside", first.replace("/1-9/", "/0-9/")
    yield 73, "index-zero-inside", _with_body(_body(_fields(sequence=0)))
    yield 73, "comma-for-hyphen", first.replace("/1-9/", "/1,9/")
    yield 73, "leading-zero", first.replace("/1-9/", "/01-9/")
    yield 73, "sign", first.replace("/1-9/", "/+1-9/")
    yield 73, "arabic-digit", first.replace("/1-9/", "/\u0661-9/")
    yield 73, "long-s-for-s", first.replace("UR:BYTES", "UR:BYTE\u017f")
    yield 73, "three-numbers", first.replace("/1-9/", "/1-9-9/")
    yield 73, "another-path-component", first + "/AE"
    yield 73, "no-scheme", first[3:]
    yield 73, "another-scheme", "UX" + first[2:]
    yield 73, "space-before", " " + first
    yield 73, "line-feed-behind", first + "\n"
    yield 73, "unknown-type", first.replace("BYTES", "CRYPTO-SEED")
    yield 73, "not-cbor", _with_body(b"\xff" * 40)
    yield 73, "cbor-cut-short", _with_body(_body(_fields())[:-1])
    yield 73, "cbor-with-a-tail", _with_body(_body(_fields()) + b"\x00")
    yield 73, "cbor-long-form", _with_body(_body(_fields()).replace(b"\x85\x01\x09", b"\x85\x18\x01\x09"))
    yield 73, "cbor-array-of-four", _with_body(_body(_fields()[:4]))
    yield 73, "cbor-array-of-six", _with_body(_body([*_fields(), 1]))
    yield 73, "cbor-map", _with_body(cbor.encode({1: 1}))
    yield 73, "cbor-booleans", _with_body(_body([True, *_fields()[1:]]))
    yield 73, "cbor-negative", _with_body(_body([-1, *_fields()[1:]]))
    yield 73, "cbor-text-for-data", _with_body(_body([*_fields()[:4], "x" * 29]))
    yield 73, "cbor-no-data", _with_body(_body(_fields(data=b"")))
    yield 73, "checksum-of-33-bits", _with_body(_body(_fields(checksum=1 << 32)))
    yield 73, "length-zero", _with_body(_body(_fields(length=0)))
    yield 73, "letter-changed", first[:-20] + ("A" if first[-20] != "A" else "B") + first[-19:]
    yield 73, "two-letters-swapped", first[:-6] + first[-4:-2] + first[-6:-4] + first[-2:]
    yield 73, "half-a-word", first[:-1]
    yield 73, "cut-short", first[:-10]
    yield 73, "nothing", "UR:BYTES/1-9/"
    yield 73, "outside-says-another-part", first.replace("/1-9/", "/2-9/")


def _streams() -> Iterator[tuple[int, str, list[str], str, str]]:
    """Whole streams: line, name, texts, the first error, what comes of it."""
    texts = good()
    yield 73, "two-messages-mixed", [texts[0], good(OTHER)[1], *texts[1:]], "qr-symbol", "whole"
    yield 73, "type-changes", [texts[0], good(DATA, Kind.PSBT)[1], *texts[1:]], "qr-symbol", "whole"
    longer = dataclasses.replace(part(2), length=part(2).length + 1).text()
    yield 73, "length-changes-in-the-middle", [texts[0], longer, *texts[1:]], "qr-symbol", "whole"
    other_sum = dataclasses.replace(part(2), checksum=part(2).checksum ^ 1).text()
    yield 73, "checksum-changes-in-the-middle", [texts[0], other_sum, *texts[1:]], "qr-symbol", "whole"
    fewer = dataclasses.replace(part(2), fragments=8, data=bytes(33)).text()
    yield 73, "fragments-change-in-the-middle", [texts[0], fewer, *texts[1:]], "qr-symbol", "whole"
    single = UrSource(Kind.BYTES, OTHER[:20], fragment_bytes=100).next_symbol()
    yield 73, "single-part-in-the-middle", [texts[0], single, *texts[1:]], "qr-symbol", "whole"
    wrong = [dataclasses.replace(part(at), checksum=part(at).checksum ^ 1).text() for at in range(1, 10)]
    yield 73, "checksum-of-the-message-wrong", wrong, "qr-message", "nothing"
    not_bytes = f"UR:BYTES/{bytewords.encode(cbor.encode([1, 2]))}"
    yield 73, "message-is-no-byte-string", [not_bytes], "qr-message", "nothing"
    yield 78, "same-index-other-payload-later", [*texts[:3], _flipped(part(3)), *texts[3:]], "qr-symbol", "whole"
    yield 78, "same-index-other-payload-first", [_flipped(part(3)), *texts], "qr-symbol", "nothing"
    yield 78, "mixed-part-contradicts", [*texts[:8], _mixed_flipped(), texts[8]], "qr-symbol", "whole"
    yield 78, "one-payload-changed", [*texts[:8], _flipped(part(9))], "qr-message", "nothing"


def _mixed_flipped() -> str:
    """A part that repeats the eighth fragment (its degree is 1), with another content."""
    source = part(8)
    return dataclasses.replace(source, sequence=_repeats(source), data=bytes(29)).text()


def _repeats(source: Part) -> int:
    return next(number for number in range(10, 1 << 32) if indexes(number, 9, source.checksum) == [7])


def vectors() -> dict[str, dict[str, object]]:
    """Every vector by its file's name."""
    texts = good()
    found: dict[str, dict[str, object]] = {}
    for line, name, text in _symbols():
        fields = {"texts": [text, texts[0], text, *texts[1:]], "expect": "qr-symbol", "after": "whole"}
        found[f"ur-{line}-{name}.json"] = {"attack": name, "line": line, "sink": "ur", **fields}
    for line, name, stream, expect, after in _streams():
        fields = {"texts": stream, "expect": expect, "after": after}
        found[f"ur-{line}-{name}.json"] = {"attack": name, "line": line, "sink": "ur", **fields}
    return found


def as_text(vector: dict[str, object]) -> str:
    """A vector as it stands in its file."""
    return json.dumps(vector, indent=1) + "\n"
