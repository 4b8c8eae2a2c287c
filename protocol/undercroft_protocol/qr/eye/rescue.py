"""What helps with a blurred and noisy picture: smooth, sharpen, enlarge it. Needs OpenCV and numpy: hosts, desks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np

from undercroft_protocol.errors import QrError
from undercroft_protocol.qr.picture import Picture

from .patch import Box, Patch

SMOOTH: Final = (1.0, 1.5)
"""Sigma in pixels. The first takes the noise of a sensor and of JPEG from modules of three pixels and more; the second
is for large modules, which strong noise cuts into pieces."""
SHARP: Final = (3.0, 4.0)
"""Sigma of what is then taken away from the smooth picture: it undoes defocus and motion of a few pixels."""
MOST_ENLARGED: Final = 2048 * 2048
"""Pixels after enlarging: more would take longer than the next picture does to come."""


class OpenCvRescue:
    """Smooth, then sharpened; smoother, then sharpened; twice the size, smooth and sharpened."""

    def attempts(self, picture: Picture, box: Box) -> Iterator[Patch]:
        """See Rescue. Raises QrError when OpenCV fails on this part."""
        part = np.frombuffer(picture.grey, np.uint8).reshape(picture.height, picture.width)
        part = part[box.top : box.bottom, box.left : box.right]
        try:
            for smooth, sharp in zip(SMOOTH, SHARP, strict=True):
                smoothed = cv2.GaussianBlur(part, (0, 0), smooth)
                yield _patch(smoothed, box, 1)
                yield _patch(_sharper(smoothed, sharp), box, 1)
            if part.size * 4 <= MOST_ENLARGED:
                enlarged = cv2.resize(part, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
                yield _patch(_sharper(cv2.GaussianBlur(enlarged, (0, 0), 2 * SMOOTH[0]), SHARP[1]), box, 2)
        except cv2.error as error:
            raise QrError("OpenCV failed on a picture") from error


def _sharper(smooth: cv2.typing.MatLike, sigma: float) -> cv2.typing.MatLike:
    """What is finer than ``sigma`` pixels, twice as strong."""
    return cv2.addWeighted(smooth, 2.0, cv2.GaussianBlur(smooth, (0, 0), sigma), -1.0, 0)


def _patch(grey: cv2.typing.MatLike, box: Box, scale: int) -> Patch:
    height, width = grey.shape
    return Patch(np.ascontiguousarray(grey), width, height, width, box.left, box.top, float(scale))
