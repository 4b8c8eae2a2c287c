"""`undercroft-appliance replay`: past batches judged in order under other policies, to see what would change.

The batches come as JSON lines (see `past`). Each policy is asked for itself: its ledger and history begin empty and
known and are carried along, the recorded times are the clock, and a new activation begins a new total per activation.
What a policy holds counts as approved when the record says that it was signed, else as declined. The policy that a
batch names is not compared: a draft is another one. The answer is one JSON value on stdout:

    {"quorum": "<id>",
     "policies": [{"name": …, "version": …, "hash": …, "sign": n, "hold": n, "refuse": n, "leaves_sats": n}],
     "transactions": [{"batch": n, "batch_id": …, "time": …, "txid": …, "was_signed": …,
                       "leaves_sats": …, "fee_sats": …, "feerate": …,
                       "verdicts": [{"verdict": "sign|hold|refuse", "code": …, "detail": …}]}]}

`batch` is the line (from 1), `verdicts` has one for each policy in their order. A batch that cannot be proved has one
entry, with null for what is not known; every policy refuses it. A policy's `leaves_sats` is all that was debited under
it, of which a fee bump counts only what it adds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from undercroft_appliance.errors import ConfigurationError
from undercroft_appliance.keeper.addresses import AddressBook
from undercroft_appliance.keeper.bounds import check_coins
from undercroft_appliance.keeper.history import History
from undercroft_appliance.keeper.judge import HOLD, REFUSE, SIGN, Standing, judge, judge_transaction
from undercroft_appliance.keeper.ledger import Ledger
from undercroft_appliance.keeper.prove import prove
from undercroft_appliance.keeper.proven import ProvenTransaction
from undercroft_appliance.keeper.refusals import Refusal
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.transaction import txid_to_hex
from undercroft_protocol.messages import Policy, Quorum

from . import EXIT_OK, Commands
from .inputs import read_policy, read_quorum
from .past import PastBatch, read_past

Verdict: TypeAlias = dict[str, str | None]


def add_parser(commands: Commands) -> None:
    """Add `replay` to the command line."""
    parser = commands.add_parser("replay", help="judge past batches under other policies")
    parser.add_argument("--quorum", required=True, metavar="FILE", help="the quorum's file")
    parser.add_argument("--policy", required=True, action="append", metavar="FILE",
                        help="a policy to judge by; may be given several times")  # fmt: skip
    parser.add_argument("--network", choices=[network.value for network in Network],
                        help="refuse a quorum of another network")  # fmt: skip
    parser.add_argument("file", metavar="FILE", help="the past batches, as JSON lines; - for standard input")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what each policy says of each transaction; 0 whatever that is. Raises ConfigurationError."""
    known = read_quorum(options.quorum, options.network)
    quorum = known.quorum
    if quorum is None:
        raise ConfigurationError("past batches need the quorum's file: a descriptor names no vault and no risk service")
    book = AddressBook(known.descriptor, None)
    rehearsals = [Rehearsal(read_policy(path, known), quorum, book) for path in options.policy]
    rows: list[dict[str, Any]] = []
    for past in read_past(options.file, quorum):
        rows.extend(_rows(past, [rehearsal.batch(past) for rehearsal in rehearsals]))
    print(
        json.dumps(
            {
                "quorum": quorum.id.hex(),
                "policies": [rehearsal.summary() for rehearsal in rehearsals],
                "transactions": rows,
            },
            indent=2,
        )
    )
    return EXIT_OK


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a policy says of a batch: its transactions (none where it was not proved), a verdict for each."""

    transactions: tuple[ProvenTransaction, ...]
    verdicts: tuple[Verdict, ...]


class Rehearsal:
    """One policy, and what would have been signed under it so far."""

    def __init__(self, policy: Policy, quorum: Quorum, book: AddressBook) -> None:
        self._policy, self._quorum, self._book = policy, quorum, book
        self._ledger, self._history = Ledger(-math.inf), History()
        self._activation: str | None = None
        self._height: int | None = None
        self._counts = dict.fromkeys((SIGN, HOLD, REFUSE), 0)

    def batch(self, past: PastBatch) -> Rehearsed:
        """Judge one batch, and remember what would have been signed."""
        if past.activation != self._activation:
            self._activation, self._height = past.activation, None
            self._ledger = dataclasses.replace(self._ledger, armed_sats=0)
        try:
            check_coins(past.request, self._policy)
            proven = prove(
                dataclasses.replace(past.request, policy_hash=self._policy.hash),
                self._quorum,
                self._book,
                change_gap=self._policy.change_gap,
                change_signed=self._history.highest_change,
            )
        except Refusal as refusal:
            return Rehearsed((), self._refused(refusal, len(past.request.transactions)))
        try:
            judged = judge(proven, self._policy, self._standing(past))
        except Refusal as refusal:
            return Rehearsed(proven.transactions, self._refused(refusal, len(proven.transactions)))
        self._height = proven.height
        self._history.knows_height(proven.height)
        self._ledger = judged.ledger
        for judgement in judged.judgements:
            if judgement.action == SIGN and not judgement.again:
                self._history.record(judgement.proven)
        verdicts = []
        for judgement in judged.judgements:
            code = None if judgement.action == SIGN else judgement.code.name
            detail = "; ".join(finding.line for finding in judgement.findings)
            verdicts.append(self._counted(judgement.action, code, detail))
            if judgement.action == HOLD and judgement.proven.txid in past.signed:
                self._approve(judgement.proven, past)
        return Rehearsed(proven.transactions, tuple(verdicts))

    def summary(self) -> dict[str, object]:
        """The policy, and how often it said what."""
        policy = self._policy
        named = {"name": policy.name, "version": policy.version, "hash": policy.hash.hex()}
        return {**named, **self._counts, "leaves_sats": self._ledger.total_sats}

    def _approve(self, proven: ProvenTransaction, past: PastBatch) -> None:
        judged = judge_transaction(proven, self._policy, self._standing(past), approved=True)
        if judged.judgements[0].action == SIGN:
            self._ledger = judged.ledger
            self._history.record(proven)

    def _standing(self, past: PastBatch) -> Standing:
        return Standing(float(past.time), past.time, self._ledger, self._history, self._height)

    def _refused(self, refusal: Refusal, count: int) -> tuple[Verdict, ...]:
        return tuple(self._counted(REFUSE, refusal.code.name, refusal.detail) for _ in range(count))

    def _counted(self, action: str, code: str | None, detail: str) -> Verdict:
        self._counts[action] += 1
        return {"verdict": action, "code": code, "detail": detail}


def _rows(past: PastBatch, said: Sequence[Rehearsed]) -> list[dict[str, Any]]:
    # What can be proved depends on the policy's change gap only: the first that proved the batch knows its numbers.
    known = next((one.transactions for one in said if one.transactions), ())
    head = {"batch": past.number, "batch_id": past.request.batch_id.hex(), "time": past.time}
    if not known:
        unknown = dict.fromkeys(("txid", "leaves_sats", "fee_sats", "feerate"))
        verdicts = [one.verdicts[0] for one in said]
        return [{**head, **unknown, "was_signed": bool(past.signed), "verdicts": verdicts}]
    return [
        {
            **head,
            "txid": txid_to_hex(proven.txid),
            "was_signed": proven.txid in past.signed,
            "leaves_sats": proven.leaves_sats,
            "fee_sats": proven.fee_sats,
            "feerate": proven.fee_sats * 1000 // proven.vsize,
            "verdicts": [one.verdicts[at] for one in said],
        }
        for at, proven in enumerate(known)
    ]
