"""``undercroft policy``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from undercroft_protocol.messages import Policy, PolicyOffer, Quorum, grouped_code

from ...custody.policies import approvals_of, list_policies, propose, proposed_policy, store_approval
from ...custody.quorum import active_quorum, current_quorum
from ...errors import PolicyInvalid
from ...store.tables import PolicyRecord
from ..app import App, pass_app
from ..ceremony import ask_owner, timeout_option
from ..program import Noun


@click.group("policy", cls=Noun)
def command() -> None:
    """The rules by which the appliances judge: proposed here, approved by two owners at their appliances."""


@command.command("propose")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@pass_app
def propose_command(app: App, file: Path) -> None:
    """Take a policy file (TOML) for the owners to approve."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PolicyInvalid(f"byte {error.start} is not UTF-8") from None
    with app.store.begin(app.actor) as session:
        quorum = current_quorum(session)[0]
        policy = propose(session, text, quorum, app.clock)
        data = policy_data(session, policy, quorum)
    app.put(data)


@command.command("approve")
@click.argument("name")
@timeout_option
@pass_app
def approve(app: App, name: str, timeout: int) -> None:
    """Have an owner read the newest proposed policy at an unlocked appliance and approve it."""
    with app.store.read() as session:
        quorum = active_quorum(session)
        policy = proposed_policy(session, quorum)
    with app.talk(name, quorum.id) as talk:
        task = f"read and approve policy version {policy.version}, code {grouped_code(policy.hash)}"
        raw = ask_owner(app, talk, PolicyOffer(policy), task, timeout)
    with app.store.begin(app.actor) as session:
        store_approval(session, raw, policy, quorum, app.clock)
        data = policy_data(session, policy, quorum)
    app.put(data)


@command.command("show")
@pass_app
def show(app: App) -> None:
    """The newest policy that waits for approvals, else the one in force, and all versions."""
    with app.store.read() as session:
        quorum = current_quorum(session)[0]
        policy = proposed_policy(session, quorum)
        versions = [
            {"version": record.version, "state": record.state, "hash": record.hash.hex()}
            for record in list_policies(session, quorum)
        ]
        app.put(policy_data(session, policy, quorum) | {"versions": versions})


def policy_data(session: Session, policy: Policy, quorum: Quorum) -> dict[str, Any]:
    """A policy for output."""
    rules = dataclasses.asdict(policy)
    del rules["quorum_id"]
    approvals = [quorum.owner_of(record.identity).name for record in approvals_of(session, policy)]
    head = {
        "hash": policy.hash.hex(),
        "code": grouped_code(policy.hash),
        "state": session.get_one(PolicyRecord, policy.hash).state,
        "approved_by": sorted(approvals),
    }
    return head | rules | {"windows": list(rules["windows"]), "payee_types": list(policy.payee_types)}
