"""Frames until a payload is whole (G1 to G4): the fast format beside BBQr, plain cyclic codes, UR, and the limit.

The limit: as many codes as the bytes fill in byte mode, any of which suffice. G1 and G2 carry random bytes, which
nothing compresses; G3 and G4 a batch of PSBTs, each scheme with the compression that it has.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, islice
from statistics import median
from typing import Final

from undercroft_protocol.qr.bbqr import BbqrSource
from undercroft_protocol.qr.bbqr.coding import part_bytes
from undercroft_protocol.qr.bbqr.header import HEADER_CHARACTERS, Encoding
from undercroft_protocol.qr.capacity import LAST_VERSION, capacity_alphanumeric, capacity_bytes
from undercroft_protocol.qr.fast import FastSink, FastSource
from undercroft_protocol.qr.fast.symbol import payload_bytes
from undercroft_protocol.qr.stream import Kind
from undercroft_protocol.qr.ur import UrSource
from undercroft_protocol.qr.ur.solver import Solver
from undercroft_protocol.squeeze import squeeze

from .frames_model import ROUNDS, AnySuffice, Cyclic, Fast, Scheme, Trial, Ur, limit_count, ur_fragment
from .goal_table import Goal, show
from .payloads import psbt_batch

LOSSES: Final = (0.0, 0.1, 0.3, 0.5)
_TRIALS: Final = 200
_QUICK_TRIALS: Final = 20
_SESSION: Final = b"\x5a\x17\x03\xe9"
_FULL: Final = tuple((size, version) for version in (10, 20, 27, 40) for size in (1000, 10_000, 50_000, 200_000))
_QUICK: Final = tuple((size, version) for version in (20, 40) for size in (1000, 10_000, 50_000))
_FIRST_ASKED_VERSION: Final = 20
_BATCHES: Final = 8
_PEERS: Final = ("BBQr", "cyclic", "UR", "UR by Gauss")
_BATCH_PEERS: Final = ("BBQr Z", "UR")
_FEWER: Final = {"BBQr Z": (1.15, 1.9, 2.4), "UR": (3, 3, 3)}
_TAIL_FRAMES: Final = 2


@dataclass(frozen=True, slots=True)
class Counted:
    """Frames shown in each trial, by loss; ``count``: parts of the payload."""

    count: int
    shown: tuple[tuple[int, ...], ...]

    @classmethod
    def joined(cls, several: Sequence[Counted]) -> Counted:
        """The trials of several payloads as one; ``count`` is the largest."""
        losses = range(len(LOSSES))
        return cls(
            max(one.count for one in several),
            tuple(tuple(n for one in several for n in one.shown[at]) for at in losses),
        )

    @classmethod
    def of_losses(cls, several: Sequence[Counted]) -> Counted:
        """The trials of one payload at one loss after the other."""
        return cls(several[0].count, tuple(chain.from_iterable(one.shown for one in several)))

    def medians(self) -> tuple[float, ...]:
        return tuple(median(one) for one in self.shown)

    def p95(self) -> tuple[int, ...]:
        return tuple(sorted(one)[int(0.95 * (len(one) - 1))] for one in self.shown)

    def text(self) -> str:
        return _figures(self.medians())


@dataclass(frozen=True, slots=True)
class Case:
    """One scheme with one payload; the work that a process is given."""

    name: str
    size: int
    version: int
    trials: int
    batch: int | None = None
    """The seed of a batch of PSBTs; None for random bytes."""

    @property
    def place(self) -> str:
        return f"{self.size // 1000} kB v{self.version}"

    def data(self) -> bytes:
        """The payload."""
        return (
            random.Random(self.size).randbytes(self.size) if self.batch is None else psbt_batch(self.size, self.batch)
        )


@lru_cache(maxsize=1)
def scheme_of(case: Case) -> Scheme:
    """The scheme, cut by the same code that sends it."""
    data, characters = case.data(), capacity_alphanumeric(case.version)
    match case.name:
        case "limit":
            size = case.size if case.batch is None else len(squeeze(data))
            return AnySuffice(limit_count(size, case.version))
        case "ours":
            return Fast(FastSource(data, version=case.version, session=_SESSION).count, _SESSION)
        case "BBQr" | "BBQr Z":
            encoding = "Z" if case.name == "BBQr Z" else "2"
            return Cyclic(BbqrSource(Kind.PSBT, data, characters=characters, encoding=encoding).count)
        case "cyclic":
            return Cyclic(limit_count(case.size, case.version))
    fragment = ur_fragment(case.size, case.version)
    source = UrSource(Kind.PSBT, data, fragment_bytes=fragment)
    return Ur(source.count, data, gaussian=case.name == "UR by Gauss")


def count(case: Case, losses: Sequence[float] = LOSSES) -> Counted:
    """Run the trials of a case."""
    scheme = scheme_of(case)
    # Every batch has other trials than the one before.
    seeds = range((case.batch or 0) * case.trials, ((case.batch or 0) + 1) * case.trials)
    return Counted(scheme.count, tuple(tuple(scheme.shown(Trial(seed, loss)) for seed in seeds) for loss in losses))


def whole_codec_agrees(case: Case) -> None:
    """Send the payload through the codec itself; AssertionError for a wrong byte, or where it needs other frames than
    were counted."""
    data = case.data()
    scheme = scheme_of(case)
    for loss in LOSSES:
        trial = Trial(0, loss)
        source, sink = FastSource(data, version=case.version, session=_SESSION), FastSink(limit=case.size)
        for _ in range(trial.start(ROUNDS * source.count)):
            source.next_symbol()
        payload, shown = None, 0
        for at in trial.read():
            while shown <= at:
                text = source.next_symbol()
                shown += 1
            payload = sink.take(text)
            if payload is not None:
                break
        assert payload is not None and payload.data == data, "a wrong byte"
        assert shown == scheme.shown(trial), "the codec needs other frames than were counted"


def solver_agrees(case: Case) -> None:
    """Put the parts of a UR together by our decoder's own elimination; AssertionError where it needs other frames than
    were counted."""
    scheme = scheme_of(case)
    assert isinstance(scheme, Ur)
    for loss in LOSSES:
        trial = Trial(0, loss)
        solver = Solver(scheme.count, 0)
        for at, part in zip(trial.read(), scheme.parts(trial), strict=False):
            solver.add((index for index in range(scheme.count) if part >> index & 1), b"")
            if solver.rank == scheme.count:
                assert at + 1 == scheme.shown(trial), "the decoder needs other frames than were counted"
                break


def _share() -> Goal:
    """The least of all versions asked for, each scheme with all that it puts around the payload of a frame."""
    size = 50_000
    least = {"ours": 1.0, "BBQr": 1.0, "UR": 1.0}
    for version in range(_FIRST_ASKED_VERSION, LAST_VERSION + 1):
        body = capacity_alphanumeric(version) - HEADER_CHARACTERS
        frame = {
            "ours": payload_bytes(version),
            "BBQr": part_bytes(Encoding.BASE32, body),
            "UR": ur_fragment(size, version),
        }
        least = {name: min(share, frame[name] / capacity_bytes(version)) for name, share in least.items()}
    what = "payload per frame / byte capacity, least of v20-v40"
    peers = f"BBQr {least['BBQr']:.3f}; UR {least['UR']:.3f}"
    return Goal("G1", what, ">= 0.98", "1", peers, f"{least['ours']:.4f}", least["ours"] >= 0.98)


def _random_goals(results: Mapping[Case, Counted], cases: Sequence[Case]) -> list[Goal]:
    """A row for each size and version, and one for all of their tails."""
    goals, over = [], []
    for case in cases:
        limit, ours = results[replace(case, name="limit")], results[case]
        asked = case.version >= _FIRST_ASKED_VERSION
        met = all(mine <= 1.03 * least + 1 for mine, least in zip(ours.medians(), limit.medians(), strict=True))
        peers = "; ".join(f"{name} {results[replace(case, name=name)].text()}" for name in _PEERS)
        what = f"{case.place}: frames at 0/10/30/50 %"
        least, mine = (f"{one.text()} (K {one.count})" for one in (limit, ours))
        goals.append(Goal("G2", what, "<= 1.03 x limit + 1", least, peers, mine, met if asked else None))
        if asked:
            over.append((_tail(ours, limit), f"{case.place} (K {ours.count}, limit's {limit.count})"))
    return [*goals, _tail_goal("random bytes", over)]


def _batch_tails(results: Mapping[Case, Counted], cases: Sequence[Case]) -> Goal:
    """What the tails are for what is really sent: the limit is the batch's own bytes, as it is for all others."""
    over = []
    for case in cases:
        limit = results[Case("limit", case.size, case.version, case.trials)]
        over.append((_tail(results[replace(case, batch=0)], limit), case.place))
    return _tail_goal("PSBT batch, compressed", over)


