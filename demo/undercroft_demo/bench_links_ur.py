"""Uniform Resources: what our sender spares existing decoders (G5), what our decoder spares us (G6).

Existing wallets run the reference's peeling decoder (`peeling`, a model compared with npm's in the tests). A reader
joins anywhere in the first four rounds of a stream and loses frames independently; frames shown are counted in units of
K, the number of fragments, as medians.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain, count, cycle
from pathlib import Path
from statistics import median
from typing import Final

from undercroft_protocol.qr.stream import Kind
from undercroft_protocol.qr.ur import UrSink, UrSource
from undercroft_protocol.qr.ur.chooser import sequences
from undercroft_protocol.qr.ur.fountain import degree, indexes

from .goal_table import Goal, show
from .peeling import as_set, parts_needed
from .ranks import bits_needed

LOSSES: Final = (0.0, 0.1, 0.3, 0.5)
GOALS: Final = (1.35, 1.5, 1.95, 2.65)
"""Frames shown / K at each loss, from 85 to 200 fragments."""

_ROUNDS: Final = 4
_TRIALS: Final = 200
_QUICK_TRIALS: Final = 24
_STREAMS: Final = 4
_REPOSITORY: Final = Path(__file__).resolve().parents[2]
_NODE_SECONDS: Final = 120


def standard(_fragments: int, _checksum: int) -> Iterator[int]:
    """The reference's sender: one sequence number after the other."""
    return count(1)


def cyclic(fragments: int, _checksum: int) -> Iterator[int]:
    """The fragments round and round, as many apps show them."""
    return cycle(range(1, fragments + 1))


def jade(fragments: int, _checksum: int) -> Iterator[int]:
    """A third more parts than fragments, round and round."""
    return cycle(range(1, fragments + math.ceil(fragments / 3) + 1))


def soliton(fragments: int, checksum: int) -> Iterator[int]:
    """The fragments, then numbers whose degrees follow a robust soliton distribution (Luby; c 0.05, delta 0.5)."""
    spike_area = 0.05 * math.log(fragments / 0.5) * math.sqrt(fragments)
    spike = min(fragments, round(fragments / spike_area))
    weight = [0.0, 1 / fragments, *(1 / (d * (d - 1)) for d in range(2, fragments + 1))]
    for d in range(1, spike):
        weight[d] += spike_area / (d * fragments)
    weight[spike] += max(0.0, spike_area * math.log(spike_area / 0.5) / fragments)
    chance = [d * one for d, one in enumerate(weight)]
    most, rng = max(chance), random.Random(checksum)
    picked = (n for n in count(fragments + 1) if rng.random() * most < chance[degree(n, fragments, checksum)])
    return chain(range(1, fragments + 1), picked)


