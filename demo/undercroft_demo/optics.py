"""A synthetic camera: what a camera would give of a screen that shows codes. Seeded; numpy and OpenCV.

It is a model, not a measurement of any camera: a screen's black level, its place, turn and perspective in the picture,
defocus, motion, uneven light, glare, a beat of the backlight and moire, the ghost of the picture shown before, sensor
noise, JPEG. The three profiles are set so that plain zxing-cpp reads about the share of pictures that the field notes
measured with another such model; the order of readers and their ratios carry over to real cameras, the shares do not.

``Optics`` is one camera in one hand: its pose wanders from picture to picture. A new seed is another hand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from undercroft_protocol.qr.picture import Matrix, Picture
from undercroft_protocol.qr.sheet import picture_of

Image = NDArray[np.uint8]
"""Grey, height x width."""

ROOM: Final = 40
"""What is around the screen, 0 to 255, in linear light."""
STEP: Final = 0.06
"""How far a hand wanders from one picture to the next, of its whole range."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How bad a camera is; each is an upper end, a seed draws below it."""

    turn_degrees: float
    perspective: float
    """Of the side of the screen's picture, for each corner."""
    blur_pixels: tuple[float, float]
    """Sigma of the defocus."""
    motion_pixels: float
    gradient: float
    """Share of the light that is missing at the dark end."""
    glare: float
    """Added light at the middle of a spot, of white."""
    ghost: float
    """Share of the picture shown before."""
    beat: float
    """Amplitude of the bands and of the moire, of white."""
    black: float
    """Light of a black pixel of the screen, of white."""
    noise: tuple[int, int]
    """Sigma at 720 rows, in steps of 255; every picture has its own (a camera in dim light turns its gain up), and
    more rows on the same sensor have smaller, noisier pixels."""
    quality: int
    """Of the JPEG."""
    fill: tuple[float, float]
    """Of the frame, as far as the nearer pair of its sides: how large the screen's picture is."""
    wanders: bool


PROFILES: Final = MappingProxyType(
    {
        "easy": Profile(2, 0.01, (0.3, 0.5), 0.0, 0.10, 0.0, 0.0, 0.01, 0.02, (2, 2), 92, (0.95, 0.95), wanders=False),
        "medium": Profile(
            10, 0.05, (0.5, 1.0), 0.5, 0.35, 0.0, 0.06, 0.03, 0.04, (2, 6), 85, (0.95, 0.95), wanders=True
        ),
        "hard": Profile(
            25, 0.10, (0.6, 1.6), 3.0, 0.50, 0.90, 0.18, 0.05, 0.06, (8, 36), 75, (0.88, 0.95), wanders=True
        ),
    }
)


def screen_image(codes: Sequence[Matrix], *, width: int, height: int) -> Image:
    """A screen of ``width`` x ``height`` pixels with the codes in a grid, as large as whole pixels allow.

    Raises QrSizeError when they do not fit.
    """
    return as_array(picture_of(codes, width=width, height=height))


def as_array(picture: Picture) -> Image:
    """A picture's pixels, height x width."""
    return np.frombuffer(picture.grey, np.uint8).reshape(picture.height, picture.width)


def as_picture(image: Image) -> Picture:
    """The other way."""
    return Picture(image.shape[1], image.shape[0], image.tobytes())


@lru_cache(maxsize=24)
def _noise(height: int, width: int, sigma: int) -> NDArray[np.int8]:
    """Noise for any picture of this size, with room to begin elsewhere each time."""
    random = np.random.default_rng(height * width)
    grains = random.normal(0.0, sigma, (height + 64, width + 64)).astype(np.float32)
    return np.clip(np.rint(grains), -127, 127).astype(np.int8)


@lru_cache(maxsize=8)
def _levels(black: float) -> Image:
    """Light of the screen (0 to 255, linear) for a pixel's value: gamma 2.2 over the black level."""
    values = np.linspace(0.0, 1.0, 256) ** 2.2
    return np.asarray(np.rint(255 * (black + (1 - black) * values)), np.uint8)


