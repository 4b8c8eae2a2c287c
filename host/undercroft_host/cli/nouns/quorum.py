"""``undercroft quorum``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click
from sqlalchemy.orm import Session

from undercroft_protocol.errors import QrError
from undercroft_protocol.messages import DeclareRequest, Quorum, QuorumOffer
from undercroft_protocol.qr.wallet_files import AccountForm, QuorumForm, WalletFile, account_file, quorum_file

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
from ...errors import HostError, UsageProblem
from ...gateway.watch import ensure_watching
from ..app import App, pass_app
from ..ceremony import ask_owner, timeout_option
from ..files import write_new
from ..options import link_option
from ..output import moment
from ..program import Noun
from .appliance import known_quorum

FORMS: Final = ("quorum", *(one.value for one in QuorumForm), *(one.value for one in AccountForm))


@click.group("quorum", cls=Noun)
def command() -> None:
    """The ceremony of the three owners: declare, form, accept; and what came of it."""


@command.command("declare")
@click.argument("name")
@timeout_option
@link_option
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
@link_option
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
@click.option("--form", type=click.Choice(FORMS), default=FORMS[0], show_default=True, help="What to write.")
@click.option("--owner", help="Whose account: for --form key, account, account-json.")
@click.option("--name", default="Undercroft", show_default=True, help="The wallet's name: for --form coldcard.")
@pass_app
def export(app: App, file: Path, form: str, owner: str | None, name: str) -> None:
    """Write the quorum, or one owner's account, to a file; nothing in it is secret.

    \b
    quorum        canonical CBOR, for undercroft-appliance check --quorum
    descriptor    the output descriptor with its checksum (BIP 380, 389)
    coldcard      the multisig set-up file of Coldcard, Passport, Keystone and Sparrow
    output        the CBOR item of ur:crypto-output
    key           an owner's account key with its origin
    account       the CBOR item of ur:crypto-account
    account-json  an owner's account as a Coldcard exports it

    To show it to a wallet: undercroft qr show --kind KIND FILE, with the kind that is told here.
    """
    with app.store.read() as session:
        found = current_quorum(session)[0]
    if owner is not None and form not in list(AccountForm):
        raise UsageProblem(f"--form {form} is the whole quorum's", hint="leave --owner out")
    data = {"id": found.id.hex(), "code": found.code, "file": str(file)}
    if form == FORMS[0]:
        content = found.to_bytes()
    else:
        exported = _wallet_file(found, form, owner, name)
        content = exported.data
        data |= {"form": form, "kind": exported.kind.value}
    write_new(file, content)
    app.put(data)


def _wallet_file(quorum: Quorum, form: str, owner: str | None, name: str) -> WalletFile:
    descriptor = quorum.descriptor()
    if form in list(QuorumForm):
        try:
            return quorum_file(QuorumForm(form), descriptor, name)
        except QrError as error:
            raise UsageProblem(error.detail) from error
    names = [one.name for one in quorum.owners]
    if owner not in names:
        raise UsageProblem(f"--form {form} is one owner's", hint=f"--owner {' | '.join(names)}")
    # The descriptor has its keys in the order of the owners.
    return account_file(AccountForm(form), descriptor.cosigners[names.index(owner)], quorum.bitcoin_network)


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
