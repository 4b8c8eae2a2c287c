"""OpenCV's own reader: slow, and weak above version 20; for a host that has nothing else."""

from __future__ import annotations

from undercroft_protocol.errors import QrError
from undercroft_protocol.qr.picture import Picture

from .sight import Sight, enlarged, text_of, within_bounds

try:
    import cv2
    import numpy as np
except ImportError as error:
    raise QrError("OpenCV is not installed") from error

_SMALLEST = 21
"""Pixels: no code is in a picture that is smaller than the smallest code's modules."""


class OpenCvEye:
    """Reads with OpenCV's QRCodeDetector: one code in a picture, no inverted ones."""

    def __init__(self) -> None:
        # Attack: a picture full of finder patterns. The readers of several codes, and QRCodeDetectorAruco, take minutes
        # for one of 640 x 480 pixels; this one takes half a second.
        self._detector = cv2.QRCodeDetector()

    def look(self, picture: Picture) -> list[Sight]:
        """See Eye."""
        picture, factor = within_bounds(picture)
        if min(picture.width, picture.height) < _SMALLEST:
            return []
        grey = np.frombuffer(picture.grey, np.uint8).reshape(picture.height, picture.width)
        try:
            content, corners, _ = self._detector.detectAndDecode(grey)
        except (cv2.error, UnicodeDecodeError, MemoryError) as error:
            raise QrError("OpenCV failed on a picture") from error
        text = text_of(content.encode("utf-8", "surrogateescape"))
        if text is None:
            return []
        return enlarged([Sight(text, tuple((round(float(x)), round(float(y))) for x, y in corners[0]))], factor)
