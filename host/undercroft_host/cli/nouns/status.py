"""``undercroft status``."""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from undercroft_protocol.messages import Quorum

from ...custody.appliances import list_appliances
from ...custody.freezes import open_orders, signer_name
from ...custody.policy_chain import PolicyChain
from ...custody.quorum import current_quorum
from ...errors import HostError, NotFound
from ...gateway.follower import tip_height
from ...link_text import parse_link
from ...store.tables import Coin, Deposit, Payment, Withdrawal
from ...treasury.ledger import trial_balance
from ..app import App, pass_app
from ..glance import glance
from ..options import link_option
from ..output import moment
from ..program import Verb
from .appliance import appliance_data


@click.command("status", cls=Verb)
@click.option("--ask", is_flag=True, help="Ask each appliance too (a few seconds for one that is away).")
@link_option
@pass_app
def command(app: App, ask: bool) -> None:
    """Show at a glance: chain, coins, pending work, appliances, books. Works with the node down, and says so."""
    chain = _node(app)
    with app.store.read() as session:
        quorum, state = _quorum(session)
        height = tip_height(session)
        data: dict[str, Any] = {
            "home": str(app.home),
            "network": app.config.network.value,
            "chain": {**chain, "followed_height": None if height < 0 else height},
            "quorum": None if quorum is None else {"code": quorum.code, "state": state, "id": quorum.id.hex()},
            "policy": None if quorum is None else _policy(session, quorum, app.clock()),
            "coins": _coins(session),
            "deposits": _by_state(session, Deposit.state, Deposit.amount_sats),
            "withdrawals": _by_state(session, Withdrawal.state, Withdrawal.amount_sats),
            "payments": _by_state(session, Payment.state, Payment.fee_sats, "fee_sats"),
            "appliances": [appliance_data(session, appliance) for appliance in list_appliances(session)],
            "books": trial_balance(session),
            "frozen": [] if quorum is None else _frozen(session, quorum),
        }
    if ask:
        for appliance in data["appliances"]:
            appliance.update(_asked(app, appliance, None if quorum is None else quorum.id))
        # One of them may have told of an order that was not known here.
        with app.store.read() as session:
            data["frozen"] = [] if quorum is None else _frozen(session, quorum)
    app.put(data, text=glance(data))


def _node(app: App) -> dict[str, Any]:
    try:
        info = app.node.check_chain(app.config.network)
    except HostError as error:
        return {"node": f"{error.code}: {error}", "node_height": None, "catching_up": None}
    return {"node": "ok", "node_height": info.height, "catching_up": info.catching_up}


def _quorum(session: Session) -> tuple[Quorum | None, str | None]:
    try:
        return current_quorum(session)
    except NotFound:
        return None, None


def _policy(session: Session, quorum: Quorum, now: int) -> dict[str, Any] | None:
    chain = PolicyChain.load(session, quorum, now)
    one = chain.foremost
    return None if one is None else {"name": one.policy.name, "version": one.policy.version, "state": chain.state(one)}


def _frozen(session: Session, quorum: Quorum) -> list[dict[str, Any]]:
    return [
        {"by": signer_name(quorum, one.signer), "reason": one.reason, "ordered": moment(one.ordered or None)}
        for one in open_orders(session, quorum.id)
    ]


def _coins(session: Session) -> dict[str, int]:
    unspent = Coin.spent_by.is_(None)
    count, sats = _sum(session, unspent)
    locked, locked_sats = _sum(session, unspent, Coin.payment.is_not(None))
    frozen, frozen_sats = _sum(session, unspent, Coin.frozen.is_not(None))
    return {
        "count": count,
        "sats": sats,
        "locked": locked,
        "locked_sats": locked_sats,
        "frozen": frozen,
        "frozen_sats": frozen_sats,
    }


def _sum(session: Session, *conditions: Any) -> tuple[int, int]:
    query = select(func.count(), func.coalesce(func.sum(Coin.amount_sats), 0)).where(*conditions)
    count, sats = session.execute(query).one()
    return int(count), int(sats)


def _by_state(session: Session, state: Any, amount: Any, name: str = "sats") -> list[dict[str, Any]]:
    query = select(state, func.count(), func.sum(amount)).group_by(state).order_by(state)
    return [{"state": word, "count": int(count), name: int(total)} for word, count, total in session.execute(query)]


def _asked(app: App, appliance: dict[str, Any], quorum_id: bytes | None) -> dict[str, Any]:
    if parse_link(app.options.link or appliance["link"]).is_carried:
        return {"state": "not asked: files take too long", "armed_seconds": None, "held": None}
    try:
        with app.talk(appliance["name"], quorum_id) as talk:
            report = talk.report
            return {"state": report.state, "armed_seconds": report.armed_seconds, "held": report.held}
    except HostError as error:
        return {"state": f"{error.code}: {error}", "armed_seconds": None, "held": None}
