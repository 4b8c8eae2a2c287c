"""PSBTs in the forms of older wallets, which are read here and never written: pMofN, base43, base64, hex, binary.

pMofN is Specter's: ``p1of3 `` and a piece of the PSBT's base64. The others are one code with a whole PSBT.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from undercroft_protocol.bitcoin.psbt_records import MAGIC as PSBT_MAGIC
from undercroft_protocol.errors import QrMessageError, QrSymbolError

from .capacity import MOST_ALPHANUMERIC, MOST_DIGITS
from .stream import Format, Gathered, Kind, Payload, SymbolSink

MAX_PMOFN_PARTS: Final = 99

_PMOFN: Final = re.compile(r"p([0-9]+)of([0-9]+) (.*)", re.ASCII | re.DOTALL)
_PMOFN_NUMBER: Final = re.compile(r"[1-9][0-9]?", re.ASCII)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}", re.ASCII)
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+", re.ASCII)
_HEX_MAGIC: Final = PSBT_MAGIC.hex()
_BASE64_MAGIC: Final = "cHNidP"
_BINARY_MAGIC: Final = PSBT_MAGIC.decode("latin-1")
_BASE43: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ$*+-./:"
_HEAD_CHARACTERS: Final = 16
_MAGIC_NUMBER: Final = int.from_bytes(PSBT_MAGIC, "big")
_BASE43_VALUES: Final = {character: value for value, character in enumerate(_BASE43)}


def is_pmofn(text: str) -> bool:
    """Whether a text looks like a part of a pMofN message, good or bad."""
    return _PMOFN.fullmatch(text) is not None


def pmofn_part(text: str) -> tuple[int, int, str]:
    """M (1 to N), N (1 to 99) and the piece of base64. Raises QrSymbolError."""
    match = _PMOFN.fullmatch(text)
    if match is None or len(text) > MOST_DIGITS:
        raise QrSymbolError("not of the form p1of3 and base64")
    # Attack: p1of1000000, for which a reader would make room; a number with zeros before it, a second way to write it.
    if _PMOFN_NUMBER.fullmatch(match[1]) is None or _PMOFN_NUMBER.fullmatch(match[2]) is None:
        raise QrSymbolError(f"the numbers in p…of… are 1 to {MAX_PMOFN_PARTS}")
    index, total = int(match[1]), int(match[2])
    if index > total:
        raise QrSymbolError(f"part {index} of {total}")
    if not match[3] or _BASE64.fullmatch(match[3]) is None:
        raise QrSymbolError("a part that is not base64")
    return index, total, match[3]


class PmofnSink(SymbolSink):
    """One PSBT of at most ``limit`` bytes. As with BBQr a part that contradicts one before it changes nothing."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._total = 0
        self._parts: dict[int, str] = {}

    @property
    def gathered(self) -> Gathered:
        return Gathered(len(self._parts), self._total)

    def take(self, text: str) -> Payload | None:
        index, total, part = pmofn_part(text)
        if self._total not in {0, total}:
            raise QrSymbolError(f"a part of {total} among parts of {self._total}")
        known = self._parts.get(index)
        if known is not None:
            # Attack: the same part again with another content.
            if known != part:
                raise QrSymbolError(f"part {index} came before with another content")
            return None
        if (sum(map(len, self._parts.values())) + len(part)) // 4 * 3 > self._limit + 3:
            raise QrSymbolError(f"more than {self._limit} bytes")
        self._total = total
        self._parts[index] = part
        if len(self._parts) < total:
            return None
        data = _from_base64("".join(self._parts[number] for number in range(1, total + 1)))
        return Payload(Format.PMOFN, Kind.PSBT, _checked(data, self._limit))


def plain_psbt(text: str, *, limit: int) -> bytes:
    """The PSBT of at most ``limit`` bytes that is in one code: hex, base64, binary, or base43 as Electrum writes it.

    Raises QrSymbolError for a text that is none of them, QrMessageError for one that begins as one and goes on badly.
    """
    if len(text) > MOST_DIGITS:
        raise QrSymbolError("longer than any code")
    if text.startswith(_BINARY_MAGIC):
        return _checked(_from_binary(text), limit)
    stripped = text.strip(" \t\r\n")
    if stripped[: len(_HEX_MAGIC)].lower() == _HEX_MAGIC:
        if _HEX.fullmatch(stripped) is None:
            raise QrMessageError("not an even number of hex digits")
        return _checked(bytes.fromhex(stripped), limit)
    if stripped.startswith(_BASE64_MAGIC):
        return _checked(_from_base64(stripped), limit)
    data = _from_base43(stripped)
    if not data.startswith(PSBT_MAGIC):
        raise QrSymbolError("no PSBT, and no part of a message")
    return _checked(data, limit)


class PlainSink(SymbolSink):
    """One code with a whole PSBT of at most ``limit`` bytes: see `plain_psbt`."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._gathered = Gathered(0, 0)

    @property
    def gathered(self) -> Gathered:
        return self._gathered

    def take(self, text: str) -> Payload | None:
        data = plain_psbt(text, limit=self._limit)
        self._gathered = Gathered(1, 1, len(data))
        return Payload(Format.PLAIN, Kind.PSBT, data)


def _checked(data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise QrMessageError(f"more than {limit} bytes")
    if not data.startswith(PSBT_MAGIC):
        raise QrMessageError("what the parts carry is no PSBT")
    return data


def _from_binary(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise QrMessageError("the reader of codes has changed the bytes of this PSBT") from None


def _from_base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise QrMessageError("not base64") from None
    # Attack: bits behind the last byte, or padding in the middle, which make two texts of one PSBT.
    if base64.b64encode(data).decode("ascii") != text:
        raise QrMessageError("not base64 as it is written")
    return data


def _from_base43(text: str) -> bytes:
    """The bytes of a PSBT in base43; nothing at all for any other text."""
    # A zero before the number is a second way to write it; a PSBT begins with a p, and needs none.
    if not text or len(text) > MOST_ALPHANUMERIC or text[0] == _BASE43[0] or not _BASE43_VALUES.keys() >= set(text):
        return b""
    # Attack: long foreign codes, each of which would cost tens of milliseconds: the first characters of a number say
    # how it begins.
    scale: int = len(_BASE43) ** max(0, len(text) - _HEAD_CHARACTERS)
    least = _base43_number(text[:_HEAD_CHARACTERS]) * scale
    behind_magic = 8 * max(0, (least.bit_length() + 7) // 8 - len(PSBT_MAGIC))
    if not least >> behind_magic <= _MAGIC_NUMBER <= (least + scale - 1) >> behind_magic:
        return b""
    number = least + _base43_number(text[_HEAD_CHARACTERS:])
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _base43_number(text: str) -> int:
    number = 0
    for character in text:
        number = number * len(_BASE43) + _BASE43_VALUES[character]
    return number
