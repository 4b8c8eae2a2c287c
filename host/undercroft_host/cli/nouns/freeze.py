"""``undercroft freeze``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from undercroft_protocol.messages import EMPTY, Done, FreezeOrder, FreezeRequest, sign_statement

from ...custody.activations import end_activations
from ...custody.appliances import list_appliances
from ...custody.freezes import learn_order, open_orders
from ...errors import ApplianceSilent, HostError, NotFound, UsageProblem
from ...link_text import carrier_of, parse_link
from ...store import audit
from ..app import App, pass_app
from ..options import link_option
from ..program import Verb

MOST_REASON = 200


@click.command("freeze", cls=Verb)
@click.option("--by-vault", "reason", metavar="REASON", help="By an order of the vault; else by an owner's, if known.")
@link_option
@pass_app
def command(app: App, reason: str | None) -> None:
    """Stop every appliance at once. Going on takes a fresh activation.

    Without --by-vault it passes on the newest order that an owner gave at an appliance; `undercroft status --ask`
    hears of one.
    """
    order = known_order(app) if reason is None else vault_order(app, reason)
    with app.store.read() as session:
        links = {one.name: parse_link(app.options.link or one.link) for one in list_appliances(session)}
    if not links:
        raise NotFound("an appliance")
    rows = [_carried(name) for name, link in links.items() if link.is_carried]
    by_carrier: dict[str, list[str]] = {}
    for name, link in links.items():
        if not link.is_carried:
            by_carrier.setdefault(carrier_of(link, camera=app.qr_desk.camera), []).append(name)
    # All at once: a line that is dead must not keep the others waiting; one by one where they share a camera.
    with ThreadPoolExecutor(max(1, len(by_carrier))) as pool:
        for sent in pool.map(lambda names: [send_order(app, name, order) for name in names], by_carrier.values()):
            rows += sent
    rows.sort(key=lambda row: str(row["name"]))
    app.put(rows)
    for name in [row["name"] for row in rows if row["proven"] is False]:
        # Attack: whoever sits on the line says for an armed appliance that nothing is open there.
        app.note(f"{name}: only an open appliance can prove who it is; call its owner")
    silent = [row["name"] for row in rows if row["problem"] is not None]
    if silent:
        raise ApplianceSilent(f"not reached: {', '.join(silent)}", hint="call their owners: they type freeze there")


def _carried(name: str) -> dict[str, Any]:
    problem = f"files take too long; call its owner, or: undercroft appliance freeze {name}"
    return {"name": name, "state": None, "proven": None, "problem": problem}


def send_order(app: App, name: str, order: bytes) -> dict[str, Any]:
    """Send an order to one appliance; what came of it, for output."""
    try:
        with app.talk(name, app.quorum().id) as talk:
            # An appliance with nothing open has nothing to stop.
            state = talk.report.state if talk.report.state == EMPTY else talk.ask(FreezeRequest(order), Done).state
            proven = talk.identity is not None and talk.sender == talk.identity
    except HostError as error:
        return {"name": name, "state": None, "proven": None, "problem": f"{error.code}: {error}"}
    with app.store.begin(app.actor) as session:
        end_activations(session, name)
        audit.record(session, clock=app.clock, action="freeze-appliance", subject=f"appliance:{name}", facts={})
    return {"name": name, "state": state, "proven": proven, "problem": None}


def known_order(app: App) -> bytes:
    """The newest freeze order that still stands; raises NotFound when there is none."""
    with app.store.read() as session:
        orders = open_orders(session, app.quorum().id)
    if not orders:
        hint = "ask the appliances: undercroft status --ask; or stop them with: undercroft freeze --by-vault REASON"
        raise NotFound("a freeze order of an owner", hint=hint)
    return orders[-1].raw


def vault_order(app: App, reason: str) -> bytes:
    """An order of the vault, kept before it is sent."""
    if not reason or len(reason) > MOST_REASON or not reason.isascii() or not reason.isprintable():
        raise UsageProblem(f"a reason is printable ASCII, 1 to {MOST_REASON} characters")
    quorum, signer = app.quorum(), app.vault_signer()
    order = sign_statement(FreezeOrder(quorum.id, reason, app.clock()), signer.public_key, signer.sign)
    with app.store.begin(app.actor) as session:
        learn_order(session, quorum.id, order, clock=app.clock)
    return order
