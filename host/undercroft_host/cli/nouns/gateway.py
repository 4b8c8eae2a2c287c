"""``undercroft gateway``."""

from __future__ import annotations

import dataclasses

import click

from ...custody.quorum import active_quorum
from ...errors import NotFound
from ...gateway.broadcast import finish_intents
from ...gateway.follower import sync
from ...gateway.watch import ensure_watching
from ...vault.addresses import CHANGE, RECEIVE, highest_index
from ..app import App, pass_app
from ..program import Noun

_ALARM_EXIT = 8


@click.group("gateway", cls=Noun)
def command() -> None:
    """Follow the chain."""


@command.command("sync")
@pass_app
def sync_command(app: App) -> int:
    """Finish what was being broadcast, then follow the chain to its tip; exit code 8 when something needs a person."""
    node, config = app.node, app.config
    node.check_chain(config.network)
    _watch(app)
    finished = finish_intents(app.store, node, app.clock)
    report = sync(app.store, node, config.network, clock=app.clock, wallet=config.rpc_wallet)
    app.put({**dataclasses.asdict(report), "alarms": list(report.alarms), "broadcast_again": finished})
    for alarm in report.alarms:
        app.note(f"alarm: {alarm}")
    return _ALARM_EXIT if report.alarms else 0


def _watch(app: App) -> None:
    with app.store.read() as session:
        try:
            quorum = active_quorum(session)
        except NotFound:
            # Before the ceremony there is nothing to watch, but the chain can be followed.
            return
        highest = max(highest_index(session, quorum.id, branch) for branch in (RECEIVE, CHANGE))
    ensure_watching(app.node, quorum.descriptor(), app.config.rpc_wallet, highest_index=highest)
