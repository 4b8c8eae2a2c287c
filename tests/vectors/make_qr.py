"""Writes tests/vectors/qr: bad codes, each stream a good one with one mutation, and what to expect.

`--check` writes nothing and says what differs. tests/vectors/qr/README.md says what the fields of a file are. Those of
Uniform Resources (ur-*) are made by make_qr_ur.py.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

from undercroft_protocol.qr.bbqr import BbqrSource, Encoding, Header  # noqa: E402
from undercroft_protocol.qr.fast import FastSource  # noqa: E402
from undercroft_protocol.qr.stream import Kind  # noqa: E402
from vectors import make_qr_ur  # noqa: E402
from vectors.vector_files import main, unique  # noqa: E402

FOLDER: Final = HERE / "qr"
LIMIT: Final = 10_000
SYMBOL: Final = "qr-symbol"
MESSAGE: Final = "qr-message"
WHOLE: Final = "whole"
NOTHING: Final = "nothing"


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that nothing makes shorter."""
    return hashlib.shake_128(seed.to_bytes(4, "big")).digest(size)


DATA: Final = b"psbt\xff" + noise(295)
"""The message of every vector that does not say otherwise: 300 bytes that begin as a PSBT does."""


@dataclass(frozen=True, slots=True)
class QrVector:
    """One file; ``name`` without what says its sink and line."""

    sink: str
    line: int | None
    name: str
    attack: str
    texts: Sequence[str]
    expect: str
    after: str = WHOLE
    data: bytes = DATA

    @property
    def file_name(self) -> str:
        return f"{self.sink}-{'' if self.line is None else f'{self.line}-'}{self.name}.json"

    def text(self) -> str:
        """As it stands in its file."""
        fields = {"attack": self.attack, "line": self.line, "sink": self.sink, "texts": list(self.texts)}
        fields |= {"expect": self.expect, "after": self.after}
        if self.after == WHOLE:
            fields["sha256"] = hashlib.sha256(self.data).hexdigest()
        return json.dumps(fields, indent=1) + "\n"


def bbqr(data: bytes = DATA, encoding: str = "2", kind: Kind = Kind.PSBT, characters: int = 136) -> list[str]:
    """Four parts of 80 bytes each for the usual message, the last of 60."""
    source = BbqrSource(kind, data, characters=characters, encoding=encoding)
    return [source.next_symbol() for _ in range(source.count)]


def deflated(data: bytes, window_bits: int = 10) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -window_bits)
    return deflater.compress(data) + deflater.flush()


def z_parts(packed: bytes, size: int = 1500) -> list[str]:
    """What is deflated already, cut into parts."""
    cut = [packed[at : at + size] for at in range(0, len(packed), size)]
    return [
        Header(Encoding.ZLIB, "B", len(cut), at).text() + base64.b32encode(part).decode().rstrip("=")
        for at, part in enumerate(cut)
    ]


def _bbqr_symbols() -> Iterator[tuple[int, str, str, str]]:
    """Codes that are refused among good ones and do no harm to them: line, name, attack, text."""
    first, second, last = bbqr()[0], bbqr()[1], bbqr()[3]
    body = second[8:]
    yield 74, "total-zero", "A total of zero parts.", "B$2P0000" + body
    yield 74, "index-is-total", "A part behind the last one.", "B$2P0404" + body
    yield 74, "index-beyond-total", "A part far behind the last one.", "B$2P04ZZ" + body
    yield (
        74,
        "lower-case-number",
        "A number in small letters, which another reader takes for capitals.",
        "B$2P040a" + body,
    )
    yield 74, "sign-in-number", "A number with a sign.", "B$2P04+1" + body
    yield 74, "type-executable", "An executable as file type.", "B$2X0401" + body
    yield 74, "type-unknown", "A file type that there is not.", "B$2Q0401" + body
    yield 74, "encoding-unknown", "An encoding that there is not.", "B$QP0401" + body
    yield 74, "header-cut", "A header that ends in the middle.", "B$2P040"
    yield 74, "no-body", "A header with nothing behind it.", "B$2P0401"
    yield 74, "part-shorter", "A part before the last that is shorter than the others.", second[:-8]
    yield 74, "part-longer", "A part that is longer than the others.", second + "AAAAAAAA"
    yield 74, "last-longer", "A last part that is longer than the others.", last[:8] + first[8:] + "AAAAAAAA"
    yield 74, "encoding-changes", "Another encoding in the middle.", "B$HP0401" + "AB" * 64
    yield 74, "zlib-in-the-middle", "Deflated parts among plain ones.", "B$ZP0401" + body
    yield 74, "type-changes", "Another file type in the middle.", "B$2T0401" + body
    yield 74, "total-changes", "Another total in the middle.", "B$2P0501" + body
    yield 74, "second-header", "Two codes in one: a second header in the body.", first + second
    yield (
        74,
        "second-header-within",
        "A second header inside a body of the right length.",
        second[:72] + first[:8] + second[80:],
    )
    yield 74, "odd-groups", "A part before the last that is not whole groups of 8 characters.", second[:-2]
    yield 74, "padding", "Padding, which the standard leaves out.", last + "===="
    yield 74, "small-letters", "A body in small letters.", second[:8] + body.lower()
    yield 74, "bits-behind", "Bits behind the last byte.", "B$2P0403AB"
    yield 74, "half-a-byte", "A last part that is no whole number of bytes.", "B$2P0403ABC"
    yield 74, "limit-by-parts", "Parts that together would be longer than the limit.", "B$2PZZ00" + body
    yield 78, "same-index-other-content", "The same part again with another content.", first[:8] + second[8:]