SENDERS: Final[dict[str, Callable[[int, int], Iterator[int]]]] = {
    "standard": standard,
    "cycle": cyclic,
    "Jade": jade,
    "soliton": soliton,
    "ours": sequences,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One sender's stream at a number of fragments; ``gaussian``: to our decoder instead of the reference's."""

    sender: str
    fragments: int
    trials: int
    gaussian: bool = False


class _Stream:
    """The parts of one stream, each the set of its fragments, computed once."""

    def __init__(self, case: Case, checksum: int) -> None:
        self._numbers = SENDERS[case.sender](case.fragments, checksum)
        self._fragments = case.fragments
        self._checksum = checksum
        self._parts: list[int] = []

    def __getitem__(self, at: int) -> int:
        while len(self._parts) <= at:
            self._parts.append(as_set(indexes(next(self._numbers), self._fragments, self._checksum)))
        return self._parts[at]


def measure(case: Case) -> tuple[float, ...]:
    """Frames shown / K until it is whole, the median at each loss."""
    rng = random.Random(f"{case.fragments}")
    streams = [_Stream(case, rng.getrandbits(32)) for _ in range(_STREAMS)]
    return tuple(median(_shown(case, streams[at % _STREAMS], loss, at) for at in range(case.trials)) for loss in LOSSES)


def _shown(case: Case, stream: _Stream, loss: float, trial: int) -> float:
    """The same seed joins and loses the same frames of every sender."""
    rng = random.Random(f"{case.fragments} {loss} {trial}")
    start = rng.randrange(_ROUNDS * case.fragments)
    read: list[int] = []

    def parts() -> Iterator[int]:
        for at in count(start):
            if rng.random() >= loss:
                read.append(at)
                yield stream[at]

    needed = (bits_needed if case.gaussian else parts_needed)(parts(), case.fragments)
    return (read[needed - 1] + 1 - start) / case.fragments


def _text(figures: Sequence[float]) -> str:
    return " / ".join(f"{one:.2f}" for one in figures)


def _from_the_start(fragments: int) -> int:
    """Frames that the reference's decoder needs of our stream, from the first on and without loss."""
    stream = _Stream(Case("ours", fragments, 1), 0x5EED)
    return parts_needed((stream[at] for at in count()), fragments)


def _sent(results: dict[Case, tuple[float, ...]], sizes: Sequence[int], trials: int) -> list[Goal]:
    goals = []
    for fragments in sizes:
        by_name = {name: results[Case(name, fragments, trials)] for name in SENDERS}
        peers = "; ".join(f"{name} {_text(by_name[name])}" for name in SENDERS if name != "ours")
        asked = 85 <= fragments <= 200
        met = all(mine <= goal for mine, goal in zip(by_name["ours"], GOALS, strict=True)) if asked else None
        what = f"UR sent to existing decoders, K={fragments}: frames/K at 0/10/30/50 %"
        goal = f"<= {_text(GOALS)}" if asked else ""
        goals.append(Goal("G5", what, goal, "1.00 / 1.11 / 1.43 / 2.00", peers, _text(by_name["ours"]), met))
    needed = {fragments: _from_the_start(fragments) for fragments in sizes}
    what = "UR sent, joined at frame 1, no loss: frames"
    met = all(fragments == frames for fragments, frames in needed.items())
    ours = ", ".join(f"{frames} of K={fragments}" for fragments, frames in needed.items())
    return [*goals, Goal("G5", what, "K", "K", "", ours, met)]


def _received(results: dict[Case, tuple[float, ...]], sizes: Sequence[int], trials: int) -> list[Goal]:
    goals = []
    for fragments in sizes:
        ours = results[Case("standard", fragments, trials, gaussian=True)]
        theirs = results[Case("standard", fragments, trials)]
        what = f"UR received, standard stream, K={fragments}: frames/K at 0/10/30/50 %"
        asked = fragments >= 85
        goal, met = ("<= 1.10 without loss", ours[0] <= 1.1) if asked else ("", None)
        limit, peers = "1.00 / 1.11 / 1.43 / 2.00", f"reference {_text(theirs)}"
        goals.append(Goal("G6", what, goal, limit, peers, _text(ours), met))
    return goals


def _timed(size: int, fragment_bytes: int) -> Goal:
    """The longest call for a message that is joined after its first K parts; npm's decoder gets the same texts."""
    data = random.Random(size).randbytes(size)
    source = UrSource(Kind.PSBT, data, fragment_bytes=fragment_bytes)
    texts = (source.part(number).text() for number in count(source.count + 1))
    sink, seconds, shown = UrSink(limit=size), [], []
    for text in texts:
        shown.append(text)
        start = time.thread_time()
        payload = sink.take(text)
        seconds.append(time.thread_time() - start)
        if payload is not None:
            break
    assert payload is not None and payload.data == data, "a wrong byte"
    shown += [source.part(source.count + len(shown) + more).text() for more in range(1, 3 * source.count)]
    what = f"UR received, {size // 1000} kB, K={source.count}: longest call / all, ms"
    ours = f"{1000 * max(seconds):.1f} / {1000 * sum(seconds):.0f}"
    return Goal("G6", what, "<= 20 ms", "", _npm(shown), ours, max(seconds) <= 0.020)


def _npm(texts: Sequence[str]) -> str:
    node, packages = shutil.which("node"), _REPOSITORY / ".tools" / "interop"
    if node is None or not (packages / "node_modules").is_dir():
        return "npm bc-ur: not here"
    done = subprocess.run(
        [node, str(_REPOSITORY / "tests" / "interop" / "run.mjs"), str(packages)],
        input=json.dumps([{"do": "ur.timed", "texts": list(texts)}]),
        capture_output=True,
        text=True,
        timeout=_NODE_SECONDS,
        check=True,
    )
    answer = json.loads(done.stdout)[0]["result"]
    return f"npm bc-ur {answer['longest']:.1f} / {answer['total']:.0f}, after {answer['taken']} parts"


def goals(*, quick: bool) -> list[Goal]:
    """The rows of G5 and G6."""
    trials = _QUICK_TRIALS if quick else _TRIALS
    sizes = (10, 85) if quick else (10, 25, 85, 137, 200)
    cases = [Case(name, fragments, trials) for fragments in reversed(sizes) for name in SENDERS]
    cases += [Case("standard", fragments, trials, gaussian=True) for fragments in sizes]
    with ProcessPoolExecutor(2) as pool:
        results = dict(zip(cases, pool.map(measure, cases), strict=True))
    rows = _sent(results, sizes, trials) + _received(results, sizes, trials)
    return [*rows, _timed(50_000, 1021)] if quick else [*rows, _timed(200_000, 589), _timed(200_000, 1021)]


if __name__ == "__main__":
    import sys

    show(goals(quick="--quick" in sys.argv))
