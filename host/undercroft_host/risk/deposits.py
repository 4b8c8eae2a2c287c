"""Judges deposits: what the chain says of each is gathered from the gateway's records and put to the rules."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction

from ..clock import Clock
from ..errors import IntegrityAlarm
from ..gateway.follower import transaction_confirmations
from ..store.tables import Address, ChainTransaction, Coin, Deposit, Payment
from .findings import ALLOW, DELAY, DENY, FLAG, Finding, reason
from .rules_deposit import DEPOSIT_RULES, DepositFacts
from .ruleset import RuleSet
from .verdicts import DEPOSIT, keep_verdict

SEEN: Final = "seen"
DELAYED: Final = "delayed"
CONFIRMED: Final = "confirmed"


def judge_deposits(session: Session, rules: RuleSet, *, clock: Clock) -> dict[str, int]:
    """Judge every deposit that is seen or delayed; how many had which outcome.

    Allowed ones become ``confirmed``; those that only wait for confirmations stay ``seen``; all others are ``delayed``.
    """
    counts: dict[str, int] = {}
    query = select(Deposit).where(Deposit.state.in_((SEEN, DELAYED))).order_by(Deposit.seen, Deposit.txid, Deposit.vout)
    for deposit in session.scalars(query).all():
        facts = deposit_facts(session, deposit)
        findings = [rule(facts, rules) for rule in DEPOSIT_RULES]
        outcome = keep_verdict(session, DEPOSIT, subject_of(deposit), findings, rules.hash, clock=clock)
        _decide(session, deposit, outcome, findings)
        counts[outcome] = counts.get(outcome, 0) + 1
    return counts


def subject_of(deposit: Deposit) -> str:
    """How verdicts name a deposit: ``txid:vout``."""
    return str(Outpoint(deposit.txid, deposit.vout))


def deposit_facts(session: Session, deposit: Deposit) -> DepositFacts:
    """What the store knows of a deposit; IntegrityAlarm when its coin or transaction is missing."""
    coin = session.get(Coin, (deposit.txid, deposit.vout))
    record = session.get(ChainTransaction, deposit.txid)
    if coin is None or record is None:
        raise IntegrityAlarm(f"deposit {subject_of(deposit)} has no coin or no transaction")
    transaction = Transaction.parse(record.raw)
    if transaction.txid != deposit.txid:
        raise IntegrityAlarm(f"the stored transaction of deposit {subject_of(deposit)} is another one")
    output = transaction.outputs[deposit.vout] if deposit.vout < len(transaction.outputs) else None
    paid = output is not None and output.script == coin.script
    address = session.get(Address, coin.script)
    return DepositFacts(
        account=deposit.account,
        amount_sats=deposit.amount_sats,
        chain_amount_sats=output.amount_sats if output is not None and paid else None,
        confirmations=transaction_confirmations(session, deposit.txid),
        conflicted=record.conflicted,
        address_branch=None if address is None else address.branch,
        address_account=None if address is None else address.account,
        own_payment=_own_payment(session, deposit.txid),
        spender_known=coin.spent_by is None or _own_payment(session, coin.spent_by) is not None,
    )


def _own_payment(session: Session, txid: bytes) -> int | None:
    return session.scalar(select(Payment.id).where(Payment.txid == txid))


def _decide(session: Session, deposit: Deposit, outcome: str, findings: list[Finding]) -> None:
    deposit.reason = reason(findings)
    strict = {finding.rule for finding in findings if finding.outcome in (DELAY, DENY)}
    if outcome in (ALLOW, FLAG):
        deposit.state = CONFIRMED
    else:
        # Waiting for blocks is what every deposit does; it is no suspicion.
        deposit.state = SEEN if strict == {"D01"} else DELAYED
    if "D07" in strict:
        # Dust that is spent links coins that nothing else links; sending it is how somebody looks for the links.
        session.get_one(Coin, (deposit.txid, deposit.vout)).frozen = "dust"
    session.flush()
