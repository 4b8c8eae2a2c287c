"""Two link machines on a line in simulated time, with every fault that a line can have, seeded."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from undercroft_protocol.errors import LinkError
from undercroft_protocol.serial import payload
from undercroft_protocol.serial.frame import NO_TAG, Frame, FrameReader, Kind, encode_frame
from undercroft_protocol.serial.handshake import NOBODY, tag_of
from undercroft_protocol.serial.machine import LinkMachine


def incompressible(size: int) -> bytes:
    """The same random bytes each time."""
    return random.Random(size).randbytes(size)


@dataclass
class Clock:
    """Seconds that pass when the test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Faults:
    """Chances: of flipping a bit and of dropping, per byte; of repeating, swapping and losing, per chunk."""

    flip: float = 0.0
    drop: float = 0.0
    repeat: float = 0.0
    swap: float = 0.0
    lose: float = 0.0
    chunk: int | None = None
    """Largest chunk in bytes; None: as written. With `repeat` or `swap`, chunks are frames."""


@dataclass
class Way:
    """One direction of a line."""

    faults: Faults
    rng: random.Random
    held: list[bytes] = field(default_factory=list)

    def carry(self, data: bytes) -> list[bytes]:
        """The chunks that arrive at the other end of this direction, now."""
        arriving: list[bytes] = []
        for chunk in self._chunks(data):
            if self.rng.random() < self.faults.lose:
                continue
            spoilt = self._spoil(chunk)
            if self.rng.random() < self.faults.swap:
                self.held.append(spoilt)
                continue
            arriving += [spoilt, *self.held]
            self.held.clear()
            if self.rng.random() < self.faults.repeat:
                arriving.append(spoilt)
        return arriving

    def _chunks(self, data: bytes) -> list[bytes]:
        if self.faults.repeat or self.faults.swap or self.faults.lose:
            return [frame + b"\0" for frame in data.split(b"\0") if frame]
        size = self.faults.chunk or len(data) or 1
        return [data[start : start + size] for start in range(0, len(data), size)]

    def _spoil(self, data: bytes) -> bytes:
        if not self.faults.flip and not self.faults.drop:
            return data
        out = bytearray()
        for byte in data:
            if self.rng.random() < self.faults.drop:
                continue
            hit = self.rng.random() < self.faults.flip
            out.append(byte ^ 1 << self.rng.randrange(8) if hit else byte)
        return bytes(out)


class Bench:
    """Sides 0 and 1 on one line. What they deliver is gathered in `got`, what they raise in `raised`."""

    def __init__(self, *, seed: int = 0, faults: Faults | None = None, limits: tuple[int, int] | None = None) -> None:
        self.rng = random.Random(seed)
        self.clock = Clock()
        self.limits = limits or (4 * 1024 * 1024, 4 * 1024 * 1024)
        self.ways = [Way(faults or Faults(), self.rng) for _ in range(2)]
        self.sides = [self.machine(0), self.machine(1)]
        self.got: list[list[bytes]] = [[], []]
        self.raised: list[list[LinkError]] = [[], []]
        self.tap: Callable[[int, bytes], None] = lambda side, data: None
        """Sees every write, with the side that wrote it."""

    def machine(self, side: int) -> LinkMachine:
        """A machine as it is after a start."""
        return LinkMachine(clock=self.clock, entropy=self.rng.randbytes, max_message_bytes=self.limits[side])

    def restart(self, side: int) -> None:
        """The process of one side dies and comes back, knowing nothing."""
        self.sides[side] = self.machine(side)

    def step(self, side: int) -> bool:
        """Let one side look at its timers, write once, and the other one read it; False if it had nothing to say."""
        machine = self.sides[side]
        try:
            machine.poll()
        except LinkError as error:
            self.raised[side].append(error)
        written = machine.outgoing()
        self.tap(side, written)
        for chunk in self.ways[side].carry(written):
            self.sides[1 - side].feed(chunk)
        for index in (0, 1):
            self.got[index] += self.sides[index].messages()
        return bool(written)

    def run(self, *, seconds: float = 60.0, until: Callable[[], bool] | None = None) -> None:
        """Run until both sides are silent with nothing due, `until` holds, or simulated `seconds` are over."""
        end = self.clock.now + seconds
        while self.clock.now < end and not (until and until()):
            moved = [self.step(0), self.step(1)]
            if any(moved):
                self.clock.now += 0.001
                continue
            deadlines = [time for side in self.sides if (time := side.next_deadline()) is not None]
            if not deadlines:
                return
            self.clock.now = max(self.clock.now + 0.001, min(deadlines))

    def settled(self) -> bool:
        """Nothing is left to send."""
        return all(side.idle for side in self.sides)


class Impostor:
    """A peer of `machine` whose frames the test writes by hand."""

    session = b"impostor"

    def __init__(self, machine: LinkMachine) -> None:
        self.machine = machine
        self.reader = FrameReader()
        self.greet(NOBODY)
        hello = next(frame for frame in self.heard() if frame.kind is Kind.HELLO)
        self.theirs = payload.HELLO.unpack(hello.payload)[1]
        self.reader.tags = (tag_of(self.theirs, self.session), NO_TAG)
        self.greet(self.theirs)
        self.heard()

    def greet(self, other: bytes) -> None:
        self.say(Kind.HELLO, 0, payload.HELLO.pack(payload.LINK_VERSION, self.session, other, 1), NO_TAG)

    @property
    def tag(self) -> bytes:
        return tag_of(self.session, self.theirs)

    def say(self, kind: Kind, sequence: int, content: bytes, tag: bytes | None = None) -> None:
        self.machine.feed(encode_frame(Frame(kind, self.tag if tag is None else tag, sequence, content)))

    def heard(self) -> list[Frame]:
        frames: list[Frame] = []
        while data := self.machine.outgoing():
            frames += self.reader.feed(data)
        return frames
