"""What a scanner says of itself while it looks: the rate of new codes, and what keeps it from seeing one."""

from __future__ import annotations

import random

from protocol.qr.fast_examples import texts
from undercroft_protocol.errors import QrError
from undercroft_protocol.qr.eye import Sight
from undercroft_protocol.qr.picture import Picture
from undercroft_protocol.qr.scanner import Scanner

PICTURE = Picture(1, 1, b"\0")
LONG = random.Random(1).randbytes(30_000)
CORNERS = ((0, 0), (1, 0), (1, 1), (0, 1))


class Stage:
    """Camera, eye and clock: ten pictures a second, in each of them the texts that it is given."""

    def __init__(self) -> None:
        self.now = 0.0
        self.texts: list[str] = []
        self.problem: QrError | None = None
        self.scanner = Scanner(self, self, limit=100_000, clock=lambda: self.now)

    def fileno(self) -> None:
        """Nothing to wait for."""

    def close(self) -> None:
        """Nothing to close."""

    def picture(self, *, timeout: float) -> Picture:
        self.now += 0.1
        return PICTURE

    def look(self, picture: Picture) -> list[Sight]:
        if self.problem is not None:
            raise self.problem
        return [Sight(text, CORNERS) for text in self.texts]

    def shown(self, *several: str) -> float:
        """New codes per second after a picture of these."""
        self.texts = list(several)
        self.scanner.look(timeout=1)
        return self.scanner.seen.symbols_per_second


def test_the_rate_counts_new_codes_only() -> None:
    stage, several = Stage(), texts(LONG, count=100)
    rates = [stage.shown(text) for text in several[:40]]
    assert 9.9 < rates[-1] < 10.1
    rates = [stage.shown(text) for text in several[40:80] for _ in range(2)]
    assert 4.4 < rates[-1] < 5.6
    assert len(stage.scanner._news) < 25


def test_the_rate_falls_to_nothing_when_the_codes_are_gone() -> None:
    stage = Stage()
    for text in texts(LONG, count=30):
        stage.shown(text)
    assert [stage.shown() for _ in range(25)][-1] == 0


def test_a_reader_that_fails_on_every_picture_is_named() -> None:
    stage = Stage()
    stage.problem = QrError("OpenCV failed on a picture")
    for _ in range(3):
        stage.scanner.look(timeout=1)
    assert stage.scanner.seen.missing == "no code in 3 pictures; the last one: OpenCV failed on a picture"