def _bbqr() -> Iterator[QrVector]:
    texts = bbqr()
    for line, name, attack, text in _bbqr_symbols():
        yield QrVector("bbqr", line, name, attack, [texts[0], text, *texts[1:]], SYMBOL)
    hexed = bbqr(encoding="H", characters=168)
    odd = hexed[1][:-1]
    yield QrVector("bbqr", 74, "odd-hex", "An odd number of hex digits.", [hexed[0], odd, *hexed[1:]], SYMBOL)
    small = hexed[1][:8] + hexed[1][8:].lower()
    yield QrVector("bbqr", 74, "small-hex", "Hex in small letters.", [hexed[0], small, *hexed[1:]], SYMBOL)
    short = [texts[0], texts[1][:-8], *texts[2:]]
    yield QrVector("bbqr", 74, "size-never-right", "A part that stays shorter than the others.", short, SYMBOL, NOTHING)
    bomb = z_parts(deflated(bytes(3_000_000)))
    yield QrVector("bbqr", 75, "bomb", "3 kB that inflate to 3 MB.", bomb, MESSAGE, NOTHING)
    over = z_parts(deflated(bytes(LIMIT + 1)))
    yield QrVector("bbqr", 75, "one-byte-too-many", "One byte more than the limit, inflated.", over, MESSAGE, NOTHING)
    far = z_parts(deflated(noise(3000) + noise(3000), 15))
    yield QrVector(
        "bbqr", 75, "window-of-15-bits", "A window of 15 bits, which embedded readers lack.", far, MESSAGE, NOTHING
    )
    near = z_parts(deflated(noise(1200) + noise(1200), 11))
    yield QrVector("bbqr", 75, "window-of-11-bits", "A window of 11 bits.", near, MESSAGE, NOTHING)
    packed = deflated(DATA + bytes(500))
    changes: list[tuple[str, str, Callable[[bytes], bytes]]] = [
        ("zlib-header", "A zlib header before the raw stream.", lambda data: b"\x28\xcf" + data),
        ("cut", "A deflated stream that ends in the middle.", lambda data: data[:-3]),
        ("tail", "Bytes behind the end of the deflated stream.", lambda data: data + b"\0\0"),
        ("no-deflate", "What was never deflated.", lambda data: b"\xff" * len(data)),
    ]
    for name, attack, change in changes:
        yield QrVector("bbqr", 75, name, attack, z_parts(change(packed)), MESSAGE, NOTHING)
    yield QrVector("bbqr", None, "text-not-utf8", "A text that is not UTF-8.", ["B$HU0100C328"], MESSAGE, NOTHING)


def pmofn(data: bytes = DATA, characters: int = 140) -> list[str]:
    """Three parts for the usual message."""
    text = base64.b64encode(data).decode()
    cut = [text[at : at + characters] for at in range(0, len(text), characters)]
    return [f"p{number}of{len(cut)} {part}" for number, part in enumerate(cut, 1)]


