"""The policy's life on the host: proposed from a file, approved by owners, in force from its time until a newer one is.

One owner's approval is enough for a policy that only tightens the one in force; one that loosens a rule needs two, and
then waits. The appliances decide this by themselves; the host keeps what they need for it, and tells people.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.errors import MessageError, ProtocolError
from undercroft_protocol.messages import (
    APPROVALS_NEEDED,
    MOST_LOOSENING_SECONDS,
    MOST_VERSION_STEP,
    ApprovedPolicy,
    Policy,
    PolicyApproval,
    Quorum,
    grouped_code,
    loosened,
    open_statement,
)
from undercroft_protocol.messages.policy_text import policy_from_toml

from ..clock import Clock
from ..errors import ApplianceState, Conflict, IntegrityAlarm, NotFound, PolicyInvalid
from ..store import audit
from ..store.tables import PolicyApprovalRecord, PolicyRecord
from .policy_chain import RETIRED, Known, PolicyChain

MOST_LINEAGE: Final = 32
"""Policies that an activation can bring beside the one in force."""


def propose(session: Session, text: str, quorum: Quorum, clock: Clock) -> Policy:
    """Keep a policy (TOML) for the owners to approve; proposing the same one again changes nothing.

    A later version that does not say what it replaces replaces the one in force. Raises PolicyInvalid for a file that
    is no policy, Conflict for a version that is not above all others, that replaces another than the one in force, or
    that no activation could bring.
    """
    chain = PolicyChain.load(session, quorum, clock())
    alive = [one for one in chain.known if chain.state(one) != RETIRED]
    for one in alive:
        if one.record.text == text:
            return one.policy
    policy = read_policy(text, quorum, chain.active)
    if any(one.policy.hash == policy.hash for one in alive):
        return policy
    _check_follows(policy, chain)
    _check_can_be_brought(session, chain, quorum, clock())
    latest = max((one.record.proposed for one in chain.known), default=0)
    session.add(
        PolicyRecord(
            hash=policy.hash,
            quorum_id=quorum.id,
            version=policy.version,
            cbor=policy.to_bytes(),
            text=text,
            # Two in one second keep their order.
            proposed=max(clock(), latest + 1),
            usable=None,
        )
    )
    session.flush()
    facts: dict[str, int | str | None] = {"version": policy.version, "name": policy.name}
    audit.record(session, clock=clock, action="propose-policy", subject=policy.hash.hex(), facts=facts)
    return policy


def read_policy(text: str, quorum: Quorum, active: Policy | None) -> Policy:
    """A policy (TOML) of this quorum, to replace ``active`` where it says nothing else; raises PolicyInvalid."""
    try:
        return policy_from_toml(text, quorum.id, quorum.bitcoin_network, None if active is None else active.hash)
    except MessageError as error:
        raise PolicyInvalid(error.detail) from None


def _check_follows(policy: Policy, chain: PolicyChain) -> None:
    """Raises Conflict unless the policy may be the next."""
    newest, active = chain.known[0].policy.version if chain.known else 0, chain.active
    # Two policies under one version, or an old one brought back, cannot be told apart in a conversation. A first one
    # that no two owners have approved may be corrected: a later version would have nothing to replace.
    if policy.version <= newest and not (active is None and policy.version == 1):
        raise Conflict(f"version {policy.version} of the policy; it must be above {newest}")
    if policy.replaces != (None if active is None else active.hash):
        in_force = "none" if active is None else grouped_code(active.hash)
        raise Conflict(
            f"the policy replaces another one than that in force ({in_force})", hint="leave replaces out of the file"
        )
    # Appliances refuse it: after the highest number that there is, no policy could follow.
    highest = policy.version if active is None else active.version + MOST_VERSION_STEP
    if policy.version > highest:
        raise Conflict(f"version {policy.version} of the policy; {highest} is the highest now")


def store_approval(session: Session, raw: bytes, policy: Policy, quorum: Quorum, clock: Clock) -> PolicyRecord:
    """Verify and keep an owner's approval, and note from when the policy may be used as soon as there are enough.

    Raises IntegrityAlarm for an approval by a stranger or of something else, Conflict for a policy that can never come
    into force.
    """
    chain = PolicyChain.load(session, quorum, clock())
    one = chain.find(policy.hash)
    if one is None or (chain.state(one) == RETIRED and one not in chain.in_force):
        raise Conflict(f"policy version {policy.version} is not up for approval")
    record = one.record
    _, identity = verify_approval(raw, policy, quorum)
    # The key of the table is (policy, owner): one owner asked twice stays one approval.
    if session.get(PolicyApprovalRecord, (policy.hash, identity)) is None:
        session.add(PolicyApprovalRecord(policy_hash=policy.hash, identity=identity, raw=raw, received=clock()))
        session.flush()
        facts: dict[str, int | str | None] = {"owner": quorum.owner_of(identity).name, "version": policy.version}
        audit.record(session, clock=clock, action="approve-policy", subject=policy.hash.hex(), facts=facts)
    usable = _usable_from(session, one, chain, quorum, clock()) if record.usable is None else None
    if usable is not None:
        record.usable = usable
        session.flush()
        facts = {"version": policy.version, "usable": usable}
        audit.record(session, clock=clock, action="activate-policy", subject=policy.hash.hex(), facts=facts)
    return record


def verify_approval(raw: bytes, policy: Policy, quorum: Quorum) -> tuple[PolicyApproval, bytes]:
    """An approval of exactly this policy, and whose (identity key) it is; IntegrityAlarm for any other."""
    try:
        approval, signer = open_statement(PolicyApproval, raw, quorum.identities)
    except ProtocolError as error:
        raise IntegrityAlarm(f"policy approval: {error}") from error
    name = quorum.owner_of(signer).name
    # An approval of milder rules must not be shown as one of these.
    if approval != PolicyApproval(quorum.id, policy.hash, policy.version, approval.time):
        raise IntegrityAlarm(f"policy approval by {name}: of another policy")
    # Appliances count no such approval, and none of them makes one.
    if approval.time == 0 and policy.version > 1:
        raise IntegrityAlarm(f"policy approval by {name}: without a time")
    return approval, signer


def approvals_of(session: Session, policy: Policy) -> list[PolicyApprovalRecord]:
    """The approvals of a policy, in the order of the owners' identity keys."""
    query = select(PolicyApprovalRecord).where(PolicyApprovalRecord.policy_hash == policy.hash)
    return list(session.scalars(query.order_by(PolicyApprovalRecord.identity)))


