"""``undercroft treasury``."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import click

from undercroft_protocol.bitcoin.transaction import Outpoint, txid_to_hex

from ...treasury.deposits import credit_deposits
from ...treasury.ledger import trial_balance
from ...treasury.reconcile import reconcile
from ...treasury.settlement import settle_payments
from ..app import App, pass_app
from ..options import SECONDS
from ..program import Noun

_ACTOR = "treasury"


@click.group("treasury", cls=Noun)
def command() -> None:
    """Credit deposits, settle payments, keep the books."""


@command.command("run")
@click.option("--once", is_flag=True, help="Do what is due, and end.")
@click.option("--interval", type=SECONDS, default=10, show_default=True, help="Seconds between two rounds.")
@pass_app
def run(app: App, once: bool, interval: int) -> None:
    """Credit confirmed deposits and settle confirmed payments; until interrupted, or --once."""
    while True:
        done = _round(app)
        if once:
            app.put(done)
            return
        if any(done.values()):
            app.note(f"{len(done['credited'])} credited, {len(done['settled'])} settled")
        time.sleep(interval)


@command.command("balance")
@pass_app
def balance(app: App) -> None:
    """Every account of the books; debits positive, credits negative, together zero."""
    with app.store.read() as session:
        rows = [{"account": name, "balance_sats": sats} for name, sats in trial_balance(session).items()]
    app.put(rows)


@command.command("reconcile")
@click.option("--scan", is_flag=True, help="Ask the node's whole set of unspent outputs, not its wallet.")
@pass_app
def reconcile_command(app: App, scan: bool) -> None:
    """Compare books and chain to the satoshi; exit code 8 when a difference is unexplained."""
    app.node.check_chain(app.config.network)
    with app.store.read() as session:
        found = reconcile(session, app.node, wallet=app.config.rpc_wallet, scan=scan)
    app.put({**dataclasses.asdict(found), "agree": True})


def _round(app: App) -> dict[str, list[dict[str, Any]]]:
    with app.store.begin(_ACTOR) as session:
        credited = [
            {
                "deposit": str(Outpoint(deposit.txid, deposit.vout)),
                "account": deposit.account,
                "amount_sats": deposit.amount_sats,
            }
            for deposit in credit_deposits(session, clock=app.clock)
        ]
    with app.store.begin(_ACTOR) as session:
        settled = [
            {"payment": payment.id, "txid": txid_to_hex(payment.txid), "fee_sats": payment.fee_sats}
            for payment in settle_payments(
                session, settle_confirmations=app.config.settle_confirmations, clock=app.clock
            )
        ]
    return {"credited": credited, "settled": settled}
