"""What the symbols carry together: the message squeezed, behind its length and the SHA-256 of the message."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from undercroft_protocol.errors import QrMessageError, QrSizeError, SqueezeError
from undercroft_protocol.squeeze import squeeze, unsqueeze

_LENGTH_BYTES: Final = 3
_DIGEST_BYTES: Final = 32
_HEAD_BYTES: Final = _LENGTH_BYTES + _DIGEST_BYTES


def most_bytes(limit: int) -> int:
    """Bytes of a parcel around a message of ``limit`` bytes, at most."""
    return _HEAD_BYTES + limit + 1


def pack(message: bytes) -> bytes:
    """The bytes to carry; raises QrSizeError for a message that its length field cannot tell, from 16 MiB."""
    squeezed = squeeze(message)
    if len(squeezed) >> 8 * _LENGTH_BYTES:
        raise QrSizeError(f"{len(message)} bytes")
    return len(squeezed).to_bytes(_LENGTH_BYTES) + sha256(message).digest() + squeezed


def unpack(rows: bytes, *, count: int, limit: int) -> bytes:
    """The message in ``count`` rows of equal length; raises QrMessageError if they are not its, or it is longer than
    ``limit`` bytes."""
    length = _HEAD_BYTES + int.from_bytes(rows[:_LENGTH_BYTES])
    size = len(rows) // count
    # Attack: room behind the end, or rows cut in another way: one parcel has one form in so many rows.
    if -(-length // count) != size or -(-length // size) != count or any(rows[length:]):
        raise QrMessageError("its length is not what the codes said")
    try:
        message = unsqueeze(rows[_HEAD_BYTES:length], limit=limit)
    except SqueezeError as error:
        raise QrMessageError(error.detail) from None
    # Attack: symbols with good checksums and false content.
    if sha256(message).digest() != rows[_LENGTH_BYTES:_HEAD_BYTES]:
        raise QrMessageError("its SHA-256 is wrong")
    return message