def active_policy(session: Session, quorum: Quorum, now: int) -> Policy:
    """The policy in force at ``now`` (seconds since 1970); NotFound when there is none."""
    return _found(PolicyChain.load(session, quorum, now).active)


def proposed_policy(session: Session, quorum: Quorum, now: int) -> Policy:
    """The newest policy that waits for approvals or for its time or, without one, the one in force; else NotFound."""
    foremost = PolicyChain.load(session, quorum, now).foremost
    return _found(None if foremost is None else foremost.policy)


def policy_to_approve(session: Session, quorum: Quorum, in_force: bytes | None, now: int) -> Policy:
    """What to offer to an appliance on which the policy ``in_force`` (hash) is in force (None: none is).

    One that lags behind is offered what came into force after its own; raises ApplianceState where it must be activated
    anew for that, NotFound without any policy.
    """
    chain = PolicyChain.load(session, quorum, now)
    if in_force is None or chain.active is None or in_force == chain.active.hash:
        policy = proposed_policy(session, quorum, now)
        if in_force is None and policy.version > 1:
            hint = "open its key first: undercroft activation open NAME"
            raise ApplianceState(f"version {policy.version} is approved where a policy is in force", hint=hint)
        return policy
    anew = "lock it and activate it: undercroft appliance lock NAME, undercroft activation open NAME"
    one, following = chain.find(in_force), chain.after(in_force)
    if one is None:
        raise ApplianceState(f"a policy is in force there that is unknown here: {grouped_code(in_force)}", hint=anew)
    if following is not None:
        if loosened(one.policy, following):
            detail = f"version {one.policy.version} is in force there, and version {following.version} loosens it"
            raise ApplianceState(detail, hint=anew)
        return following
    # Its owner's approval was lost on the way: what is in force there waits here.
    return one.policy


