"""Parts of a picture: where a code was, and what a reader is given of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from undercroft_protocol.qr.picture import Picture


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture in pixels: ``right`` and ``bottom`` are no longer in it."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def whole(cls, picture: Picture) -> Box:
        """All of it."""
        return cls(0, 0, picture.width, picture.height)

    @classmethod
    def around(cls, corners: Iterable[tuple[int, int]]) -> Box:
        """The smallest that holds these points."""
        xs, ys = zip(*corners, strict=True)
        return cls(min(xs), min(ys), max(xs) + 1, max(ys) + 1)

    def wider(self, share: float, picture: Picture) -> Box:
        """Widened on every side by ``share`` of its longer side, as far as the picture goes."""
        more = int(share * max(self.right - self.left, self.bottom - self.top)) + 1
        left, top = max(0, min(self.left - more, picture.width - 1)), max(0, min(self.top - more, picture.height - 1))
        right, bottom = min(picture.width, self.right + more), min(picture.height, self.bottom + more)
        return Box(left, top, max(right, left + 1), max(bottom, top + 1))

    def holds(self, other: Box) -> bool:
        """Whether the middle of the other is in it."""
        x, y = (other.left + other.right) // 2, (other.top + other.bottom) // 2
        return self.left <= x < self.right and self.top <= y < self.bottom

    def united(self, other: Box) -> Box:
        """The smallest that holds both."""
        left, top = min(self.left, other.left), min(self.top, other.top)
        return Box(left, top, max(self.right, other.right), max(self.bottom, other.bottom))


@dataclass(frozen=True, slots=True)
class Patch:
    """Pixels for a reader: ``height`` rows of ``width`` grey bytes, ``stride`` bytes from row to row. ``left`` and
    ``top`` say where it begins in the picture, ``scale`` how many of its pixels make one of the picture's."""

    grey: Any
    """Anything with the buffer protocol."""
    width: int
    height: int
    stride: int
    left: int
    top: int
    scale: float

    @classmethod
    def cut(cls, picture: Picture, box: Box) -> Patch:
        """That part of a picture, not copied. Where it is narrower, the picture's last row is left out: zxing-cpp asks
        for whole rows."""
        left, top = (box.left, min(box.top, picture.height - 2)) if picture.height > 1 else (0, 0)
        grey = memoryview(picture.grey)[top * picture.width + left :]
        height = min(box.bottom - top, len(grey) // picture.width)
        return cls(grey, box.right - left, height, picture.width, left, top, 1.0)

    def point(self, x: float, y: float) -> tuple[int, int]:
        """A point of the patch in the picture's pixels."""
        return self.left + round(x / self.scale), self.top + round(y / self.scale)


class Rescue(Protocol):
    """Makes patches of a part that could not be read as it is: each another attempt."""

    def attempts(self, picture: Picture, box: Box) -> Iterator[Patch]:
        """The cheapest attempt first; made when asked for."""
