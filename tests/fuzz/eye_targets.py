"""Small grey pictures of any bytes under the fuzzer: what stands between a stranger's screen and the native reader."""

from __future__ import annotations

from typing import Final

from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.eye.zxing import ZxingEye
from undercroft_protocol.qr.picture import MOST_SIDE, Picture
from undercroft_protocol.qr.sheet import tight_picture

_LOOKS: Final = 2
"""The second one begins where the first found something."""


def fuzz_eye(data: bytes) -> None:
    """Nothing is raised: every picture within the bounds is read or gives nothing; texts are printable, and the place
    where a code was read before changes nothing."""
    if len(data) < 2:
        return
    width = data[0] + 1
    height = (len(data) - 1) // width
    if not 0 < height <= MOST_SIDE:
        return
    picture, eye = Picture(width, height, data[1 : 1 + width * height]), ZxingEye()
    for _ in range(_LOOKS):
        for sight in eye.look(picture):
            if not sight.text.isascii() or not all(one.isprintable() or one in "\t\r\n" for one in sight.text):
                raise AssertionError("a text that no code here has")


def eye_corpus() -> list[bytes]:
    """A width less one, then the rows: one code, two codes."""
    pictures = [
        tight_picture([draw("12345")], scale=3, columns=1),
        tight_picture(
            [draw("ur:bytes/oeadgdstaslplabghydrpfmkbggufgludprfgmaotpiecffltnlpqdenos")], scale=2, columns=1
        ),
        tight_picture([draw("AB"), draw("CD")], scale=3, columns=2),
    ]
    return [bytes([picture.width - 1]) + picture.grey for picture in pictures]
