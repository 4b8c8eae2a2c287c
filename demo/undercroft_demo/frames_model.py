"""How many frames a reader has to be shown who joins somewhere and loses some, for each way to cut a payload.

What is lost is drawn from a seed and is the same for all schemes of a trial. Ours takes the format's own coefficients,
UR its own fragment sets; contents, which change nothing in the count, are left out.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from undercroft_protocol.qr.capacity import capacity_alphanumeric, capacity_bytes
from undercroft_protocol.qr.fast.symbol import coefficients
from undercroft_protocol.qr.ur.fountain import indexes
from undercroft_protocol.qr.ur.part import Part, whole_text

from .peeling import as_set, parts_needed
from .ranks import bits_needed, bytes_needed

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
        return _shown_with(self.count, trial)


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
        rows = list(takewhile(lambda at: start + at < self.count, trial.read()))
        if len(rows) == self.count:
            return rows[-1] + 1
        # A row that is there takes its unknown out of all sums.
        lacking = np.delete(np.arange(self.count), [start + at for at in rows])
        mixtures = (self._weights(start + at)[lacking].tobytes() for at in islice(trial.read(), len(rows), None))
        return _shown_with(len(rows) + bytes_needed(mixtures, len(lacking)), trial)

    def _weights(self, sequence: int) -> NDArray[np.uint8]:
        return np.frombuffer(coefficients(self.session, self.count, sequence), np.uint8)


class Ur:
    """The standard stream of UR parts, for a decoder: the reference's, or a Gaussian one."""

    def __init__(self, count: int, data: bytes, *, gaussian: bool) -> None:
        self.count = count
        self._checksum = zlib.crc32(data)
        self._gaussian = gaussian
        self._sets: dict[int, int] = {}

    def shown(self, trial: Trial) -> int:
        needed = bits_needed if self._gaussian else parts_needed
        return _shown_with(needed(self.parts(trial), self.count), trial)

    def parts(self, trial: Trial) -> Iterator[int]:
        """The parts that are read, each the set of its fragments."""
        start = trial.start(ROUNDS * self.count)
        return (self._part(start + at + 1) for at in trial.read())

    def _part(self, sequence: int) -> int:
        found = self._sets.get(sequence)
        if found is None:
            found = self._sets[sequence] = as_set(indexes(sequence, self.count, self._checksum))
        return found


def _shown_with(read: int, trial: Trial) -> int:
    """Frames shown until so many of them are read."""
    return next(islice(trial.read(), read - 1, None)) + 1


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
