"""What an eye sees, the interface of every eye, and what is never taken from a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from undercroft_protocol.bitcoin.psbt_records import MAGIC as PSBT_MAGIC
from undercroft_protocol.errors import QrError
from undercroft_protocol.qr.picture import MOST_SIDE, Picture

MOST_PIXELS: Final = 4 * 1024 * 1024
"""Of a larger picture every other pixel of every other row is looked at."""
MOST_CODES: Final = 32
"""Codes that are taken from one picture."""

_TAKEN: Final = frozenset(range(0x20, 0x7F)) | {0x09, 0x0A, 0x0D}


@dataclass(frozen=True, slots=True)
class Sight:
    """One QR code in a picture: its text (of a PSBT in byte mode a character for each byte, U+0000 to U+00FF), and its
    four corners (x, y) in pixels from the picture's top left, going round."""

    text: str
    corners: tuple[tuple[int, int], ...]


class Eye(Protocol):
    """Reads QR codes (ISO/IEC 18004) from pictures."""

    def look(self, picture: Picture) -> list[Sight]:
        """Every QR code in it, at most MOST_CODES; none when there is none. Codes whose content is neither printable
        ASCII (with tab and line ends) nor begins as a PSBT does are left out: no format here has such.

        Raises QrError for a picture beyond MOST_SIDE pixels a side, and when the library behind it fails on this one
        picture: the next may be read.
        """


def within_bounds(picture: Picture) -> tuple[Picture, int]:
    """The picture as it is looked at, and how many pixels of the given one make one of its: 1 or 2 a side.

    Raises QrError for a picture that is larger than any camera's.
    """
    # Attack: a video file or a camera that announces a huge picture, to fill memory or take minutes.
    if picture.width > MOST_SIDE or picture.height > MOST_SIDE:
        raise QrError(f"a picture of {picture.width} x {picture.height} pixels, {MOST_SIDE} a side at most")
    # Attack: a picture full of tiny finder patterns: the time that every reader takes grows with their number squared.
    if picture.width * picture.height <= MOST_PIXELS:
        return picture, 1
    width, grey = picture.width, picture.grey
    rows = [grey[at : at + width : 2] for at in range(0, len(grey), 2 * width)]
    return Picture(len(rows[0]), len(rows), b"".join(rows)), 2


def enlarged(sights: Iterable[Sight], factor: int) -> list[Sight]:
    """The same in the pixels of the picture that was given."""
    if factor == 1:
        return list(sights)
    return [Sight(one.text, tuple((factor * x, factor * y) for x, y in one.corners)) for one in sights]


def text_of(content: bytes) -> str | None:
    """The text of a code's content, a character for each byte; None for content that no format here has."""
    # Attack: control characters that a terminal would obey, or bytes that each library decodes in a way of its own.
    # Bytes that begin a PSBT are no text, and are shown to nobody as one.
    if not content or not (_TAKEN.issuperset(content) or content.startswith(PSBT_MAGIC)):
        return None
    return content.decode("latin-1")
