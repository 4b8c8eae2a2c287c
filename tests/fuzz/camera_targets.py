"""A stream of pictures under the fuzzer."""

from __future__ import annotations

from undercroft_protocol.errors import CameraError
from undercroft_protocol.qr.camera.y4m_stream import StreamReader, frame, header
from undercroft_protocol.qr.picture import Picture

_STEP = 7


def fuzz_y4m(data: bytes) -> None:
    """Only CameraError; where the stream was cut makes no difference; nothing is kept but one unfinished picture."""
    if _seen(data, max(1, len(data))) != _seen(data, _STEP):
        raise AssertionError("the pictures depend on how the stream was cut")


def camera_corpus() -> list[bytes]:
    """Grey pictures, pictures with colour, and a writer that follows another in the middle of a picture."""
    grey = header(6, 4, 10) + b"".join(frame(Picture(6, 4, bytes([shade]) * 24)) for shade in (1, 2, 3))
    coloured = b"YUV4MPEG2 W4 H2 F25:1 Ip A1:1 C420jpeg XNOTE=1\n" + 2 * (b"FRAME Ip\n" + bytes(range(12)))
    return [grey, coloured, grey[:-30] + coloured]


def _seen(data: bytes, step: int) -> list[Picture | str]:
    reader = StreamReader()
    seen: list[Picture | str] = []
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
        while True:
            try:
                picture = reader.next_picture()
            except CameraError as error:
                seen.append(error.detail)
                continue
            if picture is None:
                break
            seen.append(picture)
    return seen
