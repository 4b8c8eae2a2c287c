"""Good texts of codes to begin with."""

from __future__ import annotations

import base64

from undercroft_protocol.qr.bbqr import BbqrSource
from undercroft_protocol.qr.fast import FastSource
from undercroft_protocol.qr.stream import Kind, SymbolSource
from undercroft_protocol.qr.ur import UrSource

_PSBT = b"psbt\xff" + bytes(range(256)) + bytes(150)


def code_corpus(target: str) -> list[bytes]:
    """Good inputs of the targets on codes."""
    bbqr = [_lines(BbqrSource(Kind.PSBT, _PSBT, characters=208, encoding=one)) for one in "H2Z"]
    text = base64.b64encode(_PSBT).decode()
    pmofn = "\n".join(f"p{at + 1}of4 {text[at * 140 : at * 140 + 140]}" for at in range(4)).encode()
    plain = [text.encode(), _PSBT.hex().encode(), _PSBT.replace(b"\n", b"")]
    match target:
        case "bbqr":
            return bbqr
        case "texts":
            return [pmofn, *plain]
    fast = _lines(FastSource(_PSBT, version=5, session=b"fuzz"))
    ur = _lines(UrSource(Kind.PSBT, _PSBT, fragment_bytes=60))
    mixed = zip(*(one.split(b"\n") for one in (bbqr[0], fast, ur, pmofn)), strict=False)
    return [*bbqr, pmofn, *plain, fast, ur, b"\n".join(text for row in mixed for text in row)]


def _lines(source: SymbolSource) -> bytes:
    return "\n".join(source.next_symbol() for _ in range(source.count)).encode()
