"""Deposits become money in an account; what the chain takes back is taken back."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.transaction import Outpoint

from ..clock import Clock
from ..errors import IntegrityAlarm
from ..store import audit
from ..store.tables import ChainTransaction, Coin, Deposit, Journal
from . import ledger

CREDIT: Final = "deposit"
REVERSAL: Final = "deposit-reversed"


def credit_deposits(session: Session, *, clock: Clock) -> list[Deposit]:
    """Credit every deposit that risk has confirmed; what was credited and is gone is first taken back.

    Returns the deposits credited now. Raises IntegrityAlarm when a deposit and its coin differ.
    """
    reverse_gone(session, clock=clock)
    credited = []
    for deposit in _in_state(session, "confirmed"):
        # A block that left the chain since risk looked: the deposit waits.
        if not _is_confirmed(session, deposit):
            continue
        coin = session.get(Coin, (deposit.txid, deposit.vout))
        # Attack: a deposit whose amount was changed in the database.
        if coin is None or coin.amount_sats != deposit.amount_sats:
            raise IntegrityAlarm(f"deposit {_name(deposit)} is not what the chain shows")
        _post(session, CREDIT, deposit, deposit.amount_sats, clock)
        deposit.state, deposit.credited = "credited", clock()
        _note(session, deposit, "credit-deposit", clock)
        credited.append(deposit)
    session.flush()
    return credited


def reverse_gone(session: Session, *, clock: Clock) -> list[Deposit]:
    """Take back what was credited and has since been replaced or reorganised away; the account may fall below zero."""
    reversed_now = [deposit for deposit in _in_state(session, "gone") if deposit.credited is not None]
    for deposit in reversed_now:
        _post(session, REVERSAL, deposit, -deposit.amount_sats, clock)
        deposit.credited = None
        _note(session, deposit, "reverse-deposit", clock)
    session.flush()
    return reversed_now


def _post(session: Session, kind: str, deposit: Deposit, amount_sats: int, clock: Clock) -> None:
    """Enter it once for each time that the deposit came or went: the first as its outpoint, later ones numbered."""
    name = _name(deposit)
    times = session.scalar(
        select(func.count())
        .select_from(Journal)
        .where(Journal.kind == kind, (Journal.subject == name) | Journal.subject.startswith(f"{name}#"))
    )
    subject = f"{name}#{times + 1}" if times else name
    lines = {ledger.HOT: amount_sats, ledger.customer(deposit.account): -amount_sats}
    ledger.post(session, kind, subject, lines, clock)


def _in_state(session: Session, state: str) -> list[Deposit]:
    order = (Deposit.seen, Deposit.txid, Deposit.vout)
    return list(session.scalars(select(Deposit).where(Deposit.state == state).order_by(*order)))


def _is_confirmed(session: Session, deposit: Deposit) -> bool:
    row = session.get(ChainTransaction, deposit.txid)
    return row is not None and row.height is not None


def _name(deposit: Deposit) -> str:
    return str(Outpoint(deposit.txid, deposit.vout))


def _note(session: Session, deposit: Deposit, action: str, clock: Clock) -> None:
    facts: dict[str, int | str | None] = {"account": deposit.account, "amount_sats": deposit.amount_sats}
    audit.record(session, clock=clock, action=action, subject=f"deposit:{_name(deposit)}", facts=facts)
