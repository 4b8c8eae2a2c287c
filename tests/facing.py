"""Two sides with a screen and a camera each, facing each other, in one thread and by a clock of their own."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from undercroft_protocol.errors import CameraError
from undercroft_protocol.qr.eye import eye_by_name
from undercroft_protocol.qr.link import QrLink, QrSettings
from undercroft_protocol.qr.picture import Matrix, Picture
from undercroft_protocol.qr.sheet import picture_of
from undercroft_protocol.qr.stream import Payload

WIDTH, HEIGHT = 400, 260
NOTHING = Picture(WIDTH, HEIGHT, b"\xff" * (WIDTH * HEIGHT))
FRAME_SECONDS = 1 / 30


class Pane:
    """A screen that remembers what it was told."""

    def __init__(self) -> None:
        self.codes: Sequence[Matrix] = ()
        self.shown = 0
        self.closed = False

    def show(self, codes: Sequence[Matrix]) -> None:
        self.codes = list(codes)
        self.shown += 1

    def blank(self) -> None:
        self.codes = ()

    def close(self) -> None:
        self.codes, self.closed = (), True


@dataclass
class Room:
    """What both sides share: the time, and what happens whenever some of it passes."""

    now: float = 0.0
    others: list[Callable[[], object]] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for other in self.others:
            other()


class Watching:
    """A camera that sees a pane; of its pictures the share ``loss`` is spoiled. Unplugged it raises."""

    def __init__(self, pane: Pane, room: Room | None, *, loss: float = 0.0, seed: int = 1) -> None:
        self.pane = pane
        self.room = room
        self.loss = loss
        self.unplugged = self.closed = False
        self._random = random.Random(seed)
        self._drawn: tuple[Sequence[Matrix], Picture] = ((), NOTHING)

    def fileno(self) -> int | None:
        return None

    def picture(self, *, timeout: float) -> Picture | None:
        if self.room is not None:
            self.room.pass_time(max(min(timeout, FRAME_SECONDS), 1e-6))
        if self.unplugged:
            raise CameraError("it was unplugged")
        if self._random.random() < self.loss or not self.pane.codes:
            return NOTHING
        if self._drawn[0] is not self.pane.codes:
            self._drawn = (self.pane.codes, picture_of(self.pane.codes, width=WIDTH, height=HEIGHT))
        return self._drawn[1]

    def close(self) -> None:
        self.closed = True


class Blind:
    """A camera that never gives a picture."""

    def __init__(self, room: Room) -> None:
        self.room = room

    def fileno(self) -> int | None:
        return None

    def picture(self, *, timeout: float) -> Picture | None:
        self.room.pass_time(max(timeout, 1e-6))
        return None

    def close(self) -> None:
        """Nothing to give back."""


@dataclass
class Facing:
    """``near`` is used blocking; ``far`` runs in an event loop and does with each payload what ``answer`` says."""

    room: Room
    near: QrLink
    far: QrLink
    near_pane: Pane
    far_pane: Pane
    near_camera: Watching
    heard: list[Payload] = field(default_factory=list)
    answer: Callable[[Payload], Payload | None] = lambda _: None

    def turn(self) -> None:
        for payload in self.far.pump():
            self.heard.append(payload)
            reply = self.answer(payload)
            if reply is not None:
                self.far.show(reply)


class Bytes:
    """Reproducible randomness: never the same four bytes twice."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __call__(self, size: int) -> bytes:
        return self._random.randbytes(size)


def face_to_face(*, settings: QrSettings | None = None, loss: float = 0.0) -> Facing:
    """Two links whose cameras see each other's screens."""
    chosen = settings or QrSettings(version=10)
    room, near_pane, far_pane = Room(), Pane(), Pane()
    eye = eye_by_name("zxing")
    near_camera = Watching(far_pane, room, loss=loss, seed=1)
    near = QrLink(near_camera, near_pane, eye, settings=chosen, clock=room, entropy=Bytes(1))
    far_camera = Watching(near_pane, None, loss=loss, seed=2)
    far = QrLink(far_camera, far_pane, eye, settings=chosen, clock=room, entropy=Bytes(2))
    facing = Facing(room, near, far, near_pane, far_pane, near_camera)
    room.others.append(facing.turn)
    return facing
