"""Bytes as decimal digits, as dense as QR's numeric mode allows: 22 bytes are 53 digits (256^22 is just below 10^53).

What is left over after the groups of 22 takes as few digits as hold it, so that each text is written by one string of
bytes only, and the number of digits tells the number of bytes.
"""

from __future__ import annotations

from typing import Final

from undercroft_protocol.errors import QrSymbolError
from undercroft_protocol.qr.capacity import MOST_DIGITS

_GROUP_BYTES: Final = 22
_DIGITS: Final = tuple(len(str(256**count - 1)) if count else 0 for count in range(_GROUP_BYTES + 1))
"""Digits of a group of so many bytes."""
_GROUP_DIGITS: Final = _DIGITS[_GROUP_BYTES]
_BYTES: Final = {digits: count for count, digits in enumerate(_DIGITS[:_GROUP_BYTES])}


def bytes_in(digits: int) -> int:
    """The most bytes that so many digits hold."""
    groups, rest = divmod(digits, _GROUP_DIGITS)
    return groups * _GROUP_BYTES + max(count for length, count in _BYTES.items() if length <= rest)


def to_digits(data: bytes) -> str:
    """The digits of these bytes; each group is one number, most significant byte and digit first."""
    groups = (data[at : at + _GROUP_BYTES] for at in range(0, len(data), _GROUP_BYTES))
    return "".join(str(int.from_bytes(group)).zfill(_DIGITS[len(group)]) for group in groups)


def from_digits(text: str) -> bytes:
    """The bytes of these digits; raises QrSymbolError where ``to_digits`` would not have written them."""
    # Attack: a text of megabytes, or digits of other alphabets, which int() reads too.
    if not 0 < len(text) <= MOST_DIGITS or not (text.isascii() and text.isdigit()):
        raise QrSymbolError("not digits, or more than a code holds")
    groups, rest = divmod(len(text), _GROUP_DIGITS)
    # Attack: digits left over, which would be free for anything.
    if rest not in _BYTES:
        raise QrSymbolError(f"no bytes have {len(text)} digits")
    sizes = [_GROUP_BYTES] * groups + ([_BYTES[rest]] if rest else [])
    try:
        return b"".join(
            int(text[at * _GROUP_DIGITS : (at + 1) * _GROUP_DIGITS]).to_bytes(size) for at, size in enumerate(sizes)
        )
    except OverflowError:
        # Attack: a number above the group's bytes, a second text for the same bytes if it were cut.
        raise QrSymbolError("a group of digits is out of range") from None
