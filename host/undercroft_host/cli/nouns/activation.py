"""``undercroft activation``."""

from __future__ import annotations

from typing import Any

import click

from undercroft_protocol.messages import ARMED, ArmRequest, Done, GrantRequest, Quorum

from ...custody.activations import (
    activate_request,
    check_sites,
    end_activations,
    list_activations,
    mark_armed,
    open_activation,
    store_grant,
    store_request,
)
from ...custody.appliances import get_appliance
from ...custody.quorum import active_quorum
from ...errors import ApplianceState
from ...store.tables import Activation
from ..app import App, pass_app
from ..ceremony import ask_owner, timeout_option
from ..options import link_option
from ..output import moment
from ..program import Noun


@click.group("activation", cls=Noun)
def command() -> None:
    """Open an appliance's key with its owner's passphrase, and arm it by a grant of another owner at another site."""


@command.command("open")
@click.argument("name")
@timeout_option
@link_option
@pass_app
def open_command(app: App, name: str, timeout: int) -> None:
    """Bring an empty appliance its envelope, quorum and policy; its owner types the passphrase there."""
    with app.store.read() as session:
        quorum = active_quorum(session)
        request = activate_request(session, get_appliance(session, name), quorum, clock=app.clock)
    with app.talk(name, quorum.id) as talk:
        raw = ask_owner(app, talk, request, "choose the site, confirm the time and type the passphrase", timeout)
        activation_id = talk.activation_id
    with app.store.begin(app.actor) as session:
        appliance = get_appliance(session, name)
        activation = store_request(
            session,
            appliance,
            raw,
            activation_id,
            quorum,
            policy_hash=request.policy.hash,
            began=request.time,
            clock=app.clock,
        )
        data = activation_data(activation)
    app.put(data)


@command.command("grant")
@click.argument("granter")
@click.argument("grantee")
@timeout_option
@link_option
@pass_app
def grant(app: App, granter: str, grantee: str, timeout: int) -> None:
    """Ask GRANTER's owner to grant GRANTEE's open activation, and arm GRANTEE with the grant."""
    quorum = app.quorum()
    with app.store.read() as session:
        get_appliance(session, granter)
        get_appliance(session, grantee)
        activation = open_activation(session, grantee)
        check_sites(open_activation(session, granter), activation)
    if activation.grant is None or activation.granted_by != granter:
        _get_grant(app, quorum, granter, activation, timeout)
    _arm(app, quorum, activation, timeout)
    with app.store.read() as session:
        app.put(activation_data(session.get_one(Activation, activation.id)))


@command.command("list")
@pass_app
def list_command(app: App) -> None:
    """All activations, the newest first."""
    with app.store.read() as session:
        app.put([activation_data(activation) for activation in list_activations(session)])


def activation_data(activation: Activation) -> dict[str, Any]:
    """An activation for output."""
    return {
        "appliance": activation.appliance,
        "activation": activation.id.hex(),
        "state": activation.state,
        "site": activation.site,
        "granted_by": activation.granted_by,
        "policy": activation.policy_hash.hex(),
        "requested": moment(activation.requested),
        "armed": moment(activation.armed),
    }


def _get_grant(app: App, quorum: Quorum, granter: str, activation: Activation, timeout: int) -> None:
    with app.talk(granter, quorum.id) as talk:
        task = f"grant the activation of {activation.appliance} at {activation.site}"
        raw = ask_owner(app, talk, GrantRequest(activation.request), task, timeout)
    with app.store.begin(app.actor) as session:
        stored = session.get_one(Activation, activation.id)
        store_grant(session, get_appliance(session, granter), stored, raw, quorum, clock=app.clock)


def _arm(app: App, quorum: Quorum, activation: Activation, timeout: int) -> None:
    with app.store.read() as session:
        stored_grant = session.get_one(Activation, activation.id).grant
    if stored_grant is None:
        raise ApplianceState(f"{activation.appliance} has no grant")
    name = activation.appliance
    with app.talk(name, quorum.id) as talk:
        # An appliance that was locked or restarted since has begun anew; the old grant is for nothing there.
        if talk.activation_id != activation.id:
            with app.store.begin(app.actor) as session:
                end_activations(session, name)
            raise ApplianceState(f"{name} was locked or restarted", hint=f"undercroft activation open {name}")
        app.note(f"waiting for {name}'s owner at the appliance to arm it (up to {timeout} s)")
        if talk.report.state != ARMED:
            done = talk.ask(ArmRequest(stored_grant), Done, timeout=timeout)
            if done.state != ARMED:
                raise ApplianceState(f"{name} says it is {done.state}, not armed")
    with app.store.begin(app.actor) as session:
        mark_armed(session, session.get_one(Activation, activation.id), clock=app.clock)
