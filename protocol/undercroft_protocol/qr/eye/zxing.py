"""zxing-cpp: the fastest reader and the best one; on the appliance without numpy and OpenCV."""

from __future__ import annotations

from functools import reduce
from typing import Final

from undercroft_protocol.errors import QrError
from undercroft_protocol.qr.picture import Picture

from .patch import Box, Patch, Rescue
from .places import MOVED, Places
from .sight import MOST_CODES, Sight, enlarged, text_of, within_bounds

try:
    import zxingcpp
except ImportError as error:
    raise QrError("zxing-cpp is not installed, it reads QR codes") from error

WIDE_EVERY: Final = 8
"""Every so many pictures all of it is looked at even where every code was read: another may have come."""
RESCUE_EVERY: Final = 8
"""Every so many pictures attempts are made even without a trace of a code, and without patience."""
MOST_RESCUED: Final = 4
"""Parts of one picture for which the attempts are made."""
MOST_PATIENCE: Final = 4
"""So many failed attempts more than half the successful ones, and there are no more for a while: a picture taken while
the screen changed looks like a blurred one, and nothing helps with it."""

DOUBTFUL: Final = 1.0
"""The place of a code that cannot be read is a guess, wrong by up to its size."""

# Model 2 is what everybody calls a QR code; QRCode would also stand for Micro QR and rMQR.
_QR: Final = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCodeModel2])


class ZxingEye:
    """Reads with zxing-cpp, in this order, until every code is found that was there lately:

    the part of the picture in which codes were, without turning, shrinking and inverting; all of it with everything
    that zxing-cpp tries by default, when nothing was read there twice; where a code was, or is and cannot be read, what
    ``rescue`` makes of that part (None where OpenCV is not installed), as long as that helps now and then.
    """

    def __init__(self, rescue: Rescue | None = None) -> None:
        self._rescue = rescue
        self._places = Places()
        self._pictures = 0
        self._patience = MOST_PATIENCE

    def look(self, picture: Picture) -> list[Sight]:
        """See Eye."""
        picture, factor = within_bounds(picture)
        turn = self._pictures
        self._pictures += 1
        reading = _Reading(picture)
        if self._places:
            around = reduce(Box.united, self._places.boxes).wider(MOVED, picture)
            reading.read(Patch.cut(picture, around), thorough=False)
        # The first miss is most likely a picture taken while the screen changed: the next one will do.
        if turn % WIDE_EVERY == 0 or not (reading.found or self._places.fresh):
            reading.read(Patch.cut(picture, Box.whole(picture)), thorough=True)
        if self._rescue is not None:
            self._attempt(self._rescue, reading, turn)
        sights = list(reading.found.values())
        self._places.note(sights)
        return enlarged(sights, factor)

    def _attempt(self, rescue: Rescue, reading: _Reading, turn: int) -> None:
        probe = turn % RESCUE_EVERY == 0
        parts = self._unread(reading) if self._patience else self._unread(reading)[:probe]
        if probe and not parts and not reading.found:
            parts = [Box.whole(reading.picture)]
        for part in parts:
            better = reading.attempt(rescue, part)
            self._patience = min(self._patience + 2, MOST_PATIENCE) if better else max(self._patience - 1, 0)

    def _unread(self, reading: _Reading) -> list[Box]:
        """Where a code was and is not read now, then where one is that could not be read."""
        picture = reading.picture
        parts = [box.wider(MOVED, picture) for box in self._places.missing(reading.found.values())]
        for broken in reading.broken:
            if not any(part.holds(broken) for part in parts):
                parts.append(broken.wider(DOUBTFUL, picture))
        # Attack: a picture full of codes that cannot be read, each of which takes every attempt.
        return parts[:MOST_RESCUED]


class _Reading:
    """What is found in one picture: the codes by their text, and the places of codes that could not be read."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.found: dict[str, Sight] = {}
        self.broken: list[Box] = []

    def attempt(self, rescue: Rescue, part: Box) -> bool:
        """One attempt after the other, until one shows a code that was not read before: whether one did."""
        before = len(self.found)
        for patch in rescue.attempts(self.picture, part):
            self.read(patch, thorough=False)
            if len(self.found) > before:
                return True
        return False

    def read(self, patch: Patch, *, thorough: bool) -> None:
        """Read a patch; ``thorough`` also turns, shrinks and inverts it, and notes what cannot be read."""
        for barcode in _barcodes(patch, thorough=thorough):
            at = barcode.position
            points = (at.top_left, at.top_right, at.bottom_right, at.bottom_left)
            corners = tuple(patch.point(point.x, point.y) for point in points)
            text = text_of(barcode.bytes) if barcode.valid else None
            if not barcode.valid:
                self.broken.append(Box.around(corners))
            # Attack: a picture of hundreds of codes, to fill memory and keep everything after this busy.
            elif text is not None and len(self.found) < MOST_CODES:
                self.found.setdefault(text, Sight(text, corners))


def _barcodes(patch: Patch, *, thorough: bool) -> list[zxingcpp.Barcode]:
    try:
        view = zxingcpp.ImageView(patch.grey, patch.width, patch.height, zxingcpp.ImageFormat.Lum, patch.stride)
        return zxingcpp.read_barcodes(
            view,
            formats=_QR,
            try_rotate=thorough,
            try_downscale=thorough,
            try_invert=thorough,
            text_mode=zxingcpp.TextMode.Plain,
            return_errors=thorough,
        )
    except (RuntimeError, ValueError, TypeError, MemoryError) as error:
        raise QrError("zxing-cpp failed on a picture") from error
