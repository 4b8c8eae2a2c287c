"""The bytes of BBQr parts: hex, base32 without padding (RFC 4648, section 6), and raw deflate in a 1 KiB window."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from typing import Final

from ...errors import QrMessageError, QrSymbolError
from .header import Encoding

_WINDOW_BITS: Final = -10
# No level squeezes better, and the memory of this one is the sender's alone.
_MEMORY_LEVEL: Final = 9
_STEP_BYTES: Final = 64
_INPUT_BYTES: Final = 512
_HEX: Final = re.compile(r"(?:[0-9A-F]{2})+", re.ASCII)
_BASE32: Final = re.compile(r"[A-Z2-7]+", re.ASCII)
_GROUP_CHARACTERS: Final = 8
_GROUP_BYTES: Final = 5
_WHOLE_BYTES: Final = frozenset({0, 2, 4, 5, 7})
"""Characters in the last group of eight that stand for whole bytes."""


def encode(encoding: Encoding, data: bytes) -> str:
    """The characters of one part; ``ZLIB`` data must have been deflated before it was cut."""
    if encoding is Encoding.HEX:
        return data.hex().upper()
    return base64.b32encode(data).decode("ascii").rstrip("=")


def decode(encoding: Encoding, body: str, *, last: bool) -> bytes:
    """The bytes of one part. Raises QrSymbolError; what is read would be written the same again."""
    if encoding is Encoding.HEX:
        # Attack: an odd digit, of which one reader drops the first and another the last; a second header in the body
        # ("overlapped" codes) has a $ in it, which no encoding has.
        if _HEX.fullmatch(body) is None:
            raise QrSymbolError("not an even number of hex digits in capitals")
        return bytes.fromhex(body)
    if _BASE32.fullmatch(body) is None:
        raise QrSymbolError("not base32 in capitals without padding")
    rest = len(body) % _GROUP_CHARACTERS
    if rest and not last:
        raise QrSymbolError("a part before the last is not whole groups of 8 characters")
    if rest not in _WHOLE_BYTES:
        raise QrSymbolError("the base32 does not end with a whole byte")
    try:
        data = base64.b32decode(body + "=" * (-len(body) % _GROUP_CHARACTERS))
    except binascii.Error:
        raise QrSymbolError("not base32") from None
    # Attack: bits behind the last byte, which make two texts of one part.
    if rest and encode(encoding, data[-(len(data) % _GROUP_BYTES) :]) != body[-rest:]:
        raise QrSymbolError("the base32 has bits behind its last byte")
    return data


def part_bytes(encoding: Encoding, characters: int) -> int:
    """Most bytes of a part before the last whose body has at most so many characters."""
    if encoding is Encoding.HEX:
        return characters // 2
    return characters // _GROUP_CHARACTERS * _GROUP_BYTES


def last_bytes(encoding: Encoding, characters: int) -> int:
    """Most bytes of the last part, which needs no whole groups."""
    return characters // 2 if encoding is Encoding.HEX else characters * _GROUP_BYTES // _GROUP_CHARACTERS


def even_part(encoding: Encoding, size: int, parts: int) -> int:
    """Bytes of each part but the last, when ``size`` bytes are cut into so many as evenly as the encoding allows."""
    share = -(-size // parts)
    return share if encoding is Encoding.HEX or parts == 1 else -(-share // _GROUP_BYTES) * _GROUP_BYTES


def deflate(data: bytes) -> bytes:
    """Raw deflate (RFC 1951) in BBQr's window of 10 bits."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)
    return deflater.compress(data) + deflater.flush()


def inflate(data: bytes, *, limit: int) -> bytes:
    """What ``deflate`` made, at most ``limit`` bytes of it. Raises QrMessageError."""
    inflater = zlib.decompressobj(wbits=_WINDOW_BITS)
    message = bytearray()
    fed, waiting = 0, b""
    while not inflater.eof:
        if not waiting:
            waiting = data[fed : fed + _INPUT_BYTES]
            fed += len(waiting)
        try:
            # Attack: a stream made for a window of more than 10 bits, which one reader takes and another does not.
            # zlib looks back as far as its window and what it has just put out, so it is let put out little.
            piece = inflater.decompress(waiting, _STEP_BYTES)
        except zlib.error as error:
            raise QrMessageError(f"not deflated in a window of 10 bits: {error}") from None
        message += piece
        # Attack: a bomb, a few codes that inflate to gigabytes.
        if len(message) > limit:
            raise QrMessageError(f"it inflates to more than {limit} bytes")
        waiting = inflater.unconsumed_tail
        if not piece and not waiting and fed == len(data) and not inflater.eof:
            raise QrMessageError("what was deflated ends in the middle")
    # Attack: bytes behind the end, which no reader would miss, carry something out.
    if inflater.unused_data or fed < len(data):
        raise QrMessageError("bytes behind the end of what was deflated")
    return bytes(message)