def _pmofn() -> Iterator[QrVector]:
    texts = pmofn()
    piece = texts[1].split(" ")[1]
    heads = {
        "m-above-n": ("A part behind the last one.", "p4of3"),
        "m-zero": ("A part before the first one.", "p0of3"),
        "n-zero": ("No parts at all.", "p1of0"),
        "n-100": ("One part more than there may be.", "p1of100"),
        "n-million": ("A million parts.", "p1of1000000"),
        "n-of-4000-digits": ("A number to keep the reader busy.", "p1of" + "9" * 4000),
        "leading-zero": ("A number with a zero before it.", "p02of3"),
        "another-total": ("Another total in the middle.", "p2of4"),
    }
    for name, (attack, head) in heads.items():
        yield QrVector("pmofn", 77, name, attack, [texts[0], f"{head} {piece}", *texts[1:]], SYMBOL)
    yield QrVector(
        "pmofn", 77, "not-base64", "A part that is not base64.", [texts[0], "p2of3 AB-_", *texts[1:]], SYMBOL
    )
    other = texts[0].split(" ")[0] + " " + piece
    yield QrVector(
        "pmofn", 78, "same-index", "The same part again with another content.", [texts[0], other, *texts[1:]], SYMBOL
    )
    foreign = pmofn(noise(300, 9))
    yield QrVector("pmofn", None, "no-psbt", "Parts that carry something else.", foreign, MESSAGE, NOTHING)
    long = pmofn(DATA + noise(LIMIT), 2000)
    yield QrVector("pmofn", None, "too-long", "Parts of more than the limit.", long, SYMBOL, NOTHING)


def _plain() -> Iterator[QrVector]:
    base64_text = base64.b64encode(DATA).decode()
    cases = {
        "odd-hex": ("An odd number of hex digits.", DATA.hex()[:-1]),
        "not-hex": ("Hex that ends in something else.", DATA.hex() + "xy"),
        "base64-cut": ("Base64 that is cut.", base64_text[:-1]),
        "base64-tail": ("Base64 with something behind it.", base64_text + "AAA"),
        "bytes-changed": ("Binary whose bytes a reader changed.", "psbt\xff\u20ac"),
    }
    for name, (attack, text) in cases.items():
        yield QrVector("plain", None, name, attack, [text], MESSAGE, NOTHING)
    foreign = {
        "address": ("An address.", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"),
        "link": ("A link.", "https://example.com/psbt"),
        "number": ("The number of some goods.", "4006381333931"),
    }
    for name, (attack, text) in foreign.items():
        yield QrVector("plain", None, name, attack, [text, base64_text], SYMBOL)


def _fast() -> Iterator[QrVector]:
    source = FastSource(DATA, version=5, session=b"\1\2\3\4")
    texts = [source.next_symbol() for _ in range(source.count)]
    changes = {
        "digit-changed": ("A changed digit.", texts[1][:40] + str((int(texts[1][40]) + 1) % 10) + texts[1][41:]),
        "session-changed": ("A changed session.", texts[1][:2] + str((int(texts[1][2]) + 1) % 10) + texts[1][3:]),
        "cut": ("A code that is cut.", texts[1][:-29]),
        "longer": ("A code with digits behind it.", texts[1] + "0" * 29),
        "all-nines": ("The largest number that fits.", "9" * len(texts[1])),
    }
    for name, (attack, text) in changes.items():
        yield QrVector("fast", None, name, attack, [texts[0], text, *texts[1:]], SYMBOL)


def _collector() -> Iterator[QrVector]:
    # Six parts; nine rounds, as after a contradiction each part is to be shown eight times.
    good = bbqr(characters=88)
    source = FastSource(DATA, version=5, session=b"\1\2\3\4")
    fast = [source.next_symbol() for _ in range(source.count)]
    left = bbqr(b"psbt\xff" + noise(295, 7), characters=88)[:3]
    other = good[0][:8] + good[1][8:]
    foreign = ["https://example.com/", "B$2P0000AAAA", "p1of1000000 AAAA", "UR:CRYPTO-PSBT/1-1000000/AEAEAE"]
    flood = [FastSource(noise(200, at), version=5, session=at.to_bytes(4)).next_symbol() for at in range(20, 60)]
    mixed = [text for one in fast * 2 for text in (one, *flood)]
    cases: list[tuple[int | None, str, str, list[str], str]] = [
        (76, "parts-left-over", "Parts of a PSBT that was never whole.", [*left, *good * 9], MESSAGE),
        (78, "same-index", "A part with two contents.", [good[0], other, *good[1:], *good * 9], MESSAGE),
        (None, "among-strangers", "Foreign and bad codes.", [text for one in fast for text in (*foreign, one)], SYMBOL),
        (None, "flood", "Good codes of ever new senders.", ["?", *flood, *mixed], SYMBOL),
    ]
    for line, name, attack, texts, expect in cases:
        yield QrVector("collector", line, name, attack, texts, expect)


def made() -> dict[str, str]:
    """Every file's name and text."""
    ours = (*_bbqr(), *_pmofn(), *_plain(), *_fast(), *_collector())
    files = unique((vector.file_name, vector.text()) for vector in ours)
    return files | {name: make_qr_ur.as_text(vector) for name, vector in make_qr_ur.vectors().items()}


if __name__ == "__main__":
    sys.exit(main(FOLDER, made()))
