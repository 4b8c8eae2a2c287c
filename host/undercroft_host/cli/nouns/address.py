"""``undercroft address``."""

from __future__ import annotations

import click
from sqlalchemy import select

from ...custody.quorum import active_quorum
from ...gateway.watch import ensure_watching
from ...store.tables import Address
from ...vault.addresses import RECEIVE, highest_index, issue_address
from ..app import App, pass_app
from ..output import moment
from ..program import Noun

_WATCH_AGAIN = 100
"""The node watches 1000 addresses ahead; it is asked to watch more long before they are used up."""


@click.group("address", cls=Noun)
def command() -> None:
    """Deposit addresses: each is given out once."""


@command.command("issue")
@click.argument("account")
@pass_app
def issue(app: App, account: str) -> None:
    """A fresh deposit address for an account."""
    with app.store.read() as session:
        quorum = active_quorum(session)
        highest = highest_index(session, quorum.id, RECEIVE)
    # An address that nobody watches must not be given out.
    if (highest + 1) % _WATCH_AGAIN == 0:
        app.node.check_chain(app.config.network)
        ensure_watching(app.node, quorum.descriptor(), app.config.rpc_wallet, highest_index=highest)
    with app.store.begin(app.actor) as session:
        address = issue_address(session, quorum, account, clock=app.clock)
        data = {"address": address.text, "account": account, "index": address.index}
    app.put(data, text=address.text)


@command.command("list")
@click.option("--account", help="Only this account's.")
@click.option("--change", is_flag=True, help="Change addresses too.")
@pass_app
def list_addresses(app: App, account: str | None, change: bool) -> None:
    """The addresses given out."""
    query = select(Address).order_by(Address.branch, Address.index)
    if account is not None:
        query = query.where(Address.account == account)
    if not change:
        query = query.where(Address.branch == RECEIVE)
    with app.store.read() as session:
        app.put(
            [
                {
                    "address": address.text,
                    "account": address.account,
                    "branch": address.branch,
                    "index": address.index,
                    "issued": moment(address.issued),
                }
                for address in session.scalars(query)
            ]
        )
