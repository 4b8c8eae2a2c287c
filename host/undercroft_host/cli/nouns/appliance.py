"""``undercroft appliance``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from undercroft_protocol.messages import (
    ARMED,
    UNLOCKED,
    Done,
    FreezeRequest,
    LockRequest,
    Quorum,
)

from ...custody.activations import end_activations, open_activation
from ...custody.appliances import add_appliance, get_appliance, list_appliances
from ...custody.log_proof import prove_log
from ...custody.logs import log_file
from ...custody.quorum import current_quorum
from ...desk.fetch import fetch_log
from ...desk.talk import ApplianceSession
from ...errors import ActivationUnknown, HostError, IntegrityAlarm, NotFound
from ...store import audit
from ...store.tables import Appliance
from ..app import App, pass_app
from ..files import write_new
from ..options import link_option
from ..output import moment
from ..program import Noun
from .audit import missing_words
from .freeze import vault_order

_LOG_SECONDS = 15.0


@click.group("appliance", cls=Noun)
def command() -> None:
    """The signing devices and the lines to them."""


@command.command("add")
@click.argument("name")
@click.option(
    "--link",
    required=True,
    metavar="LINK",
    help="serial:PATH or serial:PATH,BAUDRATE, a serial device; qr or qr:CAMERA,SCREEN, codes; "
    "file:FOLDER, a folder that is carried.",
)
@pass_app
def add(app: App, name: str, link: str) -> None:
    """Note an appliance and its link; nothing is sent to it."""
    with app.store.begin(app.actor) as session:
        data = appliance_data(session, add_appliance(session, name, link, clock=app.clock))
    app.put(data)


@command.command("list")
@pass_app
def list_command(app: App) -> None:
    """All appliances, with the state in which they were left; nothing is sent to them."""
    with app.store.read() as session:
        app.put([appliance_data(session, appliance) for appliance in list_appliances(session)])


@command.command("show")
@click.argument("name")
@link_option
@pass_app
def show(app: App, name: str) -> None:
    """Ask an appliance how it is."""
    quorum = known_quorum(app)
    with app.talk(name, None if quorum is None else quorum.id) as talk:
        report = talk.report
        data = {
            "name": name,
            "state": report.state,
            "owner": report.owner,
            "site": report.site,
            "armed_seconds": report.armed_seconds,
            "held": report.held,
            "memory": report.memory,
            "firmware": report.firmware_hash.hex(),
            "activation": talk.activation_id.hex(),
            "policy": None if talk.policy_hash is None else talk.policy_hash.hex(),
            "identity": None if talk.identity is None else talk.identity.hex(),
            "proven": talk.identity is not None and talk.sender == talk.identity,
        }
    app.put(data)


@command.command("lock")
@click.argument("name")
@link_option
@pass_app
def lock(app: App, name: str) -> None:
    """Have an appliance wipe its secrets; its log is fetched first."""
    quorum = known_quorum(app)
    with app.talk(name, None if quorum is None else quorum.id) as talk:
        problem = _save_log(app, talk, quorum)
        done = talk.ask(LockRequest(), Done)
    _ended(app, name, "lock-appliance", {})
    app.put({"name": name, "state": done.state})
    if problem is not None:
        raise problem


@command.command("freeze")
@click.argument("name")
@click.option("--reason", required=True, help="For the owner's screen and the log.")
@link_option
@pass_app
def freeze(app: App, name: str, reason: str) -> None:
    """Stop one appliance; its log is fetched first if it comes at once. Going on takes a fresh activation.

    The order is the vault's and stands for the whole quorum: no batch is sent until an appliance is armed anew.
    """
    quorum = app.quorum()
    order = vault_order(app, reason)
    with app.talk(name, quorum.id) as talk:
        # One carrying of the folder more would let it go on signing for hours.
        problem = None if talk.link.is_carried else _save_log(app, talk, quorum)
        done = talk.ask(FreezeRequest(order), Done)
    _ended(app, name, "freeze-appliance", {"reason": reason})
    app.put({"name": name, "state": done.state})
    if problem is not None:
        raise problem


@command.command("log")
@click.argument("name")
@click.option("--kept", is_flag=True, help="Only what was fetched before; nothing is sent to the appliance.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write it there with its seals, for undercroft-appliance read-log.")  # fmt: skip
@link_option
@pass_app
def log(app: App, name: str, kept: bool, out: Path | None) -> None:
    """Fetch an appliance's log, verify the whole chain, and show it; the exact facts in it only its owner can open."""
    quorum = known_quorum(app)
    if quorum is None:
        raise NotFound("a quorum, so no appliance has a log yet")
    if not kept:
        with app.talk(name, quorum.id) as talk:
            fetch_log(app.store, app.actor, talk, quorum, clock=app.clock)
    with app.store.read() as session:
        appliance = get_appliance(session, name)
        proof = prove_log(session, appliance)
        file = log_file(session, appliance)
    for words in missing_words(proof):
        app.note(words)
    if out is not None:
        write_new(out, file.to_bytes())
        app.put({"name": name, "file": str(out), "entries": len(file.entries), "whole": proof.is_whole})
        return
    app.put(
        [
            {
                "number": entry.number,
                "time": moment(entry.time or None),
                "event": entry.event,
                "facts": list(entry.facts),
                "sealed": entry.sealed is not None,
            }
            for entry in file.entries
        ]
    )


def known_quorum(app: App) -> Quorum | None:
    """The quorum in force or forming, or None before there is one."""
    with app.store.read() as session:
        try:
            return current_quorum(session)[0]
        except NotFound:
            return None


def appliance_data(session: Session, appliance: Appliance) -> dict[str, Any]:
    """An appliance for output, as it was left."""
    try:
        state = open_activation(session, appliance.name).state
    except ActivationUnknown:
        state = "declared" if appliance.identity is not None else "new"
    return {
        "name": appliance.name,
        "link": appliance.link,
        "last_state": state,
        "identity": None if appliance.identity is None else appliance.identity.hex(),
        "added": moment(appliance.added),
    }


def _save_log(app: App, talk: ApplianceSession, quorum: Quorum | None) -> IntegrityAlarm | None:
    """Fetch what a lock would make unreadable; an alarm about it is returned, to be raised after the lock."""
    if quorum is None or talk.report.state not in (UNLOCKED, ARMED):
        return None
    try:
        fetch_log(app.store, app.actor, talk, quorum, clock=app.clock, timeout=_LOG_SECONDS)
    except HostError as error:
        # A log that cannot be had, or is not what it must be, must not keep the secrets alive.
        app.note(f"its log was not fetched: {error}")
        return error if isinstance(error, IntegrityAlarm) else None
    return None


def _ended(app: App, name: str, action: str, facts: dict[str, int | str | None]) -> None:
    with app.store.begin(app.actor) as session:
        end_activations(session, name)
        audit.record(session, clock=app.clock, action=action, subject=f"appliance:{name}", facts=facts)
