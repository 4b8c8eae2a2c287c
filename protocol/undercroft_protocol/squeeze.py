"""Compression of a message for the links, with a bound on what comes out.

One byte tells the method, the rest is its output: 0 the bytes themselves, 1 raw deflate (RFC 1951), 2 raw LZMA2. The
smallest of the three is taken; LZMA2, which takes ten times as long, is tried where deflate gains something and the
message is not too long. The filters are fixed, so that a sender chooses nothing of what a receiver allocates.
"""

from __future__ import annotations

import lzma
import zlib
from enum import IntEnum
from typing import Final

from undercroft_protocol.errors import SqueezeError

_WINDOW_BITS: Final = -15
_DICTIONARY_BYTES: Final = 1 << 20
_MOST_PACKED_BYTES: Final = 1 << 20
"""An appliance's small processor packs more for so long that the other side would take the line for dead."""
# pb=0: the messages are bytes, and nothing in them is aligned to four.
_FILTERS: Final = ({"id": lzma.FILTER_LZMA2, "dict_size": _DICTIONARY_BYTES, "lc": 4, "lp": 0, "pb": 0},)


class Method(IntEnum):
    """How the bytes are written."""

    PLAIN = 0
    DEFLATE = 1
    LZMA2 = 2


def squeeze(message: bytes) -> bytes:
    """The message in the shortest of the three ways; never more than one byte longer than it is."""
    deflater = zlib.compressobj(9, wbits=_WINDOW_BITS)
    deflated = deflater.compress(message) + deflater.flush()
    if len(deflated) >= len(message):
        return bytes((Method.PLAIN,)) + message
    if len(message) > _MOST_PACKED_BYTES:
        return bytes((Method.DEFLATE,)) + deflated
    packed = lzma.compress(message, format=lzma.FORMAT_RAW, filters=_FILTERS)
    method, body = min((Method.DEFLATE, deflated), (Method.LZMA2, packed), key=lambda way: len(way[1]))
    return bytes((method,)) + body


def unsqueeze(data: bytes, *, limit: int) -> bytes:
    """The message of at most ``limit`` bytes; raises SqueezeError for anything else, before it allocates more."""
    if not data:
        raise SqueezeError("no method")
    method, body = data[0], data[1:]
    if method == Method.PLAIN:
        if len(body) > limit:
            raise SqueezeError(f"more than {limit} bytes")
        return body
    if method == Method.DEFLATE:
        return _inflated(body, limit)
    if method == Method.LZMA2:
        return _unpacked(body, limit)
    raise SqueezeError(f"method {method} is not known")


def _inflated(body: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj(wbits=_WINDOW_BITS)
    try:
        # Attack: a bomb, a few bytes that inflate to gigabytes.
        message = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise SqueezeError(f"deflate: {error}") from None
    _check(message, limit, done=inflater.eof, rest=inflater.unused_data)
    return message


def _unpacked(body: bytes, limit: int) -> bytes:
    unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=_FILTERS)
    try:
        # Attack: the same bomb in LZMA2; its dictionary is ours, not the sender's.
        message = unpacker.decompress(body, limit + 1)
        # The end marker may still be unread when exactly `limit` bytes came out.
        if not unpacker.eof and not unpacker.needs_input:
            message += unpacker.decompress(b"", 1)
    except (lzma.LZMAError, EOFError) as error:
        raise SqueezeError(f"LZMA2: {error}") from None
    _check(message, limit, done=unpacker.eof, rest=unpacker.unused_data)
    return message


def _check(message: bytes, limit: int, *, done: bool, rest: bytes) -> None:
    if len(message) > limit:
        raise SqueezeError(f"more than {limit} bytes")
    if not done:
        raise SqueezeError("it ends in the middle")
    # Attack: bytes behind the end, which no reader would miss, carry something out.
    if rest:
        raise SqueezeError(f"{len(rest)} bytes behind its end")
