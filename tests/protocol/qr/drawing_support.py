"""Reads codes back, and the sources and texts that drawing, screens and cameras are tried with."""

from __future__ import annotations

import random

import numpy as np
import zxingcpp

from undercroft_protocol.qr.picture import Matrix, Picture
from undercroft_protocol.qr.sheet import tight_picture


def read_all(picture: Picture, *, enlarge: int = 1) -> list[str]:
    """The texts of all codes in it, sorted, by zxing-cpp."""
    pixels = np.frombuffer(picture.grey, np.uint8).reshape(picture.height, picture.width)
    pixels = np.kron(pixels, np.ones((enlarge, enlarge), np.uint8))
    return sorted(code.text for code in zxingcpp.read_barcodes(pixels) if code.format == zxingcpp.BarcodeFormat.QRCode)


def read_matrix(matrix: Matrix) -> list[str]:
    """The same for one code, four pixels to a module."""
    return read_all(tight_picture([matrix], scale=4, columns=1))


def digits(count: int, seed: int) -> str:
    """So many random digits."""
    return "".join(random.Random(seed).choices("0123456789", k=count))


class Numbers:
    """A source whose symbols count from 0."""

    count = 3

    def __init__(self, width: int = 30) -> None:
        self._next = 0
        self._width = width

    def next_symbol(self) -> str:
        """The next number, in so many digits."""
        self._next += 1
        return f"{self._next - 1:0{self._width}}"
