"""Looking through a camera for payloads, and how far that is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from undercroft_protocol.errors import QrError

from .camera import Camera
from .collector import Collector
from .eye import Eye
from .picture import Picture
from .stream import Gathered, Payload

_RATE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What came through the camera so far: pictures, codes in them, how far the present payload is, new codes per
    second lately, what was wrong with the last code that could not be used, and whether two messages were seen under
    one header."""

    pictures: int
    codes: int
    gathered: Gathered
    symbols_per_second: float
    last_problem: QrError | None
    disputed: bool = False

    @property
    def missing(self) -> str:
        """What is missing, in words: ``17 of 24 codes``."""
        if self.pictures == 0:
            return "the camera gave no picture"
        have, need = self.gathered.have, self.gathered.need
        if need:
            return (
                f"{have} of {need} codes{'; parts of two messages were seen: show one alone' if self.disputed else ''}"
            )
        problem = "" if self.last_problem is None else f"; the last one: {self.last_problem.detail}"
        if self.codes == 0:
            return f"no code in {self.pictures} pictures{problem}"
        return f"no message in {self.codes} codes{problem}"


class Scanner:
    """Takes pictures and puts together what the codes in them carry; payloads of at most ``limit`` bytes."""

    def __init__(self, camera: Camera, eye: Eye, *, limit: int, clock: Callable[[], float]) -> None:
        self._camera = camera
        self._eye = eye
        self._clock = clock
        self._collector = Collector(limit=limit)
        self._pictures = 0
        self._codes = 0
        self._news: deque[tuple[float, int]] = deque()
        self._problem: QrError | None = None

    def look(self, *, timeout: float) -> list[Payload]:
        """Take one picture, waiting ``timeout`` seconds at most for it; the payloads that it made whole.

        Raises CameraError when the camera is gone.
        """
        picture = self._camera.picture(timeout=timeout)
        if picture is None:
            return []
        self._pictures += 1
        payloads = self._collector.take_picture(self._texts(picture))
        # Also after a picture without a code, or the rate would stay what it was when the last one was seen.
        self._note_rate()
        return payloads

    def forget(self) -> None:
        """What is shown from now on is new, also if it was read before."""
        self._collector.forget()

    @property
    def seen(self) -> Seen:
        """How far it is."""
        problem = self._collector.last_problem or self._problem
        return Seen(
            self._pictures, self._codes, self._collector.gathered, self._rate(), problem, self._collector.disputed
        )

    def _texts(self, picture: Picture) -> list[str]:
        try:
            sights = self._eye.look(picture)
        except QrError as error:
            # The library failed on this one picture; the next one may be read.
            self._problem = error
            return []
        self._codes += len(sights)
        return [sight.text for sight in sights]

    def _note_rate(self) -> None:
        now = self._clock()
        counts = self._collector.counts
        self._news.append((now, counts.symbols - counts.repeats))
        while now - self._news[0][0] > _RATE_SECONDS:
            self._news.popleft()

    def _rate(self) -> float:
        if len(self._news) < 2:
            return 0.0
        (first, before), (last, after) = self._news[0], self._news[-1]
        return (after - before) / (last - first) if last > first else 0.0
