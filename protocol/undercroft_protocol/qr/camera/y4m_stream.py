"""The YUV4MPEG2 format (as mjpegtools' yuv4mpeg(5) and FFmpeg write it): 8 bit, brightness only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from undercroft_protocol.errors import CameraError
from undercroft_protocol.qr.picture import MOST_SIDE, Picture

_MAGIC = b"YUV4MPEG2 "
_FRAME = b"FRAME"
_LONGEST_LINE = 256
# So much is looked through for a beginning before the whole is called no stream.
_LONGEST_SEARCH = 1 << 16
_PARAMETERS = re.compile(rb"(?: [!-~]+)*")
_HEADER = re.compile(rb"YUV4MPEG2(?=[^\n]* W[0-9])(?=[^\n]* H[0-9])(?: [!-~]+)*")
# How many samples of colour follow the brightness of a picture: (divisor of the width, of the height).
_CHROMA = {
    b"mono": None,
    **dict.fromkeys((b"420", b"420jpeg", b"420paldv", b"420mpeg2"), (2, 2)),
    b"422": (2, 1),
    b"444": (1, 1),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """Size of the pictures in pixels, and the bytes of colour that follow each."""

    width: int
    height: int
    chroma: int

    @property
    def frame_bytes(self) -> int:
        """Of a whole frame, without its own header line."""
        return self.width * self.height + self.chroma


def header(width: int, height: int, fps: int) -> bytes:
    """What begins a stream of grey pictures."""
    return b"YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 Cmono\n" % (width, height, fps)


def frame(picture: Picture) -> bytes:
    """One picture of such a stream."""
    return b"FRAME\n" + picture.grey


def parse_header(line: bytes) -> Shape:
    """Read the stream's header (without its line feed). Raises CameraError for what cannot be read here."""
    if not _PARAMETERS.fullmatch(line, len(_MAGIC) - 1):
        raise CameraError("the header of the YUV4MPEG2 stream has characters that do not belong there")
    # X begins comments, of which there may be several.
    fields = [one for one in line.split(b" ")[1:] if not one.startswith(b"X")]
    values = {one[:1]: one[1:] for one in fields}
    if len(values) < len(fields):
        raise CameraError("the header of the YUV4MPEG2 stream says something twice")
    width, height = (_side(values.get(name, b"")) for name in (b"W", b"H"))
    colours = values.get(b"C", b"420")
    if colours not in _CHROMA:
        raise CameraError(f"YUV4MPEG2 pictures of kind {colours.decode()} are not read; send C420jpeg or Cmono")
    divisors = _CHROMA[colours]
    chroma = 2 * -(-width // divisors[0]) * -(-height // divisors[1]) if divisors else 0
    return Shape(width, height, chroma)


def _side(digits: bytes) -> int:
    # Attack: a header that announces a picture larger than this machine's memory.
    if not re.fullmatch(rb"[1-9][0-9]{0,3}", digits) or int(digits) > MOST_SIDE:
        raise CameraError(f"the pictures of the YUV4MPEG2 stream must have sides of 1 to {MOST_SIDE} pixels")
    return int(digits)


class StreamReader:
    """Cuts a stream into pictures. When it loses its place it looks for the next frame or the next header."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._shape: Shape | None = None
        self._searched = 0

    def feed(self, data: bytes) -> None:
        """Add what was read."""
        self._buffer += data

    def next_picture(self) -> Picture | None:
        """The next whole picture in what was fed, None when there is none.

        Raises CameraError for a header that cannot be read, and for 64 KiB without one where none was read before. It
        can be called again: it looks for the next header.
        """
        while self._find_beginning():
            end = self._buffer.find(b"\n", 0, _LONGEST_LINE)
            if end < 0 and len(self._buffer) < _LONGEST_LINE:
                return None
            line = bytes(self._buffer[: max(end, 0)])
            # Attack: a screen whose pixels spell the beginning of a header, so that the error ends whoever reads it.
            if line.startswith(_MAGIC) and (self._shape is None or _HEADER.fullmatch(line)):
                del self._buffer[:end]
                self._shape = None
                self._shape = parse_header(line)
            elif end < 0 or self._shape is None or not _PARAMETERS.fullmatch(line, len(_FRAME)):
                # Bytes of a picture that look like a beginning.
                del self._buffer[:1]
            elif len(self._buffer) <= end + self._shape.frame_bytes:
                return None
            elif picture := self._take_picture(self._shape, end + 1):
                return picture
        return None

    def _find_beginning(self) -> bool:
        """Drop what stands before the next header, or the next frame of a known shape; False when there is none."""
        at = self._buffer.find(_FRAME) if self._shape else -1
        header_at = self._buffer.find(_MAGIC, 0, at if at >= 0 else len(self._buffer))
        at = header_at if header_at >= 0 else at
        if at >= 0:
            del self._buffer[:at]
            self._searched = 0
            return True
        # The beginning of a header may be there already.
        useless = max(0, len(self._buffer) - len(_MAGIC) + 1)
        del self._buffer[:useless]
        self._searched += useless
        if self._shape is None and self._searched > _LONGEST_SEARCH:
            self._searched = 0
            raise CameraError("this is no YUV4MPEG2 stream")
        return False

    def _take_picture(self, shape: Shape, start: int) -> Picture | None:
        end = start + shape.frame_bytes
        # A writer that vanished in the middle of a picture, and its successor's header behind the last byte.
        spliced = self._buffer.find(_MAGIC, start, end)
        if spliced >= 0:
            del self._buffer[:spliced]
            return None
        grey = bytes(memoryview(self._buffer)[start : start + shape.width * shape.height])
        # The last bytes stay: such a header may begin with them.
        del self._buffer[: max(start, end - len(_MAGIC) + 1)]
        return Picture(shape.width, shape.height, grey)
