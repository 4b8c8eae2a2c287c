"""``undercroft deposit``."""

from __future__ import annotations

import click
from sqlalchemy import select

from undercroft_protocol.bitcoin.transaction import Outpoint

from ...gateway.follower import transaction_confirmations
from ...store.tables import Deposit
from ..app import App, pass_app
from ..output import moment
from ..program import Noun

_STATES = ("seen", "delayed", "confirmed", "credited", "gone")


@click.group("deposit", cls=Noun)
def command() -> None:
    """What came in."""


@command.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@click.option("--account", help="Only this account's.")
@pass_app
def list_deposits(app: App, state: str | None, account: str | None) -> None:
    """All deposits, oldest first."""
    query = select(Deposit).order_by(Deposit.seen, Deposit.txid, Deposit.vout)
    if state is not None:
        query = query.where(Deposit.state == state)
    if account is not None:
        query = query.where(Deposit.account == account)
    with app.store.read() as session:
        app.put(
            [
                {
                    "deposit": str(Outpoint(deposit.txid, deposit.vout)),
                    "account": deposit.account,
                    "amount_sats": deposit.amount_sats,
                    "confirmations": transaction_confirmations(session, deposit.txid),
                    "state": deposit.state,
                    "seen": moment(deposit.seen),
                    "credited": moment(deposit.credited),
                    "reason": deposit.reason,
                }
                for deposit in session.scalars(query)
            ]
        )
