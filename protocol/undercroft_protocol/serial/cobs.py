"""Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): no zero inside, so that a zero ends a frame."""

from __future__ import annotations

from undercroft_protocol.errors import FrameError

_LONGEST_RUN = 254
_FULL = 0xFF
"""The code of a run of 254 bytes that no zero follows."""


def encode(data: bytes) -> bytes:
    """Return `data` without zero bytes; at most 1 byte longer for every 254 begun."""
    out = bytearray()
    runs = data.split(b"\0")
    last = len(runs) - 1
    for index, run in enumerate(runs):
        start, length = 0, len(run)
        while length - start >= _LONGEST_RUN:
            out.append(_FULL)
            out += run[start : start + _LONGEST_RUN]
            start += _LONGEST_RUN
        if index == last and start and start == length:
            break  # a full run at the very end needs no empty one after it
        out.append(length - start + 1)
        out += run[start:]
    return bytes(out)


def decode(data: bytes) -> bytes:
    """Return what `encode` made `data` from; each value has exactly one encoding.

    Raises FrameError if `data` is empty, holds a zero, ends inside a run, or is not the shortest form.
    """
    # A zero inside would end the frame for another reader: both must see the same frames.
    if not data or 0 in data:
        raise FrameError("empty, or a zero byte inside")
    out = bytearray()
    position, end, previous = 0, len(data), 0
    while position < end:
        code = data[position]
        following = position + code
        if following > end:
            raise FrameError("it ends inside a run")
        out += data[position + 1 : following]
        position = following
        if position < end:
            if code != _FULL:
                out.append(0)
        elif code == 1 and previous == _FULL:
            raise FrameError("an empty run after a full one at the end")
        previous = code
    return bytes(out)
