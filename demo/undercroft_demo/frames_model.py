"""How many frames a reader has to be shown who joins somewhere and loses some, for each way to cut a payload.

What is lost is drawn from a seed and is the same for all schemes of a trial. Ours runs the format's own elimination
over its own coefficients, UR its own fragment sets; contents, which change nothing in the count, are left out.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from undercroft_protocol.qr.capacity import capacity_alphanumeric, capacity_bytes
from undercroft_protocol.qr.fast.elimination import Elimination
from undercroft_protocol.qr.fast.symbol import coefficients
from undercroft_protocol.qr.ur.fountain import indexes
from undercroft_protocol.qr.ur.part import Part, whole_text
from undercroft_protocol.qr.ur.solver import Solver

from .peeling import PeelingDecoder

ROUNDS: Final = 4
"""A reader joins a stream without end anywhere in its first so many times K frames."""
_UR_TYPE: Final = "crypto-psbt"


@dataclass(frozen=True, slots=True)
class Trial:
    """``loss``: the chance that a frame is not read; ``seed``: which frames, and where the reader joins."""

    seed: int
    loss: float

    def start(self, frames: int) -> int:
        """Where the reader joins, below ``frames``."""
        return int(random.Random(f"start {self.seed}").random() * frames)

    def read(self) -> Iterator[int]:
        """The frames that are read, counted from where the reader joined."""
        rng = random.Random(f"{self.seed} {self.loss}")
        shown = 0
        while True:
            if rng.random() >= self.loss:
                yield shown
            shown += 1


class Scheme(Protocol):
    """One way to cut a payload into ``count`` parts at least."""

    @property
    def count(self) -> int: ...

    def shown(self, trial: Trial) -> int:
        """Frames shown from joining until the payload is whole."""


@dataclass(frozen=True, slots=True)
class AnySuffice:
    """The physical limit: any ``count`` frames."""

    count: int

    def shown(self, trial: Trial) -> int:
        return next(at for have, at in enumerate(trial.read(), 1) if have == self.count) + 1


@dataclass(frozen=True, slots=True)
class Cyclic:
    """The parts round and round: plain, or BBQr."""

    count: int

    def shown(self, trial: Trial) -> int:
        start = trial.start(self.count)
        seen: set[int] = set()
        for at in trial.read():
            seen.add((start + at) % self.count)
            if len(seen) == self.count:
                return at + 1
        raise AssertionError("a stream without end ended")


@dataclass(frozen=True, slots=True)
class Fast:
    """Ours."""

    count: int
    session: bytes

    def shown(self, trial: Trial) -> int:
        start = trial.start(ROUNDS * self.count)
        elimination = Elimination(self.count, 0)
        for at in trial.read():
            sequence = start + at
            if sequence < self.count:
                elimination.add_row(sequence, b"")
            else:
                elimination.add_sum(coefficients(self.session, self.count, sequence), b"")
            if elimination.rank == self.count:
                return at + 1
        raise AssertionError("a stream without end ended")


class Ur:
    """The standard stream of UR parts, for a decoder: the reference's, or a Gaussian one."""

    def __init__(self, count: int, data: bytes, *, gaussian: bool) -> None:
        self.count = count
        self._checksum = zlib.crc32(data)
        self._gaussian = gaussian
        self._sets: dict[int, list[int]] = {}

    def shown(self, trial: Trial) -> int:
        start = trial.start(ROUNDS * self.count)
        take, is_whole = self._gauss() if self._gaussian else self._peeling()
        for at in trial.read():
            take(self._mixed(start + at + 1))
            if is_whole():
                return at + 1
        raise AssertionError("a stream without end ended")

    def _mixed(self, sequence: int) -> list[int]:
        found = self._sets.get(sequence)
        if found is None:
            found = self._sets[sequence] = indexes(sequence, self.count, self._checksum)
        return found

    def _gauss(self) -> tuple[Callable[[list[int]], None], Callable[[], bool]]:
        solver = Solver(self.count, 0)
        return (lambda mixed: solver.add(mixed, b"")), lambda: solver.rank == self.count

    def _peeling(self) -> tuple[Callable[[list[int]], None], Callable[[], bool]]:
        decoder = PeelingDecoder(self.count)
        return decoder.take, lambda: decoder.is_whole


def ur_fragment(size: int, version: int) -> int:
    """The largest fragment (bytes) of a PSBT of ``size`` bytes in a code of this version, also far into the stream."""
    most = capacity_alphanumeric(version)
    if len(whole_text(_UR_TYPE, bytes(size + 5))) <= most:
        return size + 5
    for fragment in range(most // 2, 0, -1):
        count = -(-size // fragment)
        if len(Part(_UR_TYPE, 2 * ROUNDS * count, count, size, 0xFFFFFFFF, bytes(fragment)).text()) <= most:
            return fragment
    raise ValueError(f"version {version} holds no part")


def limit_count(size: int, version: int) -> int:
    """Codes that ``size`` bytes fill in byte mode, with nothing around them."""
    return -(-size // capacity_bytes(version))
