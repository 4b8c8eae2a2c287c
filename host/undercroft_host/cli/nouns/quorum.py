"""``undercroft quorum``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from undercroft_protocol.messages import DeclareRequest, Quorum, QuorumOffer

from ...custody.appliances import get_appliance
from ...custody.quorum import (
    ACTIVE,
    accepted_identities,
    current_quorum,
    draft_envelope,
    form_quorum,
    store_acceptance,
    store_declaration,
)
from ...errors import Failure, HostError
from ...gateway.watch import ensure_watching
from ..app import App, pass_app
from ..ceremony import ask_owner, timeout_option
from ..output import moment
from ..program import Noun
from .appliance import known_quorum


@click.group("quorum", cls=Noun)
def command() -> None:
    """The ceremony of the three owners: declare, form, accept; and what came of it."""


@command.command("declare")
@click.argument("name")
@timeout_option
@pass_app
def declare(app: App, name: str, timeout: int) -> None:
    """Have an appliance make its owner's key and declare it."""
    quorum = known_quorum(app)
    network = app.config.network
    with app.talk(name, None if quorum is None else quorum.id) as talk:
        raw = ask_owner(app, talk, DeclareRequest(network.value), "make a key", timeout)
    with app.store.begin(app.actor) as session:
        made = store_declaration(session, get_appliance(session, name), raw, network, app.clock)
    app.put(
        {
            "appliance": name,
            "owner": made.name,
            "site": made.site,
            "region": made.region,
            "fingerprint": made.fingerprint.hex(),
            "identity": made.identity.hex(),
        }
    )


@command.command("form")
@pass_app
def form(app: App) -> None:
    """Form the quorum of the three that have declared."""
    config = app.config
    with app.store.begin(app.actor) as session:
        form_quorum(session, config.vault_public_key, config.risk_public_key, app.clock)
        quorum, state = current_quorum(session)
        data = quorum_data(session, quorum, state)
    app.put(data)


@command.command("accept")
@click.argument("name")
@timeout_option
@pass_app
def accept(app: App, name: str, timeout: int) -> None:
    """Have an owner compare the quorum code and accept; with the third the quorum is active."""
    with app.store.read() as session:
        quorum, _ = current_quorum(session)
        envelope = draft_envelope(session, get_appliance(session, name), app.config.network)
    task = f"compare the quorum code {quorum.code} and accept"
    with app.talk(name, quorum.id) as talk:
        raw = ask_owner(app, talk, QuorumOffer(quorum, envelope), task, timeout)
    with app.store.begin(app.actor) as session:
        state = store_acceptance(session, raw, quorum, app.clock).state
        data = quorum_data(session, quorum, state)
    if state == ACTIVE:
        try:
            app.node.check_chain(app.config.network)
            ensure_watching(app.node, quorum.descriptor(), app.config.rpc_wallet)
        except HostError as error:
            # The quorum stands whatever the node says; the first address is not given out before the node watches.
            app.note(f"the node does not watch the quorum yet: {error}")
    app.put(data)


@command.command("show")
@pass_app
def show(app: App) -> None:
    """The quorum in force or forming."""
    with app.store.read() as session:
        app.put(quorum_data(session, *current_quorum(session)))


@command.command("descriptor")
@pass_app
def descriptor(app: App) -> None:
    """The quorum's output descriptor (BIP 380, 383, 389), for any other wallet to watch it."""
    with app.store.read() as session:
        found = current_quorum(session)[0].descriptor()
    data = {"descriptor": found.text(), "receive": found.text(0), "change": found.text(1)}
    app.put(data, text=data["descriptor"])


@command.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@pass_app
def export(app: App, file: Path) -> None:
    """Write the quorum (canonical CBOR, nothing secret) to a file, for undercroft-appliance check --quorum."""
    with app.store.read() as session:
        found = current_quorum(session)[0]
    try:
        file.write_bytes(found.to_bytes())
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}") from error
    app.put({"id": found.id.hex(), "code": found.code, "file": str(file)})


def quorum_data(session: Session, quorum: Quorum, state: str) -> dict[str, Any]:
    """A quorum for output."""
    accepted = accepted_identities(session, quorum.id)
    return {
        "id": quorum.id.hex(),
        "code": quorum.code,
        "state": state,
        "network": quorum.network,
        "threshold": quorum.threshold,
        "formed": moment(quorum.formed),
        "vault_key": quorum.vault_key.hex(),
        "risk_key": quorum.risk_key.hex(),
        "owners": [
            {
                "name": owner.name,
                "site": owner.site,
                "region": owner.region,
                "fingerprint": owner.fingerprint.hex(),
                "identity": owner.identity.hex(),
                "accepted": owner.identity in accepted,
            }
            for owner in quorum.owners
        ],
    }