def _tail(ours: Counted, limit: Counted) -> int:
    return max(mine - least for mine, least in zip(ours.p95(), limit.p95(), strict=True))


def _tail_goal(what: str, over: Sequence[tuple[int, str]]) -> Goal:
    bad = [f"{place}: +{frames}" for frames, place in over if frames > _TAIL_FRAMES]
    text = f"{len(over) - len(bad)} of {len(over)}" + (f"; not {', '.join(bad)}" if bad else "")
    return Goal("G2", f"{what}: cells with p95 <= the limit's + 2", "all", "", "", text, not bad)


def _batch_goals(
    number: str, results: Mapping[Case, Counted], cases: Sequence[Case], most: Sequence[int]
) -> list[Goal]:
    """One size and version over several batches: frames, and how many times fewer than the others'."""
    shown = {
        name: Counted.joined([results[replace(case, name=name)] for case in cases]).medians()[: len(most)]
        for name in ("limit", "ours", *_BATCH_PEERS)
    }
    ours = shown["ours"]
    squeezed = sum(len(squeeze(case.data())) for case in cases) / sum(case.size for case in cases)
    what = f"{cases[0].place}, PSBT batch (squeezed to {squeezed:.3f}): frames at 0/10/30 %"
    peers = "; ".join(f"{name} {_figures(shown[name])}" for name in _BATCH_PEERS)
    met = all(mine <= allowed for mine, allowed in zip(ours, most, strict=True))
    goals = [Goal(number, what, f"<= {_figures(most)}", _figures(shown["limit"]), peers, _figures(ours), met)]
    for name, asked in _FEWER.items():
        times = [theirs / mine for theirs, mine in zip(shown[name], ours, strict=True)]
        reached = all(one >= least for one, least in zip(times, asked, strict=True))
        text = " / ".join(f"{one:.2f}" for one in times)
        what = f"{cases[0].place}, PSBT batch: times fewer than {name}"
        goals.append(
            Goal(number, what, f">= {_figures(asked)}", "", "", text, reached)
            if number == "G3"
            else Goal(number, what, "", "", "", text, None)
        )
    return goals


