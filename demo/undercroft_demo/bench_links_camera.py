"""G10: bytes per second from a screen through a synthetic rolling-shutter camera to the whole message.

Screen and camera run on clocks of their own, both virtual: the figures are those of a machine that keeps up, whatever
this one does meanwhile. Whether it would keep up is told beside: the processor's time for a picture against the
camera's 33 ms. A message of random bytes is shown already when the camera opens; the time runs from there to the end
of the picture that made it whole.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import cv2

from undercroft_protocol.qr.bbqr import BbqrSource
from undercroft_protocol.qr.capacity import capacity_alphanumeric, capacity_bytes
from undercroft_protocol.qr.collector import Collector
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.eye import best_eye
from undercroft_protocol.qr.fast import FastSource
from undercroft_protocol.qr.sheet import tight_picture
from undercroft_protocol.qr.stream import Kind, Payload, SymbolSource
from undercroft_protocol.qr.ur import UrSource

from .frames_model import ur_fragment
from .goal_table import Goal, show
from .optics import Image, Optics, as_array, as_picture
from .shutter import EXPOSURE_SECONDS, READOUT_SECONDS, row_shares

CAMERA: Final = 30.0
"""Pictures per second."""
DRIFT: Final = 1.0007
"""The screen's clock against the camera's."""
PROFILE: Final = "medium"
_MOST_SECONDS: Final = 120.0
_FORGOTTEN_SECONDS: Final = 0.08
"""What was shown so long ago gives no more light: a screen's picture after it has covered it."""
_SCREEN_PIXELS: Final = 2400
_FAINT: Final = 0.004


@dataclass(frozen=True, slots=True)
class Setup:
    """``codes`` of one ``version`` in ``columns``, ``rate`` pictures of them per second, a camera of ``width`` x
    ``height`` pixels."""

    codes: int
    columns: int
    version: int
    rate: float
    width: int
    height: int

    def __str__(self) -> str:
        many = "" if self.codes == 1 else f"{self.codes} x "
        return f"{many}v{self.version} at {self.rate:g}/s, {self.height}p"

    def limit(self, size: int) -> float:
        """Bytes per second for so many bytes: full codes in byte mode, the first ones in the camera's first picture,
        new ones in every second picture after it."""
        screens = math.ceil(size / (capacity_bytes(self.version) * self.codes))
        return size / ((screens - 1) * 2 / CAMERA + READOUT_SECONDS + EXPOSURE_SECONDS)


@dataclass(frozen=True, slots=True)
class Run:
    """One message: the bytes, the virtual seconds, the processor's milliseconds for a picture, the codes that were read
    of those that were to be seen."""

    size: int
    seconds: float
    milliseconds: float
    share: float

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return self.size / self.seconds


class Screen:
    """Shows what a source gives, on its own clock. Only what may still be seen is kept."""

    def __init__(self, source: SymbolSource, setup: Setup, *, phase: float) -> None:
        self._source, self._setup = source, setup
        self._next = phase / setup.rate - 1.0
        self._shown: list[tuple[float, Image]] = []

    def until(self, end: float, *, began: float) -> list[tuple[float, Image]]:
        """What was to be seen from ``began`` to ``end``, the oldest first, each with the time it was shown at."""
        while self._next < end:
            self._shown.append((self._next, self._draw()))
            self._next += DRIFT / self._setup.rate
        while len(self._shown) > 1 and self._shown[1][0] < began - _FORGOTTEN_SECONDS:
            del self._shown[0]
        return self._shown

    def _draw(self) -> Image:
        setup = self._setup
        codes = [draw(self._source.next_symbol(), version=setup.version) for _ in range(setup.codes)]
        scale = _SCREEN_PIXELS // (setup.columns * (codes[0].size + 8))
        return as_array(tight_picture(codes, scale=max(1, scale), columns=setup.columns))


def carry(setup: Setup, source: SymbolSource, size: int, *, seed: int) -> Run:
    """Show, shoot and read until the message is whole. Raises AssertionError when it never is."""
    rng = random.Random(seed)
    for _ in range(rng.randrange(source.count)):
        source.next_symbol()
    screen = Screen(source, setup, phase=rng.random())
    optics = Optics(PROFILE, width=setup.width, height=setup.height, seed=seed)
    eye, collector = best_eye(), Collector(limit=4 * 1024 * 1024)
    spent, codes, pictures = 0.0, 0, 0
    while pictures < _MOST_SECONDS * CAMERA:
        began = pictures / CAMERA
        end = began + READOUT_SECONDS + EXPOSURE_SECONDS
        shares = screen.until(end, began=began)
        picture = as_picture(_shoot(optics, shares, began))
        pictures += 1
        cpu = time.process_time()
        texts = [sight.text for sight in eye.look(picture)]
        payload: Payload | None = None
        for text in texts:
            payload = payload or collector.take(text)
        spent += time.process_time() - cpu
        codes += len(texts)
        if payload is not None:
            return Run(size, end, spent / pictures * 1000, codes / pictures / setup.codes)
    raise AssertionError(f"nothing came whole in {_MOST_SECONDS:.0f} s: {setup}")


