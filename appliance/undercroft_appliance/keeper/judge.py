"""Stage 3: the policy. Every rule speaks, with its numbers; the strictest word holds: sign, hold, or refuse."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

from undercroft_protocol.bitcoin.script import classify
from undercroft_protocol.messages import Policy, grouped_code

from .history import History
from .ledger import Ledger
from .prove import ProvenBatch, ProvenTransaction
from .refusals import (
    CLEARANCE_EXPIRED,
    FEE_LIMIT,
    FEE_SHARE,
    FEERATE,
    HEIGHT_BACK,
    HEIGHT_JUMP,
    NO_POLICY,
    OTHER_POLICY,
    OUTPOINT_SIGNED,
    PAYEE_TYPE,
    TOO_MANY_INPUTS,
    TOO_MANY_PAYEES,
    TOO_MANY_TRANSACTIONS,
    TRANSACTION_HOLD,
    TRANSACTION_LIMIT,
    WINDOW_HOLD,
    WINDOW_LIMIT,
    WITHDRAWAL_PAID,
    Refusal,
    RefusalCode,
)

SIGN: Final = "sign"
HOLD: Final = "hold"
REFUSE: Final = "refuse"
_STRICTNESS: Final = (SIGN, HOLD, REFUSE)

MOST_HEIGHT_STEP: Final = 1008
"""Blocks that the host's chain may rise between two batches: a week, the longest life of an activation."""
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found: hold or refuse, and the numbers it compared."""

    code: RefusalCode
    action: str
    numbers: str

    @property
    def line(self) -> str:
        return f"{self.action} {self.code.name}: {self.numbers}"


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
class Standing:
    """What a transaction is weighed against: clocks (monotonic seconds, seconds since 1970) and what went before."""

    now: float
    utc: int
    ledger: Ledger
    history: History
    height: int | None


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
    ledger = standing.ledger.pruned(policy.windows[-1].seconds, standing.now)
    judgements: list[Judgement] = []
    for proven in batch.transactions:
        judged = judge_transaction(proven, policy, dataclasses.replace(standing, ledger=ledger), approved=False)
        ledger = judged.ledger
        judgements.extend(judged.judgements)
    return Judged(tuple(judgements), ledger)


def judge_transaction(proven: ProvenTransaction, policy: Policy, standing: Standing, *, approved: bool) -> Judged:
    """Judge one transaction; with ``approved`` the owner has said yes, and what would only be held is signed."""
    if standing.history.has_signed(proven.txid):
        # The same transaction gets the same signatures (RFC 6979), and is counted once (signers.md 23).
        return Judged((Judgement(proven, SIGN, (), again=True),), standing.ledger)
    findings = (
        *_counts(proven, policy),
        *_payees(proven, policy, standing.utc),
        *_fees(proven, policy),
        *_replays(proven, standing.history),
        *_amount(proven, policy),
        *_windows(proven, policy, standing),
    )
    action = max((finding.action for finding in findings), key=_STRICTNESS.index, default=SIGN)
    if action == HOLD and approved:
        action = SIGN
    if action != SIGN:
        return Judged((Judgement(proven, action, findings),), standing.ledger)
    try:
        ledger = standing.ledger.debited(standing.now, proven.leaves_sats, proven.txid)
    except Refusal as refusal:
        full = Finding(refusal.code, REFUSE, refusal.detail)
        return Judged((Judgement(proven, REFUSE, (*findings, full)),), standing.ledger)
    return Judged((Judgement(proven, SIGN, findings),), ledger)


def _check_batch(batch: ProvenBatch, policy: Policy, standing: Standing) -> None:
    # Attack: the host shows people one policy and works with another.
    if batch.policy_hash != policy.hash:
        raise Refusal(OTHER_POLICY, f"{grouped_code(batch.policy_hash)} where {grouped_code(policy.hash)} is active")
    if len(batch.transactions) > policy.most_transactions:
        raise Refusal(TOO_MANY_TRANSACTIONS, f"{len(batch.transactions)} > {policy.most_transactions}")
    if standing.height is not None:
        # Attack: an older chain, on which a spent coin is still there.
        if batch.height < standing.height:
            raise Refusal(HEIGHT_BACK, f"{batch.height} after {standing.height}")
        # Attack: a height far ahead makes a far locktime pass.
        if batch.height > standing.height + MOST_HEIGHT_STEP:
            raise Refusal(HEIGHT_JUMP, f"{batch.height} after {standing.height}, by more than {MOST_HEIGHT_STEP}")


def _counts(proven: ProvenTransaction, policy: Policy) -> list[Finding]:
    findings = []
    if len(proven.inputs) > policy.most_inputs:
        findings.append(_refused(TOO_MANY_INPUTS, f"{len(proven.inputs)} > {policy.most_inputs}"))
    # Attack: so many payees that nobody looks at each (signers.md 82).
    if len(proven.payees) > policy.most_payees:
        findings.append(_refused(TOO_MANY_PAYEES, f"{len(proven.payees)} > {policy.most_payees}"))
    return findings


def _payees(proven: ProvenTransaction, policy: Policy, utc: int) -> list[Finding]:
    findings = []
    for payee in proven.payees:
        kind = classify(payee.script).value
        # Attack: OP_RETURN and unknown scripts burn or hide money (signers.md 54, 55).
        if kind not in policy.payee_types:
            findings.append(_refused(PAYEE_TYPE, f"{payee.withdrawal_id} pays {kind}"))
        # Attack: an old clearance is kept until the customer's account is empty.
        if payee.expires < utc:
            findings.append(_refused(CLEARANCE_EXPIRED, f"{payee.withdrawal_id} by {utc - payee.expires} s"))
    return findings


def _fees(proven: ProvenTransaction, policy: Policy) -> list[Finding]:
    """All three bounds must hold: each alone lets one kind of theft by fee through (signers.md 11)."""
    findings = []
    fee_sats = proven.fee_sats
    if fee_sats > policy.most_fee_sats:
        findings.append(_refused(FEE_LIMIT, f"{fee_sats} > {policy.most_fee_sats} sats"))
    # A consolidation pays nobody; its fee is measured against what it moves.
    base_sats = proven.paid_sats or sum(output.amount_sats for output in proven.transaction.outputs)
    if fee_sats * _MILLION > policy.most_fee_ppm * base_sats:
        findings.append(_refused(FEE_SHARE, f"{fee_sats} of {base_sats} sats > {policy.most_fee_ppm} ppm"))
    if fee_sats * 1000 > policy.most_feerate_sat_per_kvb * proven.vsize:
        rate = fee_sats * 1000 // proven.vsize
        findings.append(_refused(FEERATE, f"{rate} > {policy.most_feerate_sat_per_kvb} sats per 1000 vB"))
    return findings


def _replays(proven: ProvenTransaction, history: History) -> list[Finding]:
    # Attack: another transaction over the same coins pays somebody else instead (signers.md 58).
    findings = [_refused(OUTPOINT_SIGNED, outpoint) for outpoint in history.conflicts(proven)]
    # Attack: the same withdrawal once more, out of other coins.
    findings.extend(_refused(WITHDRAWAL_PAID, withdrawal_id) for withdrawal_id in history.paid_before(proven))
    return findings


def _amount(proven: ProvenTransaction, policy: Policy) -> list[Finding]:
    leaves_sats = proven.leaves_sats
    if leaves_sats > policy.refuse_above_sats:
        return [_refused(TRANSACTION_LIMIT, f"{leaves_sats} > {policy.refuse_above_sats} sats")]
    if leaves_sats > policy.hold_above_sats:
        return [_held(TRANSACTION_HOLD, f"{leaves_sats} > {policy.hold_above_sats} sats")]
    return []


def _windows(proven: ProvenTransaction, policy: Policy, standing: Standing) -> list[Finding]:
    findings = []
    for window in policy.windows:
        try:
            spent_sats = standing.ledger.spent_sats(window.seconds, standing.now)
        except Refusal as refusal:
            # Attack: a restart to begin the window anew (signers.md 88).
            findings.append(_refused(refusal.code, refusal.detail))
            continue
        # Attack: many small transactions, each with the greatest fee (signers.md 12): fees are in both numbers.
        total = spent_sats + proven.leaves_sats
        numbers = f"{spent_sats} + {proven.leaves_sats} in {window.seconds} s"
        if total > window.refuse_above_sats:
            findings.append(_refused(WINDOW_LIMIT, f"{numbers} > {window.refuse_above_sats} sats"))
        elif total > window.hold_above_sats:
            findings.append(_held(WINDOW_HOLD, f"{numbers} > {window.hold_above_sats} sats"))
    return findings


def _refused(code: RefusalCode, numbers: str) -> Finding:
    return Finding(code, REFUSE, numbers)


def _held(code: RefusalCode, numbers: str) -> Finding:
    return Finding(code, HOLD, numbers)
