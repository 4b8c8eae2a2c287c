"""`make bench`: signing beside other signers, on the same transactions, in one run; ratios, and bytes on the line.

Ours is the whole way of a batch through an appliance (parse, prove, judge, sign, verify); theirs is parsing a PSBT,
signing, and writing it. Every signer signs the same transactions with the key of one owner of the same quorum.
"""

from __future__ import annotations

import random
from typing import Final

from undercroft_appliance.commands.standing import clean_standing
from undercroft_appliance.keeper.addresses import FILLED_AT_UNLOCK, AddressBook
from undercroft_appliance.keeper.judge import SIGN, judge
from undercroft_appliance.keeper.prove import prove
from undercroft_appliance.keeper.sign import sign
from undercroft_appliance.keeper.verify import verify
from undercroft_protocol.bitcoin.psbt import Psbt, PsbtInput, PsbtOutput, key_derivations
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput
from undercroft_protocol.messages import (
    BatchRequest,
    Change,
    Clearance,
    Coin,
    Output,
    TransactionRequest,
)

from .bench_peers import Signer, bdk_signer, best_of_turns, embit_signer, without_missing
from .bench_quorum import NOW, BenchQuorum, founded
from .played_keys import RISK, stated

CASES: Final = ((1, 1), (10, 10), (100, 50))
"""Inputs and payees of the measured transactions."""
ROUNDS: Final = 5
COIN_SATS: Final = 1_000_000
PAID_SATS: Final = 100_000
FEE_SATS: Final = 1_000
HEIGHT: Final = 900
_SECONDS: Final = 60.0
_OURS: Final = "undercroft"


def case(bench: BenchQuorum, inputs: int, payees: int) -> tuple[BatchRequest, Psbt]:
    """The same payment as a batch for an appliance and as a PSBT for other signers."""
    rng = random.Random(inputs)
    descriptor = bench.descriptor
    previous = [
        Transaction(
            2,
            (TxInput(Outpoint(rng.randbytes(32), 0), 0xFFFFFFFD),),
            (TxOutput(COIN_SATS, descriptor.script(0, index)), TxOutput(50_000, b"\x00\x14" + rng.randbytes(20))),
            0,
        )
        for index in range(inputs)
    ]
    scripts = [b"\x00\x14" + rng.randbytes(20) for _ in range(payees)]
    paid = min(PAID_SATS, (inputs * COIN_SATS - 100_000) // payees)
    change_sats = inputs * COIN_SATS - payees * paid - FEE_SATS * max(inputs, payees)
    cleared = [
        stated(Clearance(bench.quorum.id, f"w-{at}", script, paid, NOW + 3600, bytes(32)), RISK)
        for at, script in enumerate(scripts)
    ]
    request = TransactionRequest(
        tuple(Coin(index, 0, 0, index) for index in range(inputs)),
        (*(Output(raw, None) for raw in cleared), Output(None, Change(0, change_sats))),
        0xFFFFFFFD,
        HEIGHT,
    )
    raw = tuple(one.serialize() for one in previous)
    batch = BatchRequest(bytes(16), bench.policy.hash, HEIGHT, raw, (request,))
    unsigned = Transaction(
        2,
        tuple(TxInput(Outpoint(one.txid, 0), 0xFFFFFFFD) for one in previous),
        (*(TxOutput(paid, script) for script in scripts), TxOutput(change_sats, descriptor.script(1, 0))),
        HEIGHT,
    )
    known = tuple(
        PsbtInput(one, descriptor.witness_script(0, index), key_derivations(descriptor, 0, index))
        for index, one in enumerate(previous)
    )
    change = PsbtOutput(descriptor.witness_script(1, 0), key_derivations(descriptor, 1, 0))
    return batch, Psbt(unsigned, known, (*(PsbtOutput() for _ in scripts), change))


def ours(bench: BenchQuorum, book: AddressBook, body: bytes) -> int:
    """The stages of a batch, from its bytes to verified signatures; how many transactions were signed."""
    batch = BatchRequest.from_bytes(body)
    proven = prove(batch, bench.quorum, book, change_gap=bench.policy.change_gap, change_signed=-1)
    judged = judge(proven, bench.policy, clean_standing(NOW, HEIGHT))
    signing = [one.proven for one in judged.judgements if one.action == SIGN]
    return len([verify(sign(one, bench.keys), book) for one in signing])


def main() -> None:
    with founded() as bench:
        book = bench.book()
        book.fill(FILLED_AT_UNLOCK)
        print("Best of", ROUNDS, "runs each; microseconds per input, and times our own.\n")
        print(f"{'inputs':>6} {'payees':>6}  {'signer':<12} {'us/input':>9} {'ratio':>6}   bytes in")
        for inputs, payees in CASES:
            _measure(bench, book, inputs, payees)


def _measure(bench: BenchQuorum, book: AddressBook, inputs: int, payees: int) -> None:
    batch, psbt = case(bench, inputs, payees)
    body, packed = batch.to_bytes(), psbt.serialize()
    if ours(bench, book, body) != 1:
        raise AssertionError("the appliance's stages do not sign the bench's batch")
    own = Signer(_OURS, lambda _: ours(bench, book, body))
    others = [embit_signer(bench, packed), bdk_signer(bench, packed, FILLED_AT_UNLOCK)]
    best = best_of_turns(without_missing([own, *others]), ROUNDS, _SECONDS)
    for name, seconds in best.items():
        micros = seconds * 1_000_000 / inputs
        size = len(body) if name == _OURS else len(packed)
        print(f"{inputs:>6} {payees:>6}  {name:<12} {micros:>9.0f} {seconds / best[_OURS]:>6.2f}   {size}")


if __name__ == "__main__":
    main()
