"""Showing codes at the pace that a camera follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .draw import draw_alike, fitting_version
from .screen import Screen
from .stream import SymbolSource


@dataclass(frozen=True, slots=True)
class QrSettings:
    """What is shown: the QR version (5 to 40), how many codes stand side by side, and how many pictures a second.

    Half the rate of the camera that reads them loses nothing: 10 to 15 for one of 30 pictures a second.
    """

    version: int = 20
    codes: int = 1
    pictures_per_second: int = 10

    def __post_init__(self) -> None:
        if not (5 <= self.version <= 40 and 1 <= self.codes <= 12 and 1 <= self.pictures_per_second <= 60):
            raise ValueError("version 5 to 40, 1 to 12 codes, 1 to 60 pictures a second")


class Player:
    """Puts the codes of one source after the other on a screen. ``shown`` counts the codes of the present one."""

    def __init__(self, screen: Screen, *, settings: QrSettings, clock: Callable[[], float]) -> None:
        self._screen = screen
        self._settings = settings
        self._clock = clock
        self._source: SymbolSource | None = None
        self._due: float | None = None
        self._version = 0
        self.shown = 0

    @property
    def settings(self) -> QrSettings:
        """How it shows."""
        return self._settings

    @property
    def source(self) -> SymbolSource | None:
        """What is being shown, or would be after `resume`."""
        return self._source

    def play(self, source: SymbolSource) -> None:
        """Show this from now on; its first picture at once. Raises QrSizeError, ScreenError."""
        self._source, self._version, self.shown = source, 0, 0
        self._due = self._clock()
        self.turn()

    def resume(self) -> None:
        """Go on with the source that was paused, if there is one."""
        if self._source is not None and self._due is None:
            self._due = self._clock()

    def pause(self) -> None:
        """Blank the screen, and keep the source. Raises ScreenError."""
        if self._due is not None:
            self._due = None
            self._screen.blank()

    def stop(self) -> None:
        """Blank the screen and forget the source. Raises ScreenError."""
        self.pause()
        self._source = None

    def turn(self) -> None:
        """Show the next picture if it is time. Raises QrSizeError, ScreenError."""
        now = self._clock()
        if self._source is None or self._due is None or now < self._due:
            return
        # Copies of one and the same code side by side would only be smaller.
        number = min(self._settings.codes, self._source.count)
        texts = [self._source.next_symbol() for _ in range(number)]
        # No larger than they need to be, and never smaller again: a camera finds a code best where the last one was.
        self._version = max(self._version, *map(fitting_version, texts))
        self._screen.show(draw_alike(texts, version=self._version))
        self.shown += number
        period = 1 / self._settings.pictures_per_second
        # Pictures that are late are not made up for: shown in a rush, no camera would catch them.
        self._due = max(self._due + period, now + period / 2)

    def wait_seconds(self) -> float | None:
        """Seconds until `turn` must be called; None when nothing is shown."""
        return None if self._due is None else max(0.0, self._due - self._clock())
