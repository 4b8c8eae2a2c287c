"""``undercroft withdrawal``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from sqlalchemy import select

from ...custody.quorum import active_quorum
from ...errors import CsvInvalid
from ...money import sats_from_text
from ...risk.verdicts import verdicts_on
from ...store.tables import ClearanceRecord, PaymentVerdict, Withdrawal
from ...vault.withdrawals import cancel_withdrawal, find_withdrawal, import_csv, request_withdrawal
from ..app import App, pass_app
from ..output import moment
from ..program import Noun
from .payment import verdict_rows
from .risk import verdict_data

_STATES = ("requested", "delayed", "cleared", "assigned", "paying", "settled", "cancelled")


@click.group("withdrawal", cls=Noun)
def command() -> None:
    """Customers' orders to pay."""


@command.command("request")
@click.option("--id", "id_", required=True, metavar="ID", help="The customer system's own id; the same id pays once.")
@click.option("--account", required=True)
@click.option("--address", required=True)
@click.option("--amount-sats", required=True, metavar="N", help="Whole satoshis.")
@pass_app
def request(app: App, id_: str, account: str, address: str, amount_sats: str) -> None:
    """Take one order. The same id with the same content gives the same answer, with other content a conflict."""
    amount = sats_from_text(amount_sats)
    with app.store.begin(app.actor) as session:
        quorum = active_quorum(session)
        withdrawal = request_withdrawal(
            session,
            quorum=quorum,
            id=id_,
            account=account,
            address=address,
            amount_sats=amount,
            clock=app.clock,
        )
        data = withdrawal_data(withdrawal)
    app.put(data)


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@pass_app
def import_command(app: App, file: Path) -> None:
    """Take every order of a CSV file (id,account,address,amount_sats), or none."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CsvInvalid(f"byte {error.start} is not UTF-8") from None
    with app.store.begin(app.actor) as session:
        report = import_csv(session, text, quorum=active_quorum(session), clock=app.clock)
    app.put(
        {
            "added": report.added,
            "already_there": report.already_there,
            "total_sats": report.total_sats,
            "ids": list(report.ids),
        }
    )


@command.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@click.option("--account", help="Only this account's.")
@pass_app
def list_withdrawals(app: App, state: str | None, account: str | None) -> None:
    """All orders, oldest first."""
    query = select(Withdrawal).order_by(Withdrawal.requested, Withdrawal.id)
    if state is not None:
        query = query.where(Withdrawal.state == state)
    if account is not None:
        query = query.where(Withdrawal.account == account)
    with app.store.read() as session:
        app.put([withdrawal_data(withdrawal) for withdrawal in session.scalars(query)])


@command.command("show")
@click.argument("id_", metavar="ID")
@pass_app
def show(app: App, id_: str) -> None:
    """One order with every rule's finding and every appliance's verdict."""
    with app.store.read() as session:
        withdrawal = find_withdrawal(session, id_)
        clearance = session.get(ClearanceRecord, id_)
        verdicts = [verdict_data(verdict) for verdict in verdicts_on(session, id_)]
        said = select(PaymentVerdict).where(PaymentVerdict.payment == withdrawal.payment)
        data = withdrawal_data(withdrawal) | {
            "clearance_expires": None if clearance is None else moment(clearance.expires),
            "risk": _latest(verdicts),
            "appliances": verdict_rows(session, session.scalars(said).all()),
        }
    app.put(data)


@command.command("cancel")
@click.argument("id_", metavar="ID")
@pass_app
def cancel(app: App, id_: str) -> None:
    """Take an order back while it is in no payment; the account gets its money back."""
    with app.store.begin(app.actor) as session:
        data = withdrawal_data(cancel_withdrawal(session, id_, clock=app.clock))
    app.put(data)


def withdrawal_data(withdrawal: Withdrawal) -> dict[str, Any]:
    """An order for output."""
    return {
        "id": withdrawal.id,
        "account": withdrawal.account,
        "address": withdrawal.address,
        "amount_sats": withdrawal.amount_sats,
        "state": withdrawal.state,
        "payment": withdrawal.payment,
        "requested": moment(withdrawal.requested),
        "reason": withdrawal.reason,
    }


def _latest(verdicts: list[dict[str, Any]]) -> dict[str, Any] | None:
    return verdicts[0] if verdicts else None
