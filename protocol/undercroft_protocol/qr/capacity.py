"""How much text a QR code of each version carries at error correction level L (ISO/IEC 18004, tables 3, 7 and 9)."""

from __future__ import annotations

from enum import Enum
from typing import Final

FIRST_VERSION = 1
LAST_VERSION = 40

ALPHANUMERIC = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")

# Data codewords (bytes) of versions 1 to 40 at level L.
_CODEWORDS = (
    *(19, 34, 55, 80, 108, 136, 156, 194, 232, 274),
    *(324, 370, 428, 461, 523, 589, 647, 721, 795, 861),
    *(932, 1006, 1094, 1174, 1276, 1370, 1468, 1531, 1631, 1735),
    *(1843, 1955, 2071, 2191, 2306, 2434, 2566, 2702, 2812, 2956),
)
_MODE_BITS = 4


class Mode(Enum):
    """How the characters of a text become bits. The value is the length of the count field in bits: versions 1 to 9,
    10 to 26, 27 to 40."""

    NUMERIC = (10, 12, 14)
    ALPHANUMERIC = (9, 11, 13)
    BYTE = (8, 16, 16)


def mode_of(text: str) -> Mode:
    """The densest mode that the whole text fits into. Raises ValueError for what is not ASCII, or empty."""
    if not text or not text.isascii():
        raise ValueError("a code's text is one or more ASCII characters")
    # str.isdigit is true for ASCII digits alone once the text is known to be ASCII.
    if text.isdigit():
        return Mode.NUMERIC
    return Mode.ALPHANUMERIC if ALPHANUMERIC.issuperset(text) else Mode.BYTE


def capacity(mode: Mode, version: int) -> int:
    """Characters that one code holds. Raises ValueError for a version that is not 1 to 40."""
    if not FIRST_VERSION <= version <= LAST_VERSION:
        raise ValueError(f"there is no QR version {version}")
    count_bits = mode.value[(version > 9) + (version > 26)]
    bits = 8 * _CODEWORDS[version - 1] - _MODE_BITS - count_bits
    if mode is Mode.BYTE:
        return bits // 8
    if mode is Mode.ALPHANUMERIC:
        pairs, rest = divmod(bits, 11)
        return 2 * pairs + (rest >= 6)
    triples, rest = divmod(bits, 10)
    return 3 * triples + (2 if rest >= 7 else 1 if rest >= 4 else 0)


def capacity_digits(version: int) -> int:
    """Digits in numeric mode."""
    return capacity(Mode.NUMERIC, version)


def capacity_alphanumeric(version: int) -> int:
    """Characters in alphanumeric mode."""
    return capacity(Mode.ALPHANUMERIC, version)


def capacity_bytes(version: int) -> int:
    """Bytes in byte mode."""
    return capacity(Mode.BYTE, version)


def modules_of(version: int) -> int:
    """Modules along a side of a code of this version, without its quiet zone: 21 to 177."""
    return 17 + 4 * version


MOST_DIGITS: Final = capacity_digits(LAST_VERSION)
"""Characters of the longest text that any code has: 7089, all of them digits."""
MOST_ALPHANUMERIC: Final = capacity_alphanumeric(LAST_VERSION)
"""Characters of the longest text in alphanumeric mode: 4296."""


def smallest_version(mode: Mode, characters: int) -> int | None:
    """The smallest version that holds so many characters, None when none does."""
    return next((one for one in range(FIRST_VERSION, LAST_VERSION + 1) if capacity(mode, one) >= characters), None)
