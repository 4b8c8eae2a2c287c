"""Puts one wrong bit of a frame right: the error of a CRC-32 tells where a single one is, at no cost on the line.

A CRC is linear: a flipped bit changes it by a value that depends only on the bit's distance from the end, and CRC-32
has another value for each of the bits of a frame. What has several wrong bits looks like one of them with a chance of
about 1 in 250,000 (2^14 of 2^32 values); the SHA-256 of the message stands behind that.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from functools import cache
from typing import Final

from undercroft_protocol.errors import FrameError

MAX_BODY_BYTES: Final = 2052
_POLYNOMIAL: Final = 0xEDB88320
"""CRC-32 of IEEE 802.3, lowest bit first."""


def one_bit(body: bytes, error: int) -> bytes:
    """The body, at most 2,052 bytes, with the one bit flipped that explains this difference of the CRCs.

    Raises FrameError if there is none.
    """
    # One bit of the CRC itself is wrong.
    if error.bit_count() == 1:
        return body
    errors, distances = _table()
    at = bisect_left(errors, error)
    if at == len(errors) or errors[at] != error or distances[at] >= 8 * len(body):
        raise FrameError("wrong CRC")
    back, bit = divmod(distances[at], 8)
    repaired = bytearray(body)
    repaired[-1 - back] ^= 0x80 >> bit
    return bytes(repaired)


@cache
def _table() -> tuple[array[int], array[int]]:
    """What a flipped bit does to the CRC, sorted, and beside it how many bits it is away from the end."""
    value = 1
    found = []
    for distance in range(8 * MAX_BODY_BYTES):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        found.append(value << 16 | distance)
    found.sort()
    return array("I", (one >> 16 for one in found)), array("H", (one & 0xFFFF for one in found))
