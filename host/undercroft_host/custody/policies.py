"""The policy's life on the host: proposed from a file, approved by two owners, active until a newer one is."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from undercroft_protocol.errors import MessageError, ProtocolError
from undercroft_protocol.messages import (
    APPROVALS_NEEDED,
    Policy,
    PolicyApproval,
    Quorum,
    open_statement,
    policy_from_toml,
)

from ..clock import Clock
from ..errors import Conflict, IntegrityAlarm, NotFound, PolicyInvalid
from ..store import audit
from ..store.tables import PolicyApprovalRecord, PolicyRecord

PROPOSED: Final = "proposed"
ACTIVE: Final = "active"
RETIRED: Final = "retired"


def propose(session: Session, text: str, quorum: Quorum, clock: Clock) -> Policy:
    """Keep a policy (TOML) for the owners to approve; proposing the same one again changes nothing.

    Raises PolicyInvalid for a file that is no policy, Conflict for a version that is not above all others.
    """
    try:
        policy = policy_from_toml(text, quorum.id)
    except MessageError as error:
        raise PolicyInvalid(error.detail) from None
    if session.get(PolicyRecord, policy.hash) is not None:
        return policy
    newest = session.scalar(select(func.max(PolicyRecord.version)).where(PolicyRecord.quorum_id == quorum.id))
    # Two policies under one version, or an old one brought back, cannot be told apart in a conversation.
    if newest is not None and policy.version <= newest:
        raise Conflict(f"version {policy.version} of the policy; it must be above {newest}")
    session.add(
        PolicyRecord(
            hash=policy.hash,
            quorum_id=quorum.id,
            version=policy.version,
            cbor=policy.to_bytes(),
            text=text,
            state=PROPOSED,
            proposed=clock(),
        )
    )
    session.flush()
    facts: dict[str, int | str | None] = {"version": policy.version, "name": policy.name}
    audit.record(session, clock=clock, action="propose-policy", subject=policy.hash.hex(), facts=facts)
    return policy


def store_approval(session: Session, raw: bytes, policy: Policy, quorum: Quorum, clock: Clock) -> PolicyRecord:
    """Verify and keep an owner's approval; with the second the policy is active and older ones are retired.

    Raises IntegrityAlarm for an approval by a stranger or of something else, Conflict for a retired policy.
    """
    record = session.get(PolicyRecord, policy.hash)
    if record is None or record.state == RETIRED:
        raise Conflict(f"policy version {policy.version} is not up for approval")
    identity = verify_approval(raw, policy, quorum)
    # The key of the table is (policy, owner): one owner asked twice stays one approval.
    if session.get(PolicyApprovalRecord, (policy.hash, identity)) is None:
        session.add(PolicyApprovalRecord(policy_hash=policy.hash, identity=identity, raw=raw, received=clock()))
        session.flush()
        facts: dict[str, int | str | None] = {"owner": quorum.owner_of(identity).name, "version": policy.version}
        audit.record(session, clock=clock, action="approve-policy", subject=policy.hash.hex(), facts=facts)
    if record.state == PROPOSED and len(approvals_of(session, policy)) >= APPROVALS_NEEDED:
        _retire_older(session, record)
        record.state = ACTIVE
        session.flush()
        audit.record(
            session, clock=clock, action="activate-policy", subject=policy.hash.hex(), facts={"version": policy.version}
        )
    return record


def verify_approval(raw: bytes, policy: Policy, quorum: Quorum) -> bytes:
    """Whose approval (identity key) of exactly this policy it is; IntegrityAlarm for any other."""
    try:
        approval, signer = open_statement(PolicyApproval, raw, quorum.identities)
    except ProtocolError as error:
        raise IntegrityAlarm(f"policy approval: {error}") from error
    # An approval of milder rules must not be shown as one of these.
    if approval != PolicyApproval(quorum.id, policy.hash, policy.version):
        raise IntegrityAlarm(f"policy approval by {quorum.owner_of(signer).name}: of another policy")
    return signer


def approvals_of(session: Session, policy: Policy) -> list[PolicyApprovalRecord]:
    """The approvals of a policy, in the order of the owners' identity keys."""
    query = select(PolicyApprovalRecord).where(PolicyApprovalRecord.policy_hash == policy.hash)
    return list(session.scalars(query.order_by(PolicyApprovalRecord.identity)))


def active_policy(session: Session, quorum: Quorum) -> Policy:
    """The policy in force; NotFound when there is none."""
    return _checked(_one(session, quorum, ACTIVE))


def proposed_policy(session: Session, quorum: Quorum) -> Policy:
    """The newest policy that waits for approvals or, when none does, the active one; NotFound without either."""
    record = _newest(session, quorum, PROPOSED) or _one(session, quorum, ACTIVE)
    return _checked(record)


def list_policies(session: Session, quorum: Quorum) -> list[PolicyRecord]:
    """All policies of a quorum, the newest first."""
    query = select(PolicyRecord).where(PolicyRecord.quorum_id == quorum.id)
    return list(session.scalars(query.order_by(PolicyRecord.version.desc())))


def _retire_older(session: Session, record: PolicyRecord) -> None:
    query = select(PolicyRecord).where(
        PolicyRecord.quorum_id == record.quorum_id, PolicyRecord.version < record.version
    )
    for older in session.scalars(query):
        older.state = RETIRED


def _newest(session: Session, quorum: Quorum, state: str) -> PolicyRecord | None:
    query = select(PolicyRecord).where(PolicyRecord.quorum_id == quorum.id, PolicyRecord.state == state)
    return session.scalars(query.order_by(PolicyRecord.version.desc()).limit(1)).first()


def _one(session: Session, quorum: Quorum, state: str) -> PolicyRecord:
    record = _newest(session, quorum, state)
    if record is None:
        raise NotFound(
            f"an {state} policy", hint="propose one, and have two owners approve it: policy propose, policy approve"
        )
    return record


def _checked(record: PolicyRecord) -> Policy:
    policy = Policy.from_bytes(record.cbor)
    # Whoever can write the database must not be able to put other rules under an approved name.
    if policy.hash != record.hash:
        raise IntegrityAlarm(f"the stored policy {record.hash.hex()[:16]} is not what its name says")
    return policy
