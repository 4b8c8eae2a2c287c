"""Withdrawals: a customer's order to pay, taken once, and paid for at the moment it is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.address import address_of
from undercroft_protocol.bitcoin.amounts import MAX_MONEY_SATS, dust_limit_sats
from undercroft_protocol.messages import Quorum

from ..clock import Clock
from ..errors import (
    AmountDust,
    AmountInvalid,
    CsvInvalid,
    HostError,
    InsufficientFunds,
    OwnAddress,
    WithdrawalConflict,
    WithdrawalState,
    WithdrawalUnknown,
)
from ..store import audit
from ..store.tables import Address, ClearanceRecord, Withdrawal
from ..treasury import ledger
from .addresses import checked_name, find_account, payable_script
from .csv_file import parse_csv
from .families import check_no_rival

CANCELLABLE: Final = ("requested", "delayed", "denied", "cleared")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What a file came to: how many orders are new, how many were known with the same content, sum, ids."""

    added: int
    already_there: int
    total_sats: int
    ids: tuple[str, ...]


def request_withdrawal(
    session: Session, *, quorum: Quorum, id: str, account: str, address: str, amount_sats: int, clock: Clock
) -> Withdrawal:
    """Take an order to pay ``amount_sats`` to ``address``; the account is debited in the same transaction.

    The same id with the same content gives the same row, whatever became of it. Raises WithdrawalConflict for the same
    id with other content, NameInvalid, AccountUnknown, AddressInvalid, AmountInvalid, OwnAddress, AmountDust,
    InsufficientFunds.
    """
    checked_name(id)
    script = payable_script(address, quorum.bitcoin_network)
    # A bool is an int in Python; true must not be one satoshi.
    if isinstance(amount_sats, bool) or not 0 < amount_sats <= MAX_MONEY_SATS:
        raise AmountInvalid(str(amount_sats))
    known = session.get(Withdrawal, id)
    if known is not None:
        if (known.account, known.script, known.amount_sats) != (account, script, amount_sats):
            raise WithdrawalConflict(f"{id}: {known.amount_sats} sats to {known.address} for {known.account}")
        return known
    find_account(session, account)
    # Paying ourselves would be booked as money that left.
    if session.get(Address, script) is not None:
        raise OwnAddress(address)
    if amount_sats < dust_limit_sats(script):
        raise AmountDust(f"{amount_sats} sats; {dust_limit_sats(script)} is the least to {address}")
    # Attack: many orders at once, each within the balance, together above it. One writer at a time, and the debit now.
    available_sats = ledger.customer_balance(session, account)
    if amount_sats > available_sats:
        raise InsufficientFunds(f"{account} has {available_sats} sats, {amount_sats} are asked for")
    withdrawal = Withdrawal(
        id=id,
        account=account,
        address=address_of(script, quorum.bitcoin_network),
        script=script,
        amount_sats=amount_sats,
        state="requested",
        requested=clock(),
    )
    session.add(withdrawal)
    session.flush()
    lines = {ledger.customer(account): amount_sats, ledger.PENDING: -amount_sats}
    ledger.post(session, "withdrawal", id, lines, clock)
    _note(session, withdrawal, "request-withdrawal", clock)
    return withdrawal


def import_csv(session: Session, text: str, *, quorum: Quorum, clock: Clock) -> ImportReport:
    """Take every line of a CSV file (see `csv_file`), or none.

    Raises CsvInvalid, naming line and column, and whatever `request_withdrawal` raises, naming the line; the caller's
    transaction must then not be committed.
    """
    lines = parse_csv(text, quorum.bitcoin_network)
    added = 0
    for line in lines:
        added += session.get(Withdrawal, line.id) is None
        try:
            request_withdrawal(
                session,
                quorum=quorum,
                id=line.id,
                account=line.account,
                address=line.address,
                amount_sats=line.amount_sats,
                clock=clock,
            )
        except HostError as error:
            raise type(error)(f"line {line.number}: {error.detail}", hint=CsvInvalid.default_hint) from error
    total_sats = sum(line.amount_sats for line in lines)
    return ImportReport(added, len(lines) - added, total_sats, tuple(line.id for line in lines))


def cancel_withdrawal(session: Session, id: str, *, clock: Clock) -> Withdrawal:
    """Give the money back; a cancelled withdrawal stays cancelled.

    Raises WithdrawalUnknown, WithdrawalState, EarlierPayment (see `families`).
    """
    withdrawal = find_withdrawal(session, id)
    if withdrawal.state == "cancelled":
        return withdrawal
    # Attack: money back from an order that is in a transaction, which then pays as well.
    if withdrawal.state not in CANCELLABLE or withdrawal.payment is not None:
        raise WithdrawalState(f"{id} is {withdrawal.state}")
    # Attack: the same, when an owner approves later what was held, and the signatures find their way out.
    check_no_rival(session, id)
    withdrawal.state = "cancelled"
    # A clearance that outlives its order could still be shown to an appliance.
    clearance = session.get(ClearanceRecord, id)
    if clearance is not None:
        session.delete(clearance)
    lines = {ledger.customer(withdrawal.account): -withdrawal.amount_sats, ledger.PENDING: withdrawal.amount_sats}
    ledger.post(session, "withdrawal-cancelled", id, lines, clock)
    _note(session, withdrawal, "cancel-withdrawal", clock)
    return withdrawal


def find_withdrawal(session: Session, id: str) -> Withdrawal:
    """The withdrawal; raises WithdrawalUnknown."""
    withdrawal = session.get(Withdrawal, id)
    if withdrawal is None:
        raise WithdrawalUnknown(repr(id[:60]))
    return withdrawal


def withdrawals_in(session: Session, state: str) -> list[Withdrawal]:
    """All withdrawals in a state, oldest first."""
    order = (Withdrawal.requested, Withdrawal.id)
    return list(session.scalars(select(Withdrawal).where(Withdrawal.state == state).order_by(*order)))


def _note(session: Session, withdrawal: Withdrawal, action: str, clock: Clock) -> None:
    facts: dict[str, int | str | None] = {
        "account": withdrawal.account,
        "amount_sats": withdrawal.amount_sats,
        "address": withdrawal.address,
    }
    audit.record(session, clock=clock, action=action, subject=f"withdrawal:{withdrawal.id}", facts=facts)
