"""`make bench-sign`: one keeper on one core beside other signers, on PSBTs that a node's wallet wrote.

Ours is the whole way of a PSBT through an appliance: prove, judge with the owner's approval, sign, verify, write;
*warm* with the addresses derived at unlock, *cold* with none. Theirs is parsing, signing, writing. All take turns in
one run, and each figure is the best of many: other work on the machine falls on all alike. 1 u is one raw `ecdsa_sign`.
`--quick` takes the small cases only. The exit code tells of unequal signatures, and of nothing else.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from undercroft_appliance.commands.standing import clean_standing
from undercroft_appliance.keeper.addresses import FILLED_AT_UNLOCK, AddressBook
from undercroft_appliance.keeper.judge import SIGN, judge_transaction
from undercroft_appliance.keeper.psbt_door import DEFAULT_CHANGE_GAP, ProvenPsbt, prove_psbt
from undercroft_appliance.keeper.sign import sign
from undercroft_appliance.keeper.verify import verify

from .bench_floor import UNIT_PASSES, Floor
from .bench_node import SIGNER, Builder, Case
from .bench_peers import (
    Signer,
    bdk_signer,
    best_of_turns,
    embit_signer,
    node_signer,
    signatures_of,
    wally_signer,
    without_missing,
)
from .bench_quorum import NOW, BenchQuorum, founded
from .node import Node

SMALL: Final = (Case(1, 2), Case(10, 10))
LARGE: Final = (Case(100, 100), Case(500, 2), Case(2, 500), Case(10, 10, fat=True))
_ROUNDS: Final = 200
_SECONDS: Final = 25.0
_WARM: Final = "ours, warm"
_COLD: Final = "ours, cold"
_UNIT: Final = "unit"
_FLOOR_WARM: Final = "floor, warm"
_FLOOR_COLD: Final = "floor, cold"


@dataclass(frozen=True, slots=True)
class Result:
    """One case: best times (seconds) by signer, how many `ecdsa_sign` the floor made, and who signed other bytes."""

    case: Case
    best: Mapping[str, float]
    tries: int
    unequal: tuple[str, ...]

    def units(self, name: str) -> float:
        """Units per input."""
        return self.best[name] / self.best[_UNIT]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench-sign", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the small cases only")
    cases = SMALL if parser.parse_args().quick else SMALL + LARGE
    with tempfile.TemporaryDirectory() as directory, Node.started(Path(directory)) as node, founded() as bench:
        builder = Builder(node, bench)
        builder.prepare(max(case.inputs for case in cases if not case.fat))
        warm = bench.book()
        warm.fill(FILLED_AT_UNLOCK)
        results = [_measured(node, bench, warm, case, builder.psbt(case)) for case in cases]
    _tell_goals({result.case: result for result in results})
    return 1 if any(result.unequal for result in results) else 0


def _sign(bench: BenchQuorum, packed: bytes, book: AddressBook) -> bytes:
    door = _proven(packed, book)
    judged = judge_transaction(door.proven, bench.policy, clean_standing(NOW, None), approved=True).judgements[0]
    if judged.action != SIGN:
        raise AssertionError(f"the policy does not let the case through: {judged.lines}")
    return door.with_signatures(verify(sign(door.proven, bench.keys), book).signatures)


def _proven(packed: bytes, book: AddressBook) -> ProvenPsbt:
    return prove_psbt(packed, book, change_gap=DEFAULT_CHANGE_GAP, change_signed=-1, height=None)


def _measured(node: Node, bench: BenchQuorum, warm: AddressBook, case: Case, packed: bytes) -> Result:
    floor = Floor(bench, warm, _proven(packed, warm).proven)
    core = node_signer(node, SIGNER, packed)
    wally = wally_signer(bench, packed)
    ours = [
        Signer(_WARM, lambda _: _sign(bench, packed, warm)),
        Signer(_COLD, lambda book: _sign(bench, packed, book), bench.book),
    ]
    raw = [Signer(_UNIT, floor.unit), Signer(_FLOOR_WARM, floor.warm), Signer(_FLOOR_COLD, floor.cold)]
    peers = without_missing([wally, embit_signer(bench, packed), bdk_signer(bench, packed, FILLED_AT_UNLOCK), core])
    expected = core.run(None)
    unequal = [f"{one.name}: PSBT unlike the node's" for one in ours if one.run(one.prepare()) != expected]
    unequal += [
        f"{name}: signatures unlike ours"
        for name, answer in (("node", expected), ("wallycore", wally.run(None)))
        if signatures_of(answer) != signatures_of(ours[0].run(None))
    ]
    # The fast ones among themselves often, the slow ones a few times.
    best = dict(best_of_turns([*raw, *ours, wally], _ROUNDS, _SECONDS))
    best[_UNIT] /= UNIT_PASSES
    best.update(best_of_turns([peer for peer in peers if peer is not wally], _ROUNDS // 10, _SECONDS / 5))
    result = Result(case, best, floor.tries, tuple(unequal))
    _tell(result, len(packed))
    return result


def _tell(result: Result, size: int) -> None:
    case, best = result.case, result.best
    unit = best[_UNIT] / case.inputs
    tries = result.tries / case.inputs
    print(f"\n{case.name}: {size} bytes, {tries:.2f} tries per input, 1 u = {unit * 1e6:.1f} us")
    print(f"  {'signer':<12} {'us/input':>9} {'u/input':>8} {'times ours':>10}")
    for name, seconds in best.items():
        if name != _UNIT:
            each = seconds / case.inputs
            print(f"  {name:<12} {each * 1e6:>9.1f} {each / unit:>8.2f} {seconds / best[_WARM]:>10.2f}")
    for line in result.unequal or ("every PSBT equals the node's, every signature the node's and wallycore's",):
        print(f"  {line}")


def _tell_goals(results: Mapping[Case, Result]) -> None:
    """The goals of the design, each with what was reached. They are told, and fail nothing: the machine is shared."""
    print("\nGoals:")
    ten, many = results[Case(10, 10)], results.get(Case(500, 2))
    if many is None:
        print("  --quick does not run the 500 inputs that they are about.")
        return
    linear = (many.best[_WARM] / many.case.inputs) / (ten.best[_WARM] / ten.case.inputs)
    goals: Sequence[tuple[str, float, float, bool]] = (
        ("u per input, warm, 500 inputs", many.units(_WARM), 4.5, False),
        ("u per input, cold, 500 inputs", many.units(_COLD), 7.5, False),
        ("of wallycore's time, warm, 500 inputs", many.best[_WARM] / many.best["wallycore"], 0.5, False),
        ("of the floor, warm, 500 inputs", many.best[_FLOOR_WARM] / many.best[_WARM], 0.8, True),
        ("of the floor, cold, 500 inputs", many.best[_FLOOR_COLD] / many.best[_COLD], 0.8, True),
        ("us per input at 500 inputs / at 10, warm", linear, 1.1, False),
    )
    for what, reached, goal, least in goals:
        met = reached >= goal if least else reached <= goal
        print(f"  {'met   ' if met else 'MISSED'} {reached:>6.2f} ({'>=' if least else '<='} {goal}) {what}")


if __name__ == "__main__":
    sys.exit(main())
