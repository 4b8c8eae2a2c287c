"""The texts of Uniform Resources (BCR-2020-005): `ur:TYPE/MESSAGE`, or `ur:TYPE/NUMBER-COUNT/FRAGMENT` for a part."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from undercroft_protocol import cbor
from undercroft_protocol.errors import CborError, QrSymbolError

from ..capacity import MOST_ALPHANUMERIC
from . import bytewords
from .fountain import MAX_FRAGMENTS, MAX_SEQUENCE

_TEXT: Final = re.compile(
    r"ur:([a-z0-9-]{1,60})/(?:([1-9][0-9]{0,9})-([1-9][0-9]{0,9})/)?([a-z]+)", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Whole:
    """A UR of a single part: its type in small letters, and the message, a CBOR item."""

    type: str
    message: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """One of several parts: ``sequence`` counts from 1, ``length`` and ``checksum`` (CRC-32) are the message's."""

    type: str
    sequence: int
    fragments: int
    length: int
    checksum: int
    data: bytes

    @property
    def stream(self) -> tuple[str, int, int, int, int]:
        """What all parts of one message have in common."""
        return self.type, self.fragments, self.length, self.checksum, len(self.data)

    def text(self) -> str:
        """The text in capitals, which a QR code holds in its alphanumeric mode."""
        body = cbor.encode([self.sequence, self.fragments, self.length, self.checksum, self.data])
        return f"UR:{self.type.upper()}/{self.sequence}-{self.fragments}/{bytewords.encode(body)}"


def whole_text(type_: str, message: bytes) -> str:
    """The text of a UR of a single part, in capitals."""
    return f"UR:{type_.upper()}/{bytewords.encode(message)}"


def parse(text: str) -> Whole | Part:
    """What a text says, in capitals or small letters. Raises QrSymbolError for anything that the standard does not
    allow, for more than 4096 fragments, and for parts whose numbers do not fit together."""
    # Attack: megabytes of text, to keep the decoder busy.
    if len(text) > MOST_ALPHANUMERIC:
        raise QrSymbolError("longer than a QR code")
    found = _TEXT.fullmatch(text)
    if found is None:
        raise QrSymbolError("not a uniform resource")
    type_, body = found[1].lower(), found[4]
    if found[2] is None:
        return Whole(type_, bytewords.decode(body))
    sequence, fragments = int(found[2]), int(found[3])
    # Attack: a million fragments announced; nothing is allocated or shuffled for them.
    if fragments > MAX_FRAGMENTS:
        raise QrSymbolError(f"{fragments} fragments announced; {MAX_FRAGMENTS} is the most")
    part = _read(type_, bytewords.decode(body))
    # Attack: one number on the outside, by which programs sort, and another inside.
    if (part.sequence, part.fragments) != (sequence, fragments):
        raise QrSymbolError("the text says another number than the part")
    return part


def _read(type_: str, body: bytes) -> Part:
    try:
        value = cbor.decode(body, most_bytes=MOST_ALPHANUMERIC)
    except CborError as error:
        raise QrSymbolError(f"the part is not deterministic CBOR ({error.detail})") from None
    if not isinstance(value, tuple) or len(value) != 5:
        raise QrSymbolError("the part is not an array of five")
    sequence, fragments, length, checksum = (_uint32(one) for one in value[:4])
    data = value[4]
    # Attack: a length that the fragments do not have, to make the reader allocate, or cut the message short.
    if not isinstance(data, bytes) or not data or fragments != -(-length // len(data)):
        raise QrSymbolError("the length of the part is not that of its fragments")
    return Part(type_, sequence, fragments, length, checksum, data)


def _uint32(value: object) -> int:
    # Attack: true is an integer for Python; a part of booleans is no part.
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SEQUENCE:
        raise QrSymbolError("a field of the part is no number of 32 bits")
    return value
