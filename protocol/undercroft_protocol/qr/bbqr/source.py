"""A payload as BBQr codes, shown round and round: the standard knows no other order that helps."""

from __future__ import annotations

from typing import Final

from ...errors import QrError, QrSizeError
from ..capacity import MOST_ALPHANUMERIC
from ..stream import Kind, SymbolSource
from . import coding
from .header import HEADER_CHARACTERS, KIND_OF_TYPE, MAX_PARTS, Encoding, Header

_TYPE_OF_KIND: Final = {kind: file_type for file_type, kind in KIND_OF_TYPE.items()} | {Kind.MESSAGE: "B"}
_LEAST_BODY: Final = 8


class BbqrSource(SymbolSource):
    """The parts of one payload, ``characters`` at most in each symbol's text (16 to 4296).

    ``encoding`` Z becomes 2 where deflating does not make it shorter. Raises QrError for a kind that BBQr has no file
    type for and for nothing at all, QrSizeError where 1295 parts are too few.
    """

    def __init__(self, kind: Kind, data: bytes, *, characters: int, encoding: str = "Z") -> None:
        if kind not in _TYPE_OF_KIND:
            raise QrError(f"BBQr has no file type for {kind.value}")
        if not data:
            raise QrError("there is nothing to send")
        body = min(characters, MOST_ALPHANUMERIC) - HEADER_CHARACTERS
        if body < _LEAST_BODY:
            raise QrSizeError(
                f"a BBQr code has at least {HEADER_CHARACTERS + _LEAST_BODY} characters, not {characters}"
            )
        chosen, packed = _packed(Encoding(encoding), data)
        parts = _count(chosen, len(packed), body)
        size = coding.even_part(chosen, len(packed), parts)
        cut = [packed[at : at + size] for at in range(0, len(packed), size)]
        self._texts = tuple(
            Header(chosen, _TYPE_OF_KIND[kind], len(cut), index).text() + coding.encode(chosen, part)
            for index, part in enumerate(cut)
        )
        self._shown = 0

    @property
    def count(self) -> int:
        return len(self._texts)

    def next_symbol(self) -> str:
        text = self._texts[self._shown % len(self._texts)]
        self._shown += 1
        return text


def _packed(encoding: Encoding, data: bytes) -> tuple[Encoding, bytes]:
    if encoding is not Encoding.ZLIB:
        return encoding, data
    deflated = coding.deflate(data)
    return (Encoding.ZLIB, deflated) if len(deflated) < len(data) else (Encoding.BASE32, data)


def _count(encoding: Encoding, size: int, body: int) -> int:
    # The last part needs no whole groups of base32, so that a single one holds a few bytes more.
    if size <= coding.last_bytes(encoding, body):
        return 1
    parts = -(-size // coding.part_bytes(encoding, body))
    if parts > MAX_PARTS:
        raise QrSizeError(f"{parts} BBQr parts; at most {MAX_PARTS}")
    return parts
