"""Films of codes for a camera to look at, and what a camera reads from pictures."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from undercroft_protocol.qr.camera.y4m_stream import frame, header
from undercroft_protocol.qr.collector import Collector
from undercroft_protocol.qr.draw import draw_alike
from undercroft_protocol.qr.eye import eye_by_name
from undercroft_protocol.qr.picture import Picture
from undercroft_protocol.qr.sheet import picture_of
from undercroft_protocol.qr.sources import source_of
from undercroft_protocol.qr.stream import Payload


def film(path: Path, *payloads: Payload, spoiled: Sequence[int] = (), width: int = 320, height: int = 240) -> str:
    """A video file that shows these payloads one after the other; the text of the camera that plays it."""
    pictures = []
    for payload in payloads:
        source = source_of(payload, version=10, entropy=random.Random(2).randbytes)
        for at in range(source.count + len(spoiled)):
            codes = draw_alike([source.next_symbol()], version=12)
            pictures.append(picture_of(codes, width=width, height=height))
            if at in spoiled:
                pictures[-1] = Picture(width, height, bytes(width * height))
    path.write_bytes(header(width, height, 30) + b"".join(frame(picture) for picture in pictures))
    return f"y4m:{path}"


def read_back(pictures: Sequence[Picture]) -> Payload:
    collector, eye = Collector(limit=1_000_000), eye_by_name("zxing")
    for picture in pictures:
        for sight in eye.look(picture):
            if (payload := collector.take(sight.text)) is not None:
                return payload
    raise AssertionError(f"nothing whole: {collector.gathered}")