@lru_cache(maxsize=1)
def _sensor() -> Image:
    """The camera's own gamma: a pixel's value for linear light."""
    return np.asarray(np.rint(255 * np.linspace(0.0, 1.0, 256) ** (1 / 2.2)), np.uint8)


class Optics:
    """One camera. Pictures are ``width`` x ``height`` pixels, grey. Raises KeyError for an unknown profile."""

    def __init__(self, profile: str, *, width: int, height: int, seed: int) -> None:
        self.profile = PROFILES[profile]
        self.width, self.height = width, height
        self._random = np.random.default_rng(seed)
        self._pose = self._random.uniform(-1.0, 1.0, 11)
        """Turn, place (x, y) and eight offsets of corners, each -1 to 1 of the profile's range."""
        self._fill = float(self._random.uniform(*self.profile.fill))
        self._light = self._make_light()
        self._glare = self._make_glare()
        self._before: Image | None = None

    def shoot(self, screen: Image, *, before: Image | None = None) -> Image:
        """One picture of a screen. ``before``: what it showed earlier (default: what was shot last)."""
        return self.shoot_mixed([screen], np.ones((1, self.height), np.float32), before=before)

    def shoot_mixed(
        self, screens: Sequence[Image], shares: NDArray[np.float32], *, before: Image | None = None
    ) -> Image:
        """One picture in which every row is its own mixture of what was shown: ``shares`` has a line for each screen
        and a column for each row of the picture (a rolling shutter). All screens have one size."""
        self._wander()
        ghost = before if before is not None else self._before
        self._before = screens[-1]
        height, width = screens[0].shape
        corners = self._corners(width, height)
        seen: Any = None
        for screen, share in zip(screens, shares, strict=True):
            shown = self._with_ghost(screen, ghost if screen is screens[0] else screens[0])
            part = self._project(shown, corners)
            if len(screens) == 1:
                seen = part
            else:
                weighed = part * share[:, None]
                seen = weighed if seen is None else seen + weighed
        return self._develop(np.asarray(np.clip(seen, 0, 255), np.uint8))

    def _with_ghost(self, screen: Image, ghost: Image | None) -> Image:
        if not self.profile.ghost or ghost is None or ghost is screen or ghost.shape != screen.shape:
            return screen
        share = self._random.uniform(0.3, 1.0) * self.profile.ghost
        return np.asarray(cv2.addWeighted(screen, 1 - share, ghost, share, 0), np.uint8)

    def _wander(self) -> None:
        if self.profile.wanders:
            self._pose = np.clip(self._pose + self._random.normal(0.0, STEP, self._pose.shape), -1.0, 1.0)

    def _corners(self, width: int, height: int) -> NDArray[np.float32]:
        """Where the screen's corners fall in the picture: turned, bent, then as large as the frame allows."""
        profile = self.profile
        angle = math.radians(profile.turn_degrees * self._pose[0])
        square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64) * (width / 2, height / 2)
        square += profile.perspective * self._pose[3:].reshape(4, 2) * min(width, height) / 2
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        points = square @ turn
        low, high = points.min(axis=0), points.max(axis=0)
        frame = np.array([self.width, self.height], np.float64)
        scale = self._fill * float((frame / (high - low)).min())
        room = (frame - (high - low) * scale) / 2
        points = (points - (low + high) / 2) * scale + frame / 2 + room * self._pose[1:3] * 0.9
        return np.asarray(points, np.float32)

    def _project(self, screen: Image, corners: NDArray[np.float32]) -> Image:
        """The screen's light where it falls on the sensor."""
        height, width = screen.shape
        share = float(np.linalg.norm(corners[1] - corners[0])) / width
        if share < 0.7:  # a sensor's pixel gathers the light of all that is in it
            factor = max(share * 1.2, 0.05)
            screen = np.asarray(cv2.resize(screen, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
            height, width = screen.shape
        light = cv2.LUT(screen, _levels(self.profile.black))
        edges = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - 0.5
        matrix = cv2.getPerspectiveTransform(edges, corners - 0.5)
        size = (self.width, self.height)
        return np.asarray(cv2.warpPerspective(light, matrix, size, flags=cv2.INTER_LINEAR, borderValue=ROOM), np.uint8)

    def _develop(self, light: Image) -> Image:
        """From light on the sensor to the picture that the camera gives."""
        profile, random = self.profile, self._random
        low, high = profile.blur_pixels
        seen: Any = cv2.GaussianBlur(light, (0, 0), float(random.uniform(low, high)))
        length = random.uniform(0.0, profile.motion_pixels)
        if length > 0.3:
            seen = cv2.filter2D(seen, -1, _streak(float(length), float(random.uniform(0, math.pi))))
        gain = self._light * self._beat()
        seen = cv2.multiply(seen, gain, dtype=cv2.CV_8U)
        if self._glare is not None:
            seen = cv2.add(seen, self._glare)
        seen = cv2.LUT(seen, _sensor())
        sigma = random.uniform(*profile.noise) * self.height / 720
        grains = _noise(self.height, self.width, round(sigma / 2) * 2)
        top, left = (int(one) for one in random.integers(0, 64, 2))
        seen = cv2.add(seen, grains[top : top + self.height, left : left + self.width], dtype=cv2.CV_8U)
        _, packed = cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, profile.quality])
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)

    def _make_light(self) -> NDArray[np.float32]:
        """Gradient and moire over the picture: they stay as long as the camera does."""
        profile, random = self.profile, self._random
        down, along = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        angle = random.uniform(0, 2 * math.pi)
        slope = along / self.width * math.cos(angle) + down / self.height * math.sin(angle)
        slope = (slope - slope.min()) / (slope.max() - slope.min())
        angle, period = random.uniform(0, math.pi), random.uniform(5.0, 40.0)
        wave = np.sin((along * math.cos(angle) + down * math.sin(angle)) * (2 * math.pi / period))
        light = (1 - profile.gradient * random.uniform(0.6, 1.0) * slope) * (1 + profile.beat * wave)
        return np.asarray(light, np.float32)

    def _make_glare(self) -> Image | None:
        profile, random = self.profile, self._random
        if not profile.glare:
            return None
        x, y = random.uniform(0.2, 0.8, 2) * (self.width, self.height)
        reach = random.uniform(0.08, 0.2) * self.height
        down, along = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        spot = np.exp(-((along - x) ** 2 + (down - y) ** 2) / (2 * reach**2))
        return np.asarray(np.rint(255 * profile.glare * random.uniform(0.3, 1.0) * spot), np.uint8)

    def _beat(self) -> NDArray[np.float32]:
        """Bands across the rows: the backlight's pulses against the shutter, elsewhere in every picture."""
        rows = np.arange(self.height, dtype=np.float32)
        phase = self._random.uniform(0, 2 * math.pi)
        bands = 1 + self.profile.beat * np.sin(rows * (2 * math.pi * 3 / self.height) + phase)
        return np.asarray(bands[:, None], np.float32)


@lru_cache(maxsize=256)
def _kernel(length: int, angle: int) -> NDArray[np.float32]:
    """A line of ``length`` tenths of a pixel at ``angle`` degrees, drawn eight times as large and shrunk."""
    size = 2 * math.ceil(length / 20) + 3
    large = np.zeros((size * 8, size * 8), np.float32)
    middle = size * 4
    x = math.cos(math.radians(angle)) * length * 0.4
    y = math.sin(math.radians(angle)) * length * 0.4
    ends = (round(middle - x), round(middle - y)), (round(middle + x), round(middle + y))
    cv2.line(large, *ends, color=1.0, thickness=8)
    kernel = cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _streak(length: float, angle: float) -> NDArray[np.float32]:
    return _kernel(round(length * 10), round(math.degrees(angle) / 5) * 5)
