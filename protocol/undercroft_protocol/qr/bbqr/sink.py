"""Puts the parts of one BBQr payload together, whatever their order."""

from __future__ import annotations

from typing import Final

from ...errors import QrMessageError, QrSymbolError
from ..stream import Format, Gathered, Kind, Payload, SymbolSink
from . import coding
from .header import HEADER_CHARACTERS, KIND_OF_TYPE, Encoding, Header, parse_header

_UTF8_KINDS: Final = frozenset({Kind.TEXT, Kind.JSON})


class BbqrSink(SymbolSink):
    """One payload of at most ``limit`` bytes, before and after inflating.

    BBQr has no checksum and no name for a payload. So a part that contradicts those before it is refused with
    QrSymbolError and changes nothing: never does the last one win.
    """

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._first: Header | None = None
        # A fresh buffer for every payload: nothing of an earlier one can be left in it.
        self._parts: dict[int, bytes] = {}
        self._size = 0

    @property
    def gathered(self) -> Gathered:
        if self._first is None:
            return Gathered(0, 0)
        total = self._first.total
        last = self._parts.get(total - 1)
        if last is None or (self._size == 0 and total > 1) or self._first.encoding is Encoding.ZLIB:
            return Gathered(len(self._parts), total)
        return Gathered(len(self._parts), total, (total - 1) * self._size + len(last))

    def take(self, text: str) -> Payload | None:
        header = parse_header(text)
        self._check_header(header)
        last = header.index == header.total - 1
        part = coding.decode(header.encoding, text[HEADER_CHARACTERS:], last=last)
        known = self._parts.get(header.index)
        if known is not None:
            # Attack: the same part again with other bytes.
            if known != part:
                raise QrSymbolError(f"part {header.index} came before with another content")
            return None
        self._check_size(header, len(part), last=last)
        self._first = self._first or header
        self._parts[header.index] = part
        return self._whole(header) if len(self._parts) == header.total else None

    def _check_header(self, header: Header) -> None:
        first = self._first
        # Attack: parts of two payloads in one, or one whose end is read in another way than its beginning.
        if first is not None and (header.encoding, header.file_type, header.total) != (
            first.encoding,
            first.file_type,
            first.total,
        ):
            raise QrSymbolError("another encoding, file type or total than the parts before")

    def _check_size(self, header: Header, size: int, *, last: bool) -> None:
        """All parts are of one size, ``_size`` bytes, but the last, which may be shorter."""
        if last:
            # Attack: parts of unequal size, whose bytes would overlap in a receiver's buffer.
            if self._size and size > self._size:
                raise QrSymbolError(f"the last part has {size} bytes, the others {self._size}")
        else:
            if self._size and size != self._size:
                raise QrSymbolError(f"a part of {size} bytes among parts of {self._size}")
            runt = self._parts.get(header.total - 1)
            if runt is not None and len(runt) > size:
                raise QrSymbolError(f"the last part has {len(runt)} bytes, this one {size}")
        # Attack: many parts announced, each small enough, and all of them together not.
        if (size if last else size * (header.total - 1)) > self._limit:
            raise QrSymbolError(f"more than {self._limit} bytes")
        if not last:
            self._size = size

    def _whole(self, header: Header) -> Payload:
        data = b"".join(self._parts[index] for index in range(header.total))
        if len(data) > self._limit:
            raise QrMessageError(f"more than {self._limit} bytes")
        if header.encoding is Encoding.ZLIB:
            data = coding.inflate(data, limit=self._limit)
        kind = KIND_OF_TYPE[header.file_type]
        if kind in _UTF8_KINDS:
            try:
                data.decode("utf-8")
            except UnicodeDecodeError:
                raise QrMessageError(f"this {kind.value} is not UTF-8") from None
        return Payload(Format.BBQR, kind, data)
