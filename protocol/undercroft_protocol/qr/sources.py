"""From a payload to the stream of codes that carries it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from undercroft_protocol.errors import QrError

from .bbqr import BbqrSource
from .capacity import capacity_alphanumeric
from .fast import FastSource
from .fast.symbol import SESSION_BYTES
from .stream import Format, Payload, SymbolSource
from .ur import UrSource
from .ur.bytewords import CHECKSUM_BYTES
from .ur.fountain import MAX_FRAGMENTS, MAX_SEQUENCE
from .ur.kinds import WRITTEN

_UR_FRAME_CHARACTERS: Final = len(f"UR:{max(WRITTEN.values(), key=len)}/{MAX_SEQUENCE}-{MAX_FRAGMENTS}/")
# Before the fragment the heads of an array, of four integers (number, count, length, CRC-32) and of a byte string
# (BCR-2020-005), behind it the CRC-32 of the bytewords.
_UR_FRAME_BYTES: Final = 1 + (5 + 3 + 5 + 5) + 3 + CHECKSUM_BYTES


def source_of(payload: Payload, *, version: int, entropy: Callable[[int], bytes]) -> SymbolSource:
    """The codes of a payload in its format, each of which fits into a code of ``version``.

    A fast message gets a session of its own each time, so that whoever has read it once reads it again when it is sent
    again. The formats that are only read (pMofN, plain text) are answered in UR, which those wallets read too. Raises
    QrSizeError for a version (5 to 40) that is too small, QrError for what the format has no type for.
    """
    if payload.format is Format.FAST:
        return FastSource(payload.data, version=version, session=entropy(SESSION_BYTES))
    if payload.format is Format.BBQR:
        return BbqrSource(payload.kind, payload.data, characters=capacity_alphanumeric(version))
    if payload.kind not in WRITTEN:
        raise QrError(f"UR has no type for {payload.kind.value}")
    return UrSource(payload.kind, payload.data, fragment_bytes=ur_fragment_bytes(version))


def ur_fragment_bytes(version: int) -> int:
    """The longest fragment of a multi-part UR (BCR-2020-005), in bytes, that a code of ``version`` (5 to 40) holds."""
    # Bytewords (BCR-2020-012): two letters a byte.
    return (capacity_alphanumeric(version) - _UR_FRAME_CHARACTERS) // 2 - _UR_FRAME_BYTES
