"""Which policy may be used: who must have approved it, what it replaces, how long it has waited.

Two owners put a policy in force. One alone may tighten the one in force, at once. What loosens a rule waits after the
second approval, so that the third owner, or a tricked one, has time to stop it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from undercroft_protocol.errors import ProtocolError
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

from .refusals import (
    APPROVALS_INSUFFICIENT,
    POLICY_LINEAGE,
    POLICY_OLDER,
    POLICY_OTHER_QUORUM,
    POLICY_REPLACES,
    POLICY_TOO_YOUNG,
    POLICY_UNDATED,
    Refusal,
)
from .text import duration, moment


@dataclass(frozen=True, slots=True)
class PolicyMark:
    """The newest policy of a quorum that was in force on this appliance; nothing older comes back."""

    version: int
    hash: bytes

    @classmethod
    def of(cls, policy: Policy) -> PolicyMark:
        return cls(policy.version, policy.hash)


@dataclass(frozen=True, slots=True)
class Authority:
    """Why a policy may be used.

    ``approvers`` are owners' names; ``since`` is when the second of them approved it (seconds since 1970, None without
    a second one, 0 without a time). ``before`` is the policy to compare it with on the screen: the newest that was in
    force here, else the one that it replaces, else None.
    """

    approvers: tuple[str, ...]
    since: int | None
    before: Policy | None


@dataclass(frozen=True, slots=True)
class _Approved:
    """A policy, and when (seconds since 1970, 0: no time) each owner (identity) approved it first."""

    policy: Policy
    times: dict[bytes, int]

    @property
    def since(self) -> int | None:
        """When the second owner approved it."""
        # Attack: one owner's clock is wrong by two days; the other one's is not, and the second counts.
        times = sorted(self.times.values())
        return times[APPROVALS_NEEDED - 1] if len(times) >= APPROVALS_NEEDED else None


def authorise(
    quorum: Quorum,
    approved: ApprovedPolicy,
    lineage: Sequence[ApprovedPolicy],
    utc: int,
    mark: PolicyMark | None,
) -> Authority:
    """Why this policy may be used now (``utc``: seconds since 1970, which the owner must still confirm).

    ``lineage`` are the policies before it, the oldest first, each of which must be usable by the same rules. Raises
    Refusal for a policy of another quorum, too few approvals, a lineage that does not lead to it, a loosening that has
    not waited, a policy that is older than the newest known here (``mark``).
    """
    chain = [_opened(quorum, one) for one in (*lineage, approved)]
    before: Policy | None = None
    for one in chain:
        _check_follows(one.policy, before)
        _check_usable(one, before, utc)
        before = one.policy
    newest = chain[-1]
    known = {one.policy.hash: one.policy for one in chain[:-1]}
    _check_not_older(newest, known, mark, utc)
    shown = None if mark is None else known.get(mark.hash)
    if shown is None and newest.policy.replaces is not None:
        shown = known.get(newest.policy.replaces)
    approvers = tuple(sorted(quorum.owner_of(identity).name for identity in newest.times))
    return Authority(approvers, newest.since, shown)


def check_offer(policy: Policy, in_force: Policy | None, utc: int | None) -> None:
    """Raises Refusal unless an owner may approve this policy here and now.

    Either it is the one in force, or it is a later version that replaces the one in force, or nothing is in force here
    and it is a first version.
    """
    # Attack: an approval without a time, which the delay of a loosening is then not measured from.
    if policy.version > 1 and utc is None:
        raise Refusal(POLICY_UNDATED, f"version {policy.version}")
    if in_force is None or policy.hash == in_force.hash:
        return
    # Attack: compared with other rules than those in force, a loosening looks like a tightening.
    if policy.replaces != in_force.hash:
        what = "nothing" if policy.replaces is None else grouped_code(policy.replaces)
        raise Refusal(POLICY_REPLACES, f"{what} where {grouped_code(in_force.hash)} is in force")
    # Attack: new rules under an old number, which people who compare versions take for the old ones.
    if policy.version <= in_force.version:
        raise Refusal(POLICY_OLDER, f"version {policy.version} after {in_force.version}")
    _check_step(policy, in_force)


def _opened(quorum: Quorum, approved: ApprovedPolicy) -> _Approved:
    """A policy of this quorum with the approvals of exactly it; raises Refusal."""
    policy = approved.policy
    if policy.quorum_id != quorum.id:
        raise Refusal(POLICY_OTHER_QUORUM, f"quorum {grouped_code(policy.quorum_id)}")
    times: dict[bytes, int] = {}
    for data in approved.approvals:
        try:
            approval, signer = open_statement(PolicyApproval, data, quorum.identities)
        except ProtocolError as error:
            raise Refusal(APPROVALS_INSUFFICIENT, str(error)) from error
        if (approval.quorum_id, approval.policy_hash, approval.version) != (quorum.id, policy.hash, policy.version):
            continue
        # Attack: an approval of a later version that says no time, as if it had waited for ever.
        if approval.time == 0 and policy.version > 1:
            continue
        # Attack: one owner approves twice, to be counted as two.
        times[signer] = min(times.get(signer, approval.time), approval.time)
    return _Approved(policy, times)


def _check_follows(policy: Policy, before: Policy | None) -> None:
    if before is None:
        return
    # Attack: a lineage that skips the policy which this one loosens, or that is another quorum's or branch's.
    if policy.replaces != before.hash or policy.version <= before.version:
        raise Refusal(POLICY_LINEAGE, f"version {policy.version} does not replace version {before.version}")
    _check_step(policy, before)


def _check_step(policy: Policy, before: Policy) -> None:
    # Attack: one owner "tightens" to the highest number there is, and no policy can ever follow.
    if policy.version > before.version + MOST_VERSION_STEP:
        step = f"version {policy.version} after {before.version}"
        raise Refusal(POLICY_LINEAGE, f"{step}, by more than {MOST_VERSION_STEP}")


def _check_usable(one: _Approved, before: Policy | None, utc: int) -> None:
    """``before``, itself usable, is the policy that it replaces; None for a first version, and where it is unknown."""
    policy, count = one.policy, len(one.times)
    if before is None:
        looser: tuple[str, ...] = () if policy.version == 1 else ("what it replaces is unknown",)
        least = APPROVALS_NEEDED
    else:
        looser = loosened(before, policy)
        # What loosens nothing takes one owner: whoever takes an appliance over may only make it stricter.
        least = APPROVALS_NEEDED if looser else 1
    # Attack: the host, or one owner alone, loosens a rule (custody.md S18).
    if count < least:
        detail = f"{count} of {least} owners approved version {policy.version}"
        raise Refusal(APPROVALS_INSUFFICIENT, f"{detail}; looser: {', '.join(looser)}" if looser else detail)
    if looser:
        # Attack: the host keeps back a policy with a long delay, so that a short one is taken.
        delay = MOST_LOOSENING_SECONDS if before is None else before.loosening_seconds
        _check_waited(one, delay, utc)


def _check_waited(one: _Approved, delay_seconds: int, utc: int) -> None:
    since = one.since
    if since is None:
        raise Refusal(APPROVALS_INSUFFICIENT, f"{len(one.times)} of {APPROVALS_NEEDED} owners approved it")
    # Attack: an owner who is forced, or tricked, has no time to say so. An approval from the future is young, too.
    if utc - since < delay_seconds:
        detail = f"version {one.policy.version} approved {moment(since)}, and now it is {moment(utc)}"
        raise Refusal(POLICY_TOO_YOUNG, f"{detail}; wait {duration(delay_seconds)}")


def _check_not_older(newest: _Approved, known: dict[bytes, Policy], mark: PolicyMark | None, utc: int) -> None:
    policy = newest.policy
    if mark is None or mark.hash == policy.hash:
        return
    # Attack: a looser policy that two owners once approved comes back (custody.md S18).
    if policy.version <= mark.version:
        raise Refusal(POLICY_OLDER, f"version {policy.version} after version {mark.version}")
    # Attack: one owner tightens the old, loose policy a little, and the tight one that superseded it is gone.
    if mark.hash not in known:
        _check_waited(newest, MOST_LOOSENING_SECONDS, utc)
