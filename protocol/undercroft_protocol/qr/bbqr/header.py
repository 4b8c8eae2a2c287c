"""The eight characters at the start of every BBQr symbol: ``B$``, encoding, file type, total, index (base 36)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from ...errors import QrSymbolError
from ..capacity import MOST_ALPHANUMERIC
from ..stream import Kind

MAGIC: Final = "B$"
HEADER_CHARACTERS: Final = 8
MAX_PARTS: Final = 1295
"""ZZ in base 36."""


class Encoding(StrEnum):
    """How the bytes of a part are written."""

    HEX = "H"
    BASE32 = "2"
    ZLIB = "Z"


KIND_OF_TYPE: Final = MappingProxyType(
    {
        "P": Kind.PSBT,
        "T": Kind.TRANSACTION,
        "J": Kind.JSON,
        "U": Kind.TEXT,
        "C": Kind.CBOR,
        "B": Kind.BYTES,
    }
)
_OTHER_TYPES: Final = MappingProxyType({"X": "an executable", "E": "a recovery file", "R": "a recovery package"})
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Header:
    """What a symbol says of itself; ``index`` is 0 to ``total`` - 1."""

    encoding: Encoding
    file_type: str
    total: int
    index: int

    def text(self) -> str:
        """The eight characters."""
        return f"{MAGIC}{self.encoding.value}{self.file_type}{_base36(self.total)}{_base36(self.index)}"


def parse_header(text: str) -> Header:
    """The header of a symbol's text. Raises QrSymbolError for anything that is not exactly one."""
    if len(text) > MOST_ALPHANUMERIC:
        raise QrSymbolError("longer than any BBQr code")
    if not text.startswith(MAGIC) or len(text) < HEADER_CHARACTERS:
        raise QrSymbolError("no BBQr header")
    if text[2] not in {one.value for one in Encoding}:
        raise QrSymbolError(f"BBQr encoding {_shown(text[2])} is not H, 2 or Z")
    if text[3] not in KIND_OF_TYPE:
        name = f" ({_OTHER_TYPES[text[3]]})" if text[3] in _OTHER_TYPES else ""
        raise QrSymbolError(f"BBQr file type {_shown(text[3])}{name} is none of {', '.join(KIND_OF_TYPE)}")
    total, index = _number(text[4:6]), _number(text[6:8])
    # Attack: a total of zero, or a part beyond the last one, which a receiver would write outside its buffer.
    if total == 0:
        raise QrSymbolError("BBQr total 0")
    if index >= total:
        raise QrSymbolError(f"BBQr part {index} of {total}; parts count from 0")
    return Header(Encoding(text[2]), text[3], total, index)


def _number(text: str) -> int:
    # int(text, 36) would also take lower case, signs, underscores and the digits of other scripts.
    high, low = (_DIGITS.find(character) for character in text)
    if min(high, low) < 0:
        raise QrSymbolError(f"{_shown(text)} is not two digits of base 36")
    return 36 * high + low


def _base36(number: int) -> str:
    return _DIGITS[number // 36] + _DIGITS[number % 36]


def _shown(text: str) -> str:
    """For a message: ASCII only, whatever stood in the code."""
    return ascii(text)
