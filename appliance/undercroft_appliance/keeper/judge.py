"""Stage 3: the policy. Every rule speaks, with its numbers; the strictest word holds: sign, hold, or refuse."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from undercroft_protocol.messages import Policy, grouped_code

from . import anomaly, rules_again, rules_amount, rules_fee, rules_payees, rules_shape
from .findings import HOLD, REFUSE, SIGN, STRICTNESS, Finding, refused, shortened
from .ledger import Ledger
from .proven import ProvenBatch, ProvenTransaction
from .refusals import (
    HEIGHT_BACK,
    HEIGHT_JUMP,
    NO_POLICY,
    OTHER_POLICY,
    TOO_MANY_TRANSACTIONS,
    Refusal,
    RefusalCode,
)
from .standing import Case, Standing

__all__ = [
    "HOLD",
    "REFUSE",
    "REORGANISED_BLOCKS",
    "RULES",
    "SIGN",
    "Finding",
    "Judged",
    "Judgement",
    "Standing",
    "judge",
    "judge_transaction",
]

REORGANISED_BLOCKS: Final = 6
"""How far a chain may have been reorganised between two activations; within one it never goes back."""

Rule: TypeAlias = Callable[[Case], Iterable[Finding]]
RULES: Final[tuple[Rule, ...]] = (
    rules_shape.counts,
    rules_payees.kinds,
    rules_payees.clearances,
    rules_payees.listed,
    rules_payees.sweeps,
    rules_shape.self_share,
    rules_shape.equal_payees,
    rules_fee.fees,
    rules_again.coins,
    rules_again.withdrawals,
    rules_amount.amount,
    rules_amount.windows,
    rules_amount.totals,
    rules_shape.hours,
    anomaly.unusual_amount,
    anomaly.new_payees,
)
"""In the order in which their findings are shown; each speaks, whatever the others found."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The strictest of all findings. ``again``: this very transaction was signed before, and is not counted twice."""

    proven: ProvenTransaction
    action: str
    findings: tuple[Finding, ...]
    again: bool = False

    @property
    def lines(self) -> tuple[str, ...]:
        """What each rule found, then what it means and what to do next, each meaning once."""
        meanings = dict.fromkeys(finding.code.meaning for finding in self.findings)
        return (*(finding.line for finding in self.findings), *(f"  {meaning}" for meaning in meanings))

    @property
    def code(self) -> RefusalCode:
        """The code of the first among the strictest findings; only for what is not signed."""
        return next(finding.code for finding in self.findings if finding.action == self.action)


@dataclass(frozen=True, slots=True)
class Judged:
    """Judgements in the batch's order, and the ledger with all that is to be signed already debited."""

    judgements: tuple[Judgement, ...]
    ledger: Ledger


def judge(batch: ProvenBatch, policy: Policy | None, standing: Standing) -> Judged:
    """Judge one transaction after the other, each with those before it debited. Raises Refusal for the whole batch."""
    # Attack: an appliance without rules is a signing oracle (custody.md S16).
    if policy is None:
        raise Refusal(NO_POLICY)
    _check_batch(batch, policy, standing)
    ledger = standing.ledger.pruned(policy.longest_window_seconds, standing.now)
    history = standing.history
    judgements: list[Judgement] = []
    for proven in batch.transactions:
        # Attack: two bumps in one batch, each covered by what was debited for the same transaction before.
        if judgements and judgements[-1].action == SIGN:
            history = history.fork() if history is standing.history else history
            history.record(judgements[-1].proven)
        standing_now = dataclasses.replace(standing, ledger=ledger, history=history)
        judged = judge_transaction(proven, policy, standing_now, approved=False)
        ledger = judged.ledger
        judgements.extend(judged.judgements)
    return Judged(tuple(judgements), ledger)


def judge_transaction(proven: ProvenTransaction, policy: Policy, standing: Standing, *, approved: bool) -> Judged:
    """Judge one transaction; with ``approved`` the owner has said yes, and what would only be held is signed."""
    if standing.history.has_signed(proven.txid):
        return Judged((_again(proven, policy, standing),), standing.ledger)
    case = Case.of(proven, policy, standing)
    findings = shortened(finding for rule in RULES for finding in rule(case))
    action = max((finding.action for finding in findings), key=STRICTNESS.index, default=SIGN)
    if action == HOLD and approved:
        action = SIGN
    if action != SIGN:
        return Judged((Judgement(proven, action, findings),), standing.ledger)
    try:
        standing.history.check_room(case.past)
        ledger = standing.ledger.debited(standing.now, case.debit_sats, proven.txid)
    except Refusal as refusal:
        full = refused(refusal.code, refusal.detail)
        return Judged((Judgement(proven, REFUSE, (*findings, full)),), standing.ledger)
    return Judged((Judgement(proven, SIGN, findings),), ledger)


def _again(proven: ProvenTransaction, policy: Policy, standing: Standing) -> Judgement:
    """The same transaction gets the same signatures (RFC 6979), and is counted once (signers.md 23)."""
    # Attack: a payment by the PSBT door is passed off as one of a withdrawal that was paid already.
    paid = shortened(rules_again.withdrawals(Case.of(proven, policy, standing)))
    return Judgement(proven, REFUSE, paid) if paid else Judgement(proven, SIGN, (), again=True)


def _check_batch(batch: ProvenBatch, policy: Policy, standing: Standing) -> None:
    # Attack: the host shows people one policy and works with another.
    if batch.policy_hash != policy.hash:
        raise Refusal(OTHER_POLICY, f"{grouped_code(batch.policy_hash)} where {grouped_code(policy.hash)} is active")
    if len(batch.transactions) > policy.most_transactions:
        raise Refusal(TOO_MANY_TRANSACTIONS, f"{len(batch.transactions)} > {policy.most_transactions}")
    _check_height(batch.height, policy, standing)


def _check_height(height: int, policy: Policy, standing: Standing) -> None:
    if standing.height is None:
        earlier = standing.history.height
        # Attack: a restart, to begin again with an older chain.
        if earlier is not None and height < earlier - REORGANISED_BLOCKS:
            numbers = f"{height} after {earlier} in an earlier activation, by more than {REORGANISED_BLOCKS}"
            raise Refusal(HEIGHT_BACK, numbers)
        return
    # Attack: an older chain, on which a spent coin is still there.
    if height < standing.height:
        raise Refusal(HEIGHT_BACK, f"{height} after {standing.height}")
    # Attack: a height far ahead makes a far locktime pass.
    if height > standing.height + policy.most_height_step:
        raise Refusal(HEIGHT_JUMP, f"{height} after {standing.height}, by more than {policy.most_height_step}")
