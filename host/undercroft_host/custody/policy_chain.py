"""The policies of a quorum as a chain: each replaces the one before, and the newest that may be used is in force.

Nothing here is written down as a state: which policy is in force follows from the time from which each may be used and
from what it replaces, so that a policy whose delay ends at night is in force at night.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.messages import Policy, Quorum

from ..errors import IntegrityAlarm
from ..store.tables import PolicyRecord

PROPOSED: Final = "proposed"
APPROVED: Final = "approved"
ACTIVE: Final = "active"
RETIRED: Final = "retired"


@dataclass(frozen=True, slots=True)
class Known:
    """A policy as it is stored."""

    policy: Policy
    record: PolicyRecord


@dataclass(frozen=True, slots=True)
class PolicyChain:
    """``known``: all policies, the newest first; ``in_force``: those that came into force one after another, the oldest
    first, as of one moment."""

    known: tuple[Known, ...]
    in_force: tuple[Known, ...]

    @classmethod
    def load(cls, session: Session, quorum: Quorum, now: int) -> PolicyChain:
        """The chain at ``now`` (seconds since 1970); raises IntegrityAlarm for a stored policy under a false name."""
        query = select(PolicyRecord).where(PolicyRecord.quorum_id == quorum.id)
        records = session.scalars(query.order_by(PolicyRecord.version.desc(), PolicyRecord.proposed.desc()))
        known = tuple(Known(_checked(record), record) for record in records)
        in_force: list[Known] = []
        while (following := _following(known, in_force[-1].policy.hash if in_force else None, now)) is not None:
            in_force.append(following)
        return cls(known, tuple(in_force))

    @property
    def active(self) -> Policy | None:
        """The policy in force."""
        return self.in_force[-1].policy if self.in_force else None

    @property
    def foremost(self) -> Known | None:
        """The newest policy that waits for approvals or for its time or, without one, the one in force."""
        waiting = (one for one in self.known if self.state(one) in (PROPOSED, APPROVED))
        return next(waiting, self.in_force[-1] if self.in_force else None)

    def find(self, policy_hash: bytes) -> Known | None:
        """A policy by its hash."""
        return next((one for one in self.known if one.policy.hash == policy_hash), None)

    def state(self, one: Known) -> str:
        """``proposed``: too few approvals; ``approved``: waits for its time; ``active``: in force; ``retired``: it was
        in force, or can be no more, because it replaces another than the one in force."""
        if one in self.in_force:
            return ACTIVE if one is self.in_force[-1] else RETIRED
        if one.policy.replaces != (None if self.active is None else self.active.hash):
            return RETIRED
        return PROPOSED if one.record.usable is None else APPROVED

    def after(self, policy_hash: bytes) -> Policy | None:
        """The policy that came into force after this one, if this one was in force."""
        for before, following in zip(self.in_force, self.in_force[1:], strict=False):
            if before.policy.hash == policy_hash:
                return following.policy
        return None


def _following(known: Sequence[Known], replaces: bytes | None, now: int) -> Known | None:
    """Which of the policies that replace this one came into force: the first that could."""
    candidates = [
        (one.record.usable, one.policy.version, one.policy.hash, one)
        for one in known
        if one.policy.replaces == replaces and one.record.usable is not None and one.record.usable <= now
    ]
    return min(candidates, key=lambda candidate: candidate[:3])[3] if candidates else None


def _checked(record: PolicyRecord) -> Policy:
    policy = Policy.from_bytes(record.cbor)
    # Whoever can write the database must not be able to put other rules under an approved name.
    if policy.hash != record.hash:
        raise IntegrityAlarm(f"the stored policy {record.hash.hex()[:16]} is not what its name says")
    return policy