def _shoot(optics: Optics, shown: list[tuple[float, Image]], began: float) -> Image:
    """One picture of what was shown while its rows were exposed; what is too faint to matter is left out."""
    shares = row_shares([when for when, _ in shown], began, optics.height)
    seen = [number for number in range(len(shown)) if shares[number].max() > _FAINT]
    return optics.shoot_mixed([shown[number][1] for number in seen], shares[seen])


Maker = Callable[[int, int, int], SymbolSource]
"""Of so many random bytes for codes of a version, from a seed."""


def fast(size: int, version: int, seed: int) -> SymbolSource:
    """Random bytes in our own format."""
    rng = random.Random(seed)
    return FastSource(rng.randbytes(size), version=version, session=rng.randbytes(4))


def bbqr(size: int, version: int, seed: int) -> SymbolSource:
    """Random bytes as BBQr, in full codes."""
    return BbqrSource(Kind.BYTES, random.Random(seed).randbytes(size), characters=capacity_alphanumeric(version))


def ur(size: int, version: int, seed: int) -> SymbolSource:
    """Random bytes as a UR, in full codes."""
    return UrSource(Kind.BYTES, random.Random(seed).randbytes(size), fragment_bytes=ur_fragment(size, version))


def measure(setup: Setup, make: Maker, size: int, *, trials: int) -> Run:
    """The run with the median rate."""
    runs = [carry(setup, make(size, setup.version, seed), size, seed=seed) for seed in range(trials)]
    return sorted(runs, key=lambda run: run.rate)[len(runs) // 2]


@dataclass(frozen=True, slots=True)
class _Row:
    """A set-up with what is asked of it in bytes per second (None: nothing); ``size`` of the message in bytes; peers at
    the rate at which wallets show them."""

    setup: Setup
    size: int
    asked: float | None
    peers: bool = False


_ROWS: Final = (
    _Row(Setup(1, 1, 27, 15, 1280, 720), 60_000, 20_000, peers=True),
    _Row(Setup(1, 1, 27, 10, 1280, 720), 60_000, None),
    _Row(Setup(1, 1, 27, 20, 1280, 720), 60_000, None),
    _Row(Setup(2, 2, 40, 15, 1280, 720), 180_000, 60_000),
    _Row(Setup(8, 4, 30, 15, 1920, 1080), 450_000, 150_000),
)
_PEERS: Final[Mapping[str, Maker]] = MappingProxyType({"BBQr": bbqr, "UR": ur})
_PEER_RATE: Final = 5.0
_AGAINST_BBQR: Final = 3.0


def goals(*, quick: bool) -> list[Goal]:
    """A row for each set-up: goodput, the processor's time for a picture, and whether that is soon enough."""
    cv2.setNumThreads(1)
    rows = [row for row in _ROWS if row.asked is not None] if quick else list(_ROWS)
    return [_goal(row, size=row.size // 4 if quick else row.size, trials=1 if quick else 3) for row in rows]


def _goal(row: _Row, *, size: int, trials: int) -> Goal:
    setup = row.setup
    ours = measure(setup, fast, size, trials=trials)
    soon = "keeps up" if ours.milliseconds <= 1000 / CAMERA else "does not keep up here"
    told = f"{ours.rate / 1000:.1f} kB/s; {ours.milliseconds:.1f} ms a picture ({soon}), {ours.share:.0%} of codes read"
    asked = "" if row.asked is None else f">= {row.asked / 1000:.0f} kB/s"
    met = None if row.asked is None else ours.rate >= row.asked
    others = ""
    if row.peers:
        slow = replace(setup, rate=_PEER_RATE)
        rates = {name: measure(slow, make, size, trials=trials).rate for name, make in _PEERS.items()}
        others = ", ".join(f"{name} at {_PEER_RATE:g}/s: {rate / 1000:.1f} kB/s" for name, rate in rates.items())
        told += f"; {ours.rate / rates['BBQr']:.1f}x BBQr"
        asked += f", >= {_AGAINST_BBQR:g}x BBQr"
        met = met and ours.rate >= _AGAINST_BBQR * rates["BBQr"]
    return Goal("G10", f"{setup}, {size} B", asked, f"{setup.limit(size) / 1000:.1f} kB/s", others, told, met)


if __name__ == "__main__":
    show(goals(quick=False))
