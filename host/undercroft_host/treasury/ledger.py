"""Double entry: every event moves sats between accounts, its lines add up to zero, and it happens once.

Debits are positive, credits negative. What the vault holds (``asset:hot``) stands on the debit side, what it
owes (``liability:…``) on the credit side, so a customer's balance is the negative of the account's sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..clock import Clock
from ..errors import LedgerConflict, LedgerProblem
from ..store.tables import Journal, Posting

HOT: Final = "asset:hot"
PENDING: Final = "liability:pending"
NETWORK_FEES: Final = "expense:network-fees"
_CUSTOMER: Final = "liability:customer:"


def customer(name: str) -> str:
    """The ledger account of a customer."""
    return _CUSTOMER + name


def post(session: Session, kind: str, subject: str, lines: Mapping[str, int], clock: Clock) -> Journal:
    """Enter one event: sats by account. The same event again, with the same lines, changes nothing.

    Raises LedgerProblem unless the lines add up to zero, LedgerConflict for the same event with other lines.
    """
    postings = {account: amount_sats for account, amount_sats in lines.items() if amount_sats}
    # Attack: money from nowhere.
    if sum(postings.values()) or not postings:
        raise LedgerProblem(f"{kind} {subject}: its lines are {dict(lines)}")
    known = find(session, kind, subject)
    if known is not None:
        if lines_of(session, known) != postings:
            raise LedgerConflict(f"{kind} {subject}")
        return known
    journal = Journal(kind=kind, subject=subject, time=clock())
    session.add(journal)
    session.flush()
    session.add_all(
        Posting(journal=journal.id, account=account, amount_sats=amount_sats)
        for account, amount_sats in sorted(postings.items())
    )
    session.flush()
    return journal


def find(session: Session, kind: str, subject: str) -> Journal | None:
    """The entry of this event, if it is in the books."""
    return session.scalars(select(Journal).where(Journal.kind == kind, Journal.subject == subject)).first()


def lines_of(session: Session, journal: Journal) -> dict[str, int]:
    """The lines of an entry: sats by account."""
    rows = session.execute(select(Posting.account, Posting.amount_sats).where(Posting.journal == journal.id))
    return {row.account: row.amount_sats for row in rows}


def balance(session: Session, account: str) -> int:
    """The sum of an account's lines (sats; debits positive)."""
    total = session.scalar(select(func.sum(Posting.amount_sats)).where(Posting.account == account))
    return int(total or 0)


def customer_balance(session: Session, name: str) -> int:
    """What the vault owes a customer (sats)."""
    return -balance(session, customer(name))


def trial_balance(session: Session) -> dict[str, int]:
    """Every account's balance by name. Raises LedgerProblem unless they add up to zero."""
    rows = session.execute(
        select(Posting.account, func.sum(Posting.amount_sats)).group_by(Posting.account).order_by(Posting.account)
    )
    balances = {account: int(total) for account, total in rows}
    if sum(balances.values()):
        raise LedgerProblem(f"all accounts together are {sum(balances.values())} sats, not zero")
    return balances
