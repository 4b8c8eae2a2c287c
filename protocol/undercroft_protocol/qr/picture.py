"""What a camera gives and a QR code is, without any library's types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_SIDE: Final = 4096
"""Pixels: no camera, stream or reader takes a picture that is wider or higher."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A grey picture: ``grey`` has width x height bytes, row by row from the top, 0 is black."""

    width: int
    height: int
    grey: bytes

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0 or len(self.grey) != self.width * self.height:
            raise ValueError(f"{len(self.grey)} bytes are no picture of {self.width} x {self.height}")


@dataclass(frozen=True, slots=True)
class Matrix:
    """A QR code without its quiet zone: ``modules`` has size x size bytes, row by row, 1 is dark."""

    size: int
    modules: bytes

    def __post_init__(self) -> None:
        if self.size <= 0 or len(self.modules) != self.size * self.size:
            raise ValueError(f"{len(self.modules)} bytes are no code of {self.size} x {self.size}")

    @property
    def version(self) -> int:
        """1 to 40 (ISO/IEC 18004)."""
        return (self.size - 17) // 4