def policy_of_appliance(session: Session, quorum: Quorum, policy_hash: bytes | None, now: int) -> Policy:
    """The policy in force on an appliance, by the hash that it reports; ApplianceState unless owners approved it."""
    chain = PolicyChain.load(session, quorum, now)
    one = None if policy_hash is None else chain.find(policy_hash)
    if one is None:
        code = "none" if policy_hash is None else grouped_code(policy_hash)
        hint = "lock it and activate it: undercroft appliance lock NAME, undercroft activation open NAME"
        raise ApplianceState(f"the policy in force there is unknown here: {code}", hint=hint)
    if one.record.usable is None:
        hint = "its owner's approval did not arrive; ask again: undercroft policy approve NAME"
        raise ApplianceState(f"policy version {one.policy.version} is in force there, and not approved here", hint=hint)
    return one.policy


def approved_policy(session: Session, policy: Policy) -> ApprovedPolicy:
    """A policy with its owners' approvals."""
    return ApprovedPolicy(policy, tuple(record.raw for record in approvals_of(session, policy)))


def lineage(session: Session, chain: PolicyChain, quorum: Quorum, now: int) -> tuple[ApprovedPolicy, ...]:
    """The policies before the one in force, the oldest first: as many as an activation can bring.

    The first of them must stand by itself: a first version, or one that two owners approved long ago.
    """
    before = _rooted(session, chain.in_force[:-1], quorum, now)
    return tuple(approved_policy(session, policy) for policy in before)


def _check_can_be_brought(session: Session, chain: PolicyChain, quorum: Quorum, now: int) -> None:
    # Attack: one owner tightens again and again, until what an activation can bring reaches back to nothing that two
    # owners approved, and no appliance takes the policy in force any more.
    if chain.in_force and not _rooted(session, chain.in_force, quorum, now):
        days = MOST_LOOSENING_SECONDS // 86_400
        raise Conflict(
            f"no second owner has approved any of the last {MOST_LINEAGE} policies {days} days ago or before",
            hint=f"have a second owner approve the one in force, and wait {days} days: undercroft policy approve NAME",
        )


def _rooted(session: Session, chain: Sequence[Known], quorum: Quorum, now: int) -> list[Policy]:
    """The last of these policies, as many as an activation can bring, from one on that stands by itself."""
    policies = [one.policy for one in chain][-MOST_LINEAGE:]
    while policies and not _stands_alone(session, policies[0], quorum, now):
        policies.pop(0)
    return policies


def _stands_alone(session: Session, policy: Policy, quorum: Quorum, now: int) -> bool:
    if policy.version == 1:
        return True
    second = _second_approval(session, policy, quorum)
    return second is not None and second + MOST_LOOSENING_SECONDS <= now


def _usable_from(session: Session, one: Known, chain: PolicyChain, quorum: Quorum, now: int) -> int | None:
    """From when a policy with these approvals may be used, or None; the appliances reckon alike."""
    second, replaces = _second_approval(session, one.policy, quorum), one.policy.replaces
    if replaces is None:
        return None if second is None else now
    before = chain.find(replaces)
    if before is None:
        raise IntegrityAlarm(f"policy version {one.policy.version} replaces one that is unknown here")
    if not loosened(before.policy, one.policy):
        return now
    return None if second is None else max(now, second + before.policy.loosening_seconds)


def _second_approval(session: Session, policy: Policy, quorum: Quorum) -> int | None:
    """When the second owner approved it, by that owner's appliance."""
    raws = [record.raw for record in approvals_of(session, policy)]
    times = sorted(verify_approval(raw, policy, quorum)[0].time for raw in raws)
    return times[APPROVALS_NEEDED - 1] if len(times) >= APPROVALS_NEEDED else None


def _found(policy: Policy | None) -> Policy:
    if policy is None:
        raise NotFound(
            "an active policy", hint="propose one, and have two owners approve it: policy propose, policy approve"
        )
    return policy
