"""``undercroft policy``."""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.address import address_of
from undercroft_protocol.messages import APPROVALS_NEEDED, Policy, PolicyOffer, Quorum, grouped_code, loosened

from ...custody.policies import (
    approvals_of,
    policy_to_approve,
    propose,
    proposed_policy,
    read_policy,
    store_approval,
)
from ...custody.policy_chain import Known, PolicyChain
from ...custody.quorum import active_quorum, current_quorum
from ...desk.replay import Replayed, judge_by_appliance, replay
from ...errors import Failure, NotFound, PolicyInvalid
from ..app import App, pass_app
from ..ceremony import ask_owner, timeout_option
from ..options import link_option
from ..output import moment
from ..program import Noun

_MOST_BYTES: Final = 4 * 1024 * 1024
_FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group("policy", cls=Noun)
def command() -> None:
    """The rules by which the appliances judge: proposed here, approved by the owners at their appliances."""


@command.command("propose")
@_FILE
@pass_app
def propose_command(app: App, file: Path) -> None:
    """Take a policy file (TOML) for the owners to approve; what it replaces is the policy in force."""
    text = _text(file)
    with app.store.begin(app.actor) as session:
        quorum = current_quorum(session)[0]
        policy = propose(session, text, quorum, app.clock)
        data = policy_data(session, policy, quorum, app.clock())
    app.put(data)


@command.command("approve")
@click.argument("name")
@timeout_option
@link_option
@pass_app
def approve(app: App, name: str, timeout: int) -> None:
    """Have an owner read a policy at an unlocked appliance and approve it; a stricter one is in force there at once."""
    quorum = app.quorum()
    with app.talk(name, quorum.id) as talk:
        with app.store.read() as session:
            policy = policy_to_approve(session, quorum, talk.policy_hash, app.clock())
        task = f"read and approve policy version {policy.version}, code {grouped_code(policy.hash)}"
        raw = ask_owner(app, talk, PolicyOffer(policy), task, timeout)
        in_force = talk.policy_hash
    with app.store.begin(app.actor) as session:
        store_approval(session, raw, policy, quorum, app.clock)
        active = PolicyChain.load(session, quorum, app.clock()).active
        data = policy_data(session, policy, quorum, app.clock())
    if in_force == policy.hash:
        app.note(f"version {policy.version} is in force at {name}")
        if active is not None and active.hash != in_force:
            app.note(f"it lags behind version {active.version} still: undercroft policy approve {name}")
    app.put(data)


@command.command("show")
@pass_app
def show(app: App) -> None:
    """The newest policy that waits for approvals or for its time, else the one in force, and all versions."""
    now = app.clock()
    with app.store.read() as session:
        quorum = current_quorum(session)[0]
        policy = proposed_policy(session, quorum, now)
        chain = PolicyChain.load(session, quorum, now)
        versions = [
            {
                "version": one.policy.version,
                "state": chain.state(one),
                "usable": moment(one.record.usable),
                "hash": one.policy.hash.hex(),
            }
            for one in chain.known
        ]
        app.put(policy_data(session, policy, quorum, now) | {"versions": versions})


@command.command("test")
@_FILE
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"]),
    help="Only batches sent since then (UTC); else all.",
)
@pass_app
def test_command(app: App, file: Path, since: datetime.datetime | None) -> None:
    """Judge past batches by a draft (TOML), and show what would have come out otherwise."""
    start = 0 if since is None else int(since.replace(tzinfo=datetime.UTC).timestamp())
    now = app.clock()
    with app.store.read() as session:
        quorum = active_quorum(session)
        active = PolicyChain.load(session, quorum, now).active
        draft = read_policy(_text(file), quorum, active)
        replayed = replay(session, quorum, draft, since=start, now=now, judge=judge_by_appliance)
    if not replayed:
        raise NotFound("a batch that was sent", hint="there is nothing to judge again; try an earlier --since")
    shown = replayed if app.options.json else [one for one in replayed if one.changes]
    app.put(_summary(draft, active, replayed) | {"transactions": [_row(one) for one in shown]})


def policy_data(session: Session, policy: Policy, quorum: Quorum, now: int) -> dict[str, Any]:
    """A policy for output."""
    chain = PolicyChain.load(session, quorum, now)
    one = chain.find(policy.hash)
    if one is None:
        raise NotFound(f"policy {policy.hash.hex()}")
    approvals = [quorum.owner_of(record.identity).name for record in approvals_of(session, policy)]
    head = {
        "hash": policy.hash.hex(),
        "code": grouped_code(policy.hash),
        "state": chain.state(one),
        "approved_by": sorted(approvals),
        "usable": moment(one.record.usable),
    }
    return head | _standing(policy, _before(chain, one)) | _rules(policy, quorum)


def _before(chain: PolicyChain, one: Known) -> Policy | None:
    found = None if one.policy.replaces is None else chain.find(one.policy.replaces)
    return None if found is None else found.policy


def _standing(policy: Policy, before: Policy | None) -> dict[str, Any]:
    """What a policy loosens against the one before, and what it takes to put it in force."""
    looser = () if before is None else loosened(before, policy)
    return {
        "looser": list(looser),
        "approvals_needed": APPROVALS_NEEDED if before is None or looser else 1,
        "delay_seconds": before.loosening_seconds if before is not None and looser else 0,
    }


def _rules(policy: Policy, quorum: Quorum) -> dict[str, Any]:
    rules = dataclasses.asdict(policy)
    del rules["quorum_id"]
    network = quorum.bitcoin_network
    listed = policy.allowlist
    return rules | {
        "replaces": None if policy.replaces is None else policy.replaces.hex(),
        "windows": list(rules["windows"]),
        "payee_types": list(policy.payee_types),
        "allowlist": None if listed is None else [address_of(script, network) for script in listed],
    }


def _summary(draft: Policy, active: Policy | None, replayed: Sequence[Replayed]) -> dict[str, Any]:
    counted = Counter((one.then.verdict, one.draft.verdict) for one in replayed)
    return {
        "draft": draft.name,
        "version": draft.version,
        "hash": draft.hash.hex(),
        **_standing(draft, active),
        "judged": len(replayed),
        "unchanged": sum(not one.changes for one in replayed),
        "changed": [
            {"then": then, "draft": now, "transactions": count}
            for (then, now), count in sorted(counted.items())
            if then != now
        ],
    }


def _row(one: Replayed) -> dict[str, Any]:
    return {
        "time": moment(one.time),
        "txid": one.txid,
        "leaves_sats": one.leaves_sats,
        "was_signed": one.was_signed,
        "policy_version": one.policy_version,
        "then": one.then.verdict,
        "then_code": one.then.code,
        "draft": one.draft.verdict,
        "draft_code": one.draft.code,
        "draft_detail": one.draft.detail or None,
        "batch": one.batch,
    }


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}") from error
    if len(data) > _MOST_BYTES:
        raise PolicyInvalid(f"it is larger than {_MOST_BYTES} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyInvalid(f"byte {error.start} is not UTF-8") from None