def _figures(values: Sequence[float]) -> str:
    return " / ".join(f"{one:g}" for one in values)


def goals(*, quick: bool) -> list[Goal]:
    """G1 to G4. The full run takes some minutes of two cores, the quick one seconds."""
    trials = _QUICK_TRIALS if quick else _TRIALS
    cells = _QUICK if quick else _FULL
    plain = [Case("ours", size, version, trials) for size, version in cells]
    asked = [case for case in plain if case.version >= _FIRST_ASKED_VERSION]
    batches = 2 if quick else _BATCHES
    third = [Case("ours", 50_000, 27, trials // batches, batch) for batch in range(batches)]
    fourth = [Case("ours", 200_000, 40, trials // batches, batch) for batch in range(batches)]
    work = [replace(case, name=name) for case in plain for name in ("limit", "ours", *_PEERS)]
    work += [replace(case, name=name) for case in (*third, *fourth) for name in ("limit", "ours", *_BATCH_PEERS)]
    work += [replace(case, batch=0) for case in asked]
    # The longest first, so that no process is left alone with one of them.
    work = sorted(set(work), key=lambda case: (case.size / case.version, case.name), reverse=True)
    # By loss, as one case may take as long as half of all others.
    each = [(case, (loss,)) for case in work for loss in LOSSES]
    with ProcessPoolExecutor() as pool:
        found = pool.map(count, *zip(*each, strict=True))
        agreed = pool.map(whole_codec_agrees, [*plain, third[0], fourth[0]])
        also = pool.map(solver_agrees, [replace(case, name="UR by Gauss") for case in plain])
        results = {case: Counted.of_losses(list(islice(found, len(LOSSES)))) for case in work}
        # A wrong byte in any of them is raised here.
        list(chain(agreed, also))
    return [
        _share(),
        *_random_goals(results, plain),
        _batch_tails(results, asked),
        *_batch_goals("G3", results, third, (24, 27, 35)),
        *_batch_goals("G4", results, fourth, (48, 53, 70)),
    ]


def main() -> int:
    show(goals(quick="--quick" in sys.argv[1:]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
