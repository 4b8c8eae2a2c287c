"""G7 and G8: how many pictures each reader reads, and how long it takes, all on the same pictures in one run.

The pictures are those of the synthetic camera (optics.py). Every hand takes a few pictures of codes that follow each
other; ours begins anew with every hand. Times are of the processor, one thread each.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import zxingcpp

from undercroft_protocol.qr.capacity import capacity_digits
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.eye import Eye, best_eye, eye_by_name
from undercroft_protocol.qr.picture import Picture

from .fetched import lend_zbar
from .goal_table import Goal, show
from .optics import Image, Optics, as_array, as_picture, screen_image

SHOTS: Final = 3
"""Pictures that one hand takes."""
VERSIONS: Final = (5, 10, 15, 20, 25, 30, 35, 40)
OURS, PLAIN, ZBAR, OPENCV = "ours", "zxing-cpp", "pyzbar", "OpenCV"
_DOTS_HIGH: Final = 1080
"""Of the screen that shows the code."""


class PlainZxing:
    """zxing-cpp as it comes: the whole picture, its defaults."""

    def look(self, picture: Picture) -> list[str]:
        pixels = zxingcpp.ImageView(picture.grey, picture.width, picture.height, zxingcpp.ImageFormat.Lum)  # type: ignore[arg-type]
        only = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
        return [code.text for code in zxingcpp.read_barcodes(pixels, formats=only)]


class PlainOpenCv:
    """The better one of OpenCV's readers."""

    def __init__(self) -> None:
        self._detector = cv2.QRCodeDetectorAruco()

    def look(self, picture: Picture) -> list[str]:
        text, _, _ = self._detector.detectAndDecode(as_array(picture))
        return [text] if text else []


@dataclass(slots=True)
class Tally:
    """What one reader did."""

    read: int = 0
    of: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.share:.0%} in {self.milliseconds:.1f} ms"

    @property
    def share(self) -> float:
        """Of the pictures, those whose code was read."""
        return self.read / self.of

    @property
    def milliseconds(self) -> float:
        """Of one picture, whether it was read or not."""
        return self.seconds / self.of * 1000

    def add(self, other: Tally) -> None:
        """The pictures of the other as well."""
        self.read, self.of, self.seconds = self.read + other.read, self.of + other.of, self.seconds + other.seconds


def goals(*, quick: bool) -> list[Goal]:
    """The rows G7 and G8."""
    cv2.setNumThreads(1)
    hands = 2 if quick else 24
    peers = _peers()
    return [
        _medium(peers, hands=1 if quick else 6),
        *(_hard(peers, size, version, hands=hands) for size, version in HARD),
    ]


HARD: Final = (((1280, 720), 20), ((1920, 1080), 27))
_WANTED: Final = {20: 0.80, 27: 0.85}
_MOST_MILLISECONDS: Final = 40.0


def _peers() -> tuple[str, ...]:
    return (OURS, PLAIN, ZBAR, OPENCV) if lend_zbar() is not None else (OURS, PLAIN, OPENCV)


def _medium(readers: tuple[str, ...], *, hands: int) -> Goal:
    total = {name: Tally() for name in readers}
    worst: dict[str, float] = dict.fromkeys(readers, 1.0)
    for version in VERSIONS:
        for name, tally in compare(readers, "medium", (1280, 720), version, hands=hands).items():
            total[name].add(tally)
            worst[name] = min(worst[name], tally.share)
    ours, plain = total[OURS], total[PLAIN]
    slower = ours.seconds / plain.seconds
    told = f"{ours.share:.0%}, {ours.milliseconds:.1f} ms: {slower:.2f}x zxing-cpp's time"
    met = ours.read == ours.of and slower <= 1.2
    if ZBAR in total:
        faster = total[ZBAR].seconds / ours.seconds
        told += f", {faster:.0f}x faster than pyzbar"
        met = met and faster >= 5
    others = ", ".join(f"{name} {tally} (worst {worst[name]:.0%})" for name, tally in total.items() if name != OURS)
    what = f"read, medium 720p, v5 to v40, {ours.of} pictures"
    return Goal("G7", what, "100 %, <= 1.2x zxing-cpp's time, >= 5x faster than pyzbar", "", others, told, met)


def _hard(readers: tuple[str, ...], size: tuple[int, int], version: int, *, hands: int) -> Goal:
    total = compare(readers, "hard", size, version, hands=hands)
    ours = total[OURS]
    wanted = _WANTED[version]
    others = ", ".join(f"{name} {tally}" for name, tally in total.items() if name != OURS)
    what = f"read, hard {size[1]}p, v{version}, {ours.of} pictures"
    asked = f">= {wanted:.0%}, mean <= {_MOST_MILLISECONDS:.0f} ms"
    met = ours.share >= wanted and ours.milliseconds <= _MOST_MILLISECONDS
    return Goal("G8", what, asked, "", others, str(ours), met)


def compare(
    readers: tuple[str, ...], profile: str, size: tuple[int, int], version: int, *, hands: int
) -> Mapping[str, Tally]:
    """Every reader on the same pictures of full codes of one version."""
    total = {name: Tally() for name in readers}
    for hand in range(hands):
        eyes = {name: _eye(name) for name in readers}
        for shown, image in _shots(profile, size, version, seed=1000 * version + hand):
            picture = as_picture(image)
            for name, eye in eyes.items():
                total[name].add(_look(eye, picture, shown))
    return total


def _shots(profile: str, size: tuple[int, int], version: int, *, seed: int) -> Iterator[tuple[str, Image]]:
    """The text shown and the camera's picture of it; the code before is in the ghost."""
    rng = random.Random(seed)
    optics = Optics(profile, width=size[0], height=size[1], seed=seed)
    before: Image | None = None
    for shot in range(SHOTS + 1):
        text = "".join(rng.choices("0123456789", k=capacity_digits(version)))
        code = draw(text, version=version)
        scale = _DOTS_HIGH // (code.size + 8)
        screen = screen_image([code], width=(code.size + 8) * scale, height=(code.size + 8) * scale)
        if shot:
            yield text, optics.shoot(screen, before=before)
        before = screen


def _eye(name: str) -> Eye | PlainZxing | PlainOpenCv:
    if name == OURS:
        return best_eye()
    return PlainZxing() if name == PLAIN else PlainOpenCv() if name == OPENCV else eye_by_name("pyzbar")


def _look(eye: Eye | PlainZxing | PlainOpenCv, picture: Picture, shown: str) -> Tally:
    began = time.process_time()
    sights = eye.look(picture)
    seconds = time.process_time() - began
    texts = [one if isinstance(one, str) else one.text for one in sights]
    if any(text != shown for text in texts):
        raise AssertionError("a reader gave a text that was not shown")
    return Tally(1 if texts else 0, 1, seconds)


if __name__ == "__main__":
    show(goals(quick=False))
