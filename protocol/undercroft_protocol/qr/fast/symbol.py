"""One code of the fast format: which message, which symbol of it, its bytes, and a checksum over all of that."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from hashlib import shake_128
from typing import Final

from undercroft_protocol.errors import QrSymbolError
from undercroft_protocol.qr.capacity import capacity_digits

from .digits import bytes_in, from_digits, to_digits

MAX_COUNT: Final = 4096
"""Symbols a message may need (12 bits in the header)."""
SEQUENCES: Final = 1 << 20
"""Numbers of symbols; after the last one a sender begins again with 0."""
SESSION_BYTES: Final = 4
_WORD_BYTES: Final = 4
_CHECK_BYTES: Final = 4
OVERHEAD_BYTES: Final = SESSION_BYTES + _WORD_BYTES + _CHECK_BYTES
_CHECK_START: Final = zlib.crc32(b"undercroft fast 1")
"""The checksum begins here, so that a code of any other format, or version of this one, is not one of these."""
_ZERO_TO_ONE: Final = bytes((1, *range(1, 256)))


@dataclass(frozen=True, slots=True)
class Symbol:
    """``count``: how many symbols the message needs; ``sequence``: which one this is; ``check``: its checksum."""

    session: bytes
    count: int
    sequence: int
    payload: bytes
    check: int


def payload_bytes(version: int) -> int:
    """Payload of the largest symbol in a code of this version. Raises ValueError for a version that is none."""
    return bytes_in(capacity_digits(version)) - OVERHEAD_BYTES


def write_symbol(session: bytes, count: int, sequence: int, payload: bytes) -> str:
    """The digits of a symbol."""
    body = session + ((count - 1) * SEQUENCES + sequence).to_bytes(_WORD_BYTES) + payload
    return to_digits(body + zlib.crc32(body, _CHECK_START).to_bytes(_CHECK_BYTES))


def read_symbol(text: str) -> Symbol:
    """The symbol of these digits; raises QrSymbolError for anything that ``write_symbol`` does not write."""
    data = from_digits(text)
    if len(data) <= OVERHEAD_BYTES:
        raise QrSymbolError(f"{len(data)} bytes are too few")
    body, check = data[:-_CHECK_BYTES], int.from_bytes(data[-_CHECK_BYTES:])
    # Attack: a changed bit, which would spoil everything that it is later mixed with.
    if zlib.crc32(body, _CHECK_START) != check:
        raise QrSymbolError("its checksum is wrong, or it is of another format")
    word = int.from_bytes(body[SESSION_BYTES : SESSION_BYTES + _WORD_BYTES])
    count, sequence = word // SEQUENCES + 1, word % SEQUENCES
    return Symbol(body[:SESSION_BYTES], count, sequence, body[SESSION_BYTES + _WORD_BYTES :], check)


def fast_session(text: str) -> bytes:
    """The session (4 bytes) of a symbol; raises QrSymbolError if the text is none."""
    return read_symbol(text).session


def coefficients(session: bytes, count: int, sequence: int) -> bytes:
    """What each of the ``count`` rows is multiplied with in a symbol that mixes them (``sequence`` >= ``count``).

    None is zero, so that every such symbol brings whoever lacks one row that row.
    """
    return shake_128(session + sequence.to_bytes(_WORD_BYTES)).digest(count).translate(_ZERO_TO_ONE)
