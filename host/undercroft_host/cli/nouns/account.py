"""``undercroft account``."""

from __future__ import annotations

import click
from sqlalchemy import select

from ...store.tables import Account
from ...treasury.ledger import customer_balance
from ...vault.addresses import open_account
from ..app import App, pass_app
from ..output import moment
from ..program import Noun


@click.group("account", cls=Noun)
def command() -> None:
    """The customers."""


@command.command("open")
@click.argument("account")
@pass_app
def open_command(app: App, account: str) -> None:
    """Open a customer's account; one that is open stays as it is."""
    with app.store.begin(app.actor) as session:
        opened = open_account(session, account, clock=app.clock)
        data = {"account": opened.name, "opened": moment(opened.opened)}
    app.put(data)


@command.command("list")
@pass_app
def list_accounts(app: App) -> None:
    """All accounts with what the vault owes each."""
    with app.store.read() as session:
        accounts = session.scalars(select(Account).order_by(Account.name)).all()
        app.put(
            [
                {
                    "account": account.name,
                    "balance_sats": customer_balance(session, account.name),
                    "opened": moment(account.opened),
                }
                for account in accounts
            ]
        )
