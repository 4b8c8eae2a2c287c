"""The serial goals, G11 to G13: bytes over one line with noise, beside ZMODEM and stop-and-wait on the same line.

The line is `cable`, a process of its own with two pseudo-terminals, as fast as a UART at 115,200 baud and no faster;
what it carries without any protocol is measured beside the rest. All figures are shares of the line's rate (8N1, ten
bit times a byte). Every run has a seed; all that is compared meets the noise of the same seeds.

    python -m undercroft_demo.bench_links_serial [--quick]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from undercroft_protocol.squeeze import squeeze

from .cable import Cable
from .fetched import program
from .goal_table import Goal, show
from .line_peers import Job, NotFinishedError, bare, stop_and_wait, undercroft, zmodem
from .payloads import psbt_batch
from .wire import BITS_PER_BYTE, Faults

_SIZE: Final = 50_000
_LINE_GOAL: Final = 0.998
_PSBT_GOAL: Final = 1.40
_PSBT_RUNS: Final = 3
"""They can only be disturbed by this machine's other work."""
_BAUD: Final = 115_200
_SIDE_BY_SIDE: Final = 4
"""Runs at a time: they wait most of the time, and the line's own figure shows whether it is too many."""
_MOST_TIMES: Final = 3.0
"""A run that takes longer than so many times the ideal has not finished."""
_FRAME_OVERHEAD_BYTES: Final = 11
"""Of the ideal protocol that the limits are computed for: it resends what was spoilt, at once, and nothing else."""


@dataclass(frozen=True, slots=True)
class Case:
    """A line, and the share of its rate that is asked for, if any is; ``size`` bytes go over it.

    Where what single faults hit decides, one run says little: more bytes say more.
    """

    number: str
    name: str
    faults: Faults
    goal: float | None
    size: int = _SIZE

    @property
    def limit(self) -> float:
        """The best that frames of one size reach which are sent again when a byte of them is spoilt.

        Ours puts single wrong bits right, and may reach more where bits flip.
        """
        faults = self.faults
        spoilt = 1 - (1 - faults.bit_error_rate) ** 8 * (1 - faults.drop_rate) * (1 - faults.duplicate_rate)
        return max(
            size / (size + _FRAME_OVERHEAD_BYTES) * (1 - spoilt) ** (size + _FRAME_OVERHEAD_BYTES)
            for size in range(64, 2049, 4)
        )


