"""Judges withdrawals and signs clearances: the risk service's word, without which no appliance pays anybody."""

from __future__ import annotations

import statistics
from typing import Final

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import Clearance, sign_statement

from ..clock import Clock
from ..custody.quorum import active_quorum
from ..keys import FileSigner
from ..store import audit
from ..store.tables import Address, ClearanceRecord, Coin, RiskVerdict, Withdrawal
from ..treasury.ledger import customer_balance
from ..vault.families import rivals
from ..vault.withdrawals import cancel_withdrawal
from .findings import ALLOW, DENY, FLAG, Finding, reason
from .rules_withdrawal import WITHDRAWAL_RULES, WithdrawalFacts
from .ruleset import RuleSet
from .verdicts import WITHDRAWAL, keep_verdict

REQUESTED: Final = "requested"
DELAYED: Final = "delayed"
CLEARED: Final = "cleared"
ASSIGNED: Final = "assigned"

_GIVEN_UP: Final = ("denied", "cancelled")
_APPROVED: Final = (CLEARED, ASSIGNED, "paying", "settled")


def judge_withdrawals(
    session: Session, rules: RuleSet, signer: FileSigner, network: Network, *, clock: Clock
) -> dict[str, int]:
    """Judge every withdrawal that is requested or delayed, oldest first; how many had which outcome.

    Allowed ones get a clearance and are ``cleared``; delayed ones are judged again next time; denied ones are
    cancelled, which gives the money back. A clearance that has run out before its payment was signed is judged and
    signed again. ``signer`` is the risk service's key. Raises NotFound without an active quorum.
    """
    counts: dict[str, int] = {}
    for withdrawal in _due(session, clock()):
        facts = withdrawal_facts(session, withdrawal, rules, network, clock())
        findings = [rule(facts, rules) for rule in WITHDRAWAL_RULES]
        outcome = keep_verdict(session, WITHDRAWAL, withdrawal.id, findings, rules.hash, clock=clock)
        _decide(session, withdrawal, outcome, findings, rules=rules, signer=signer, clock=clock)
        counts[outcome] = counts.get(outcome, 0) + 1
    return counts


def withdrawal_facts(
    session: Session, withdrawal: Withdrawal, rules: RuleSet, network: Network, now: int
) -> WithdrawalFacts:
    """What the store knows of an order, with the sums over each rule's window up to ``now``."""
    others = _approved_amounts(session, withdrawal)
    return WithdrawalFacts(
        network=network,
        address=withdrawal.address,
        script=withdrawal.script,
        own_address=session.get(Address, withdrawal.script) is not None,
        amount_sats=withdrawal.amount_sats,
        account_window_sats=withdrawal.amount_sats
        + _approved_since(session, withdrawal, now - rules.W06.window_seconds, withdrawal.account),
        global_window_sats=withdrawal.amount_sats
        + _approved_since(session, withdrawal, now - rules.W08.window_seconds, None),
        balance_sats=customer_balance(session, withdrawal.account),
        holdings_sats=session.scalar(select(func.sum(Coin.amount_sats)).where(Coin.spent_by.is_(None))) or 0,
        median_sats=statistics.median_low(others) if others else None,
        history=len(others),
        duplicates=_duplicates(session, withdrawal, now - rules.W30.window_seconds),
    )


def _due(session: Session, now: int) -> list[Withdrawal]:
    waiting = Withdrawal.state.in_((REQUESTED, DELAYED))
    expired = Withdrawal.state.in_((CLEARED, ASSIGNED)) & exists().where(
        ClearanceRecord.withdrawal == Withdrawal.id, ClearanceRecord.expires <= now
    )
    query = select(Withdrawal).where(waiting | expired).order_by(Withdrawal.requested, Withdrawal.id)
    return list(session.scalars(query))


def _approved_since(session: Session, withdrawal: Withdrawal, since: int, account: str | None) -> int:
    """The sum of other orders that were approved after ``since``, of one account or of all (sats).

    The time of the approval counts, not that of the order: orders that pile up while delayed must not leave together.
    """
    approved = exists().where(
        RiskVerdict.kind == WITHDRAWAL,
        RiskVerdict.subject == Withdrawal.id,
        RiskVerdict.outcome.in_((ALLOW, FLAG)),
        RiskVerdict.time > since,
    )
    query = select(func.sum(Withdrawal.amount_sats)).where(
        Withdrawal.id != withdrawal.id, Withdrawal.state.in_(_APPROVED), approved
    )
    if account is not None:
        query = query.where(Withdrawal.account == account)
    return session.scalar(query) or 0


def _approved_amounts(session: Session, withdrawal: Withdrawal) -> list[int]:
    """The amounts (sats) of the account's other approved orders: what was denied or waits must not train the rule."""
    query = select(Withdrawal.amount_sats).where(
        Withdrawal.account == withdrawal.account,
        Withdrawal.id != withdrawal.id,
        Withdrawal.state.in_(_APPROVED),
    )
    return list(session.scalars(query))


def _duplicates(session: Session, withdrawal: Withdrawal, since: int) -> tuple[str, ...]:
    query = (
        select(Withdrawal)
        .where(
            Withdrawal.account == withdrawal.account,
            Withdrawal.script == withdrawal.script,
            Withdrawal.amount_sats == withdrawal.amount_sats,
            Withdrawal.id != withdrawal.id,
            Withdrawal.requested > since,
            Withdrawal.state.not_in(_GIVEN_UP),
        )
        .order_by(Withdrawal.id)
    )
    # Of two like orders the first is the one that was meant.
    mine = (withdrawal.requested, withdrawal.id)
    return tuple(other.id for other in session.scalars(query) if (other.requested, other.id) < mine)


def _decide(
    session: Session,
    withdrawal: Withdrawal,
    outcome: str,
    findings: list[Finding],
    *,
    rules: RuleSet,
    signer: FileSigner,
    clock: Clock,
) -> None:
    if outcome in (ALLOW, FLAG):
        _clear(session, withdrawal, rules, signer, clock)
        if withdrawal.state != ASSIGNED:
            withdrawal.state, withdrawal.reason = CLEARED, None
    elif withdrawal.state == ASSIGNED:
        # Its payment is built and may be signed: it stays there, without a clearance that is still good.
        withdrawal.reason = reason(findings)
    elif outcome == DENY and not rivals(session, withdrawal.id):
        # The money goes back at once: an order that will never be paid must not keep a customer from it.
        cancel_withdrawal(session, withdrawal.id, clock=clock)
        withdrawal.reason = f"denied: {reason(findings)}"[:200]
    else:
        # Delayed; or denied while an earlier payment, taken back, may still pay it: no money back before that is over.
        withdrawal.state, withdrawal.reason = DELAYED, reason(findings)
    session.flush()


def _clear(session: Session, withdrawal: Withdrawal, rules: RuleSet, signer: FileSigner, clock: Clock) -> None:
    quorum = active_quorum(session)
    clearance = Clearance(
        quorum_id=quorum.id,
        withdrawal_id=withdrawal.id,
        script=withdrawal.script,
        amount_sats=withdrawal.amount_sats,
        expires=clock() + rules.clearance.seconds,
        ruleset_hash=rules.hash,
    )
    raw = sign_statement(clearance, signer.public_key, signer.sign)
    session.merge(ClearanceRecord(withdrawal=withdrawal.id, raw=raw, expires=clearance.expires))
    session.flush()
    facts: dict[str, int | str | None] = {"amount_sats": clearance.amount_sats, "expires": clearance.expires}
    audit.record(session, clock=clock, action="clear-withdrawal", subject=f"withdrawal:{withdrawal.id}", facts=facts)
