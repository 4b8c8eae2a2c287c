"""Brightness from what cameras send, with nothing but bytes: the appliance has no numpy.

``stride`` is the bytes from one row to the next. Raw bytes shorter than the picture raise ValueError.
"""

from __future__ import annotations

from collections.abc import Callable

from undercroft_protocol.qr.picture import Picture

# What makes a picture of (raw bytes, width, height, stride).
Converter = Callable[[memoryview, int, int, int], Picture]


def from_planar(raw: memoryview, width: int, height: int, stride: int) -> Picture:
    """GREY, and formats that begin with a plane of brightness, such as NV12."""
    return Picture(width, height, _rows(raw, width, height, stride))


def from_yuyv(raw: memoryview, width: int, height: int, stride: int) -> Picture:
    """YUYV 4:2:2: every other byte is brightness."""
    return Picture(width, height, _rows(raw, 2 * width, height, stride)[::2])


def from_bayer(raw: memoryview, width: int, height: int, stride: int, *, green_first: bool) -> Picture:
    """A raw sensor's mosaic of 8 bit: green where it was measured, elsewhere the mean of the four around.

    ``green_first``: the first sample of the first row is green (GBRG, GRBG), or the second one is (BGGR, RGGB).
    """
    samples = _rows(raw, width, height, stride)
    # Where a row's first green sample is; the rows above and below have theirs over and under its gaps.
    firsts = [int(green_first == bool(row % 2)) for row in range(height)]
    greens = [samples[row * width + first : (row + 1) * width : 2] for row, first in enumerate(firsts)]
    grey = bytearray(width * height)
    for row, (first, own) in enumerate(zip(firsts, greens, strict=True)):
        # At an edge, the one neighbour counts twice.
        above = greens[row - 1] if row else greens[min(1, height - 1)]
        below = greens[row + 1] if row + 1 < height else above
        left, right = (own[:1] + own, own + own[-1:]) if first else (own, own[1:] + own[-1:])
        gaps = (width + first) // 2
        start, end = row * width, (row + 1) * width
        grey[start + first : end : 2] = own
        grey[start + 1 - first : end : 2] = _means(_means(left[:gaps], right[:gaps]), _means(above, below))
    return Picture(width, height, bytes(grey))


def _rows(raw: memoryview, row_bytes: int, height: int, stride: int) -> bytes:
    if stride < row_bytes or len(raw) < stride * (height - 1) + row_bytes:
        raise ValueError(f"{len(raw)} bytes are no picture of {height} rows of {row_bytes}")
    if stride == row_bytes:
        return bytes(raw[: row_bytes * height])
    return b"".join(raw[at : at + row_bytes] for at in range(0, stride * height, stride))


def _means(left: bytes, right: bytes) -> bytes:
    # All at once, as large integers: halved first, so that no sample runs into its neighbour.
    size = len(left)
    mask = int.from_bytes(b"\x7f" * size, "big")
    total = (int.from_bytes(left, "big") >> 1 & mask) + (int.from_bytes(right, "big") >> 1 & mask)
    return total.to_bytes(size, "big")