CASES: Final = (
    Case("G11", "BER 0", Faults(), 0.985),
    Case("G11", "BER 1e-6", Faults(bit_error_rate=1e-6), 0.96),
    Case("G11", "BER 1e-5", Faults(bit_error_rate=1e-5), 0.92),
    Case("G11", "BER 1e-4", Faults(bit_error_rate=1e-4), 0.80),
    Case("G12", "16 ms latency", Faults(latency=0.016), 0.98),
    Case("G12", "drops 1e-4", Faults(drop_rate=1e-4), 0.92, 4 * _SIZE),
    Case("G12", "bytes doubled 1e-4", Faults(duplicate_rate=1e-4), None),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: runs of ours and of each peer for each case."""

    runs: int
    peer_runs: int
    psbt_sizes: tuple[int, ...]


QUICK: Final = Scale(runs=1, peer_runs=1, psbt_sizes=(_SIZE,))
FULL: Final = Scale(runs=7, peer_runs=2, psbt_sizes=(_SIZE, 2 * _SIZE))
PEERS: Final[Mapping[str, Callable[[Job], float]]] = {"ZMODEM": zmodem, "stop-and-wait": stop_and_wait}


@dataclass(frozen=True, slots=True)
class Runs:
    """The shares of the line's rate of the runs that finished, and how many there were."""

    shares: tuple[float, ...]
    count: int

    @property
    def median(self) -> float:
        """A run that did not finish counts as 0."""
        return statistics.median((*self.shares, *[0.0] * (self.count - len(self.shares))))

    @property
    def all_finished(self) -> bool:
        return len(self.shares) == self.count

    def __str__(self) -> str:
        finished = "" if self.all_finished else f" [{len(self.shares)}/{self.count} finished]"
        return f"{self.median:.3f}{finished}"


def share(carry: Callable[[Job], float], faults: Faults, payload: bytes) -> float | None:
    """One run over a line of its own: the share of its rate, None if it did not finish. Raises WrongBytesError."""
    ideal = BITS_PER_BYTE * len(payload) / faults.baud
    with tempfile.TemporaryDirectory() as folder, Cable.started(Path(folder), "line", faults) as cable:
        job = Job(cable.host_path, cable.appliance_path, faults.baud, payload, cap=_MOST_TIMES * ideal + 1)
        try:
            return ideal / carry(job)
        except NotFinishedError:
            return None


def goals(*, quick: bool) -> list[Goal]:
    """One row for each condition, and one for the line itself."""
    scale = QUICK if quick else FULL
    payloads = {size: random.Random(0).randbytes(size) for size in {_SIZE, *(case.size for case in CASES)}}
    peers = {name: carry for name, carry in PEERS.items() if carry is not zmodem or program("sz") is not None}
    with ProcessPoolExecutor(_SIDE_BY_SIDE) as pool:

        def begin(carry: Callable[[Job], float], faults: Faults, data: bytes, count: int) -> list[Future[float | None]]:
            each = [replace(faults, baud=_BAUD, seed=seed) for seed in range(count)]
            return [pool.submit(share, carry, one, data) for one in each]

        line: list[Future[float | None]] = []
        begun = []
        for case in CASES:
            # The line is measured among what goes over it: it tells what the machine's other work takes away.
            line += begin(bare, Faults(), payloads[_SIZE], 1)
            ours = begin(undercroft, case.faults, payloads[case.size], scale.runs)
            theirs = {
                name: begin(carry, case.faults, payloads[case.size], scale.peer_runs) for name, carry in peers.items()
            }
            begun.append((case, ours, theirs))
        batches = [psbt_batch(size, seed=1) for size in scale.psbt_sizes]
        packed = [
            (
                batch,
                begin(undercroft, Faults(), batch, _PSBT_RUNS),
                {name: begin(carry, Faults(), batch, 1) for name, carry in peers.items() if carry is zmodem},
            )
            for batch in batches
        ]
        rows = [_line_row(_ended(line))]
        rows += [_row(case, _ended(ours), _told(theirs, *PEERS)) for case, ours, theirs in begun]
        rows += [_psbt_row(batch, _ended(ours), _told(theirs, "ZMODEM")) for batch, ours, theirs in packed]
    return rows


def _ended(runs: list[Future[float | None]]) -> Runs:
    shares = [run.result() for run in runs]
    return Runs(tuple(one for one in shares if one is not None), len(shares))


def _told(runs: Mapping[str, list[Future[float | None]]], *names: str) -> str:
    return ", ".join(f"{name} {_ended(runs[name]) if name in runs else 'is not here'}" for name in names)


def _with_worst(runs: Runs) -> str:
    return f"{runs}, worst {min(runs.shares, default=0.0):.3f}" if runs.count > 1 else str(runs)


def _line_row(line: Runs) -> Goal:
    what = f"the bench's own line, both ways at once / {_BAUD} baud"
    return Goal("G11", what, f">= {_LINE_GOAL}", "1.000", "", _with_worst(line), line.median >= _LINE_GOAL)


def _row(case: Case, ours: Runs, theirs: str) -> Goal:
    met = None if case.goal is None else ours.median >= case.goal and ours.all_finished
    asked = "" if case.goal is None else f">= {case.goal:.3f}"
    what = f"serial goodput / line rate, {case.size // 1000} kB random, {case.name}"
    return Goal(case.number, what, asked, f"{case.limit:.3f} by resending", theirs, _with_worst(ours), met)


def _psbt_row(batch: bytes, ours: Runs, theirs: str) -> Goal:
    limit = len(batch) / len(squeeze(batch))
    what = f"PSBT batch of {len(batch) // 1000} kB over serial, effective / line rate"
    met = ours.median >= _PSBT_GOAL and ours.all_finished
    return Goal("G13", what, f">= {_PSBT_GOAL:.2f}", f"{limit:.2f}", theirs, str(ours), met)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench_links_serial", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one run of each")
    show(goals(quick=parser.parse_args().quick))


if __name__ == "__main__":
    main()
