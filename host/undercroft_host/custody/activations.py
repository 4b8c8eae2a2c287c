"""Activations: an envelope opened by its owner, then armed by another owner at another site."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import (
    ActivateRequest,
    ActivationGrant,
    ActivationRequest,
    Quorum,
    open_statement,
)

from ..clock import Clock
from ..errors import ActivationUnknown, IntegrityAlarm, SitesEqual
from ..store import audit
from ..store.tables import Activation, Appliance
from . import policies
from .appliances import identity_of
from .freezes import lift_orders
from .logs import newest_seal
from .policy_chain import PolicyChain
from .quorum import envelope_of

REQUESTED: Final = "requested"
ARMED: Final = "armed"
ENDED: Final = "ended"


def activate_request(session: Session, appliance: Appliance, quorum: Quorum, *, clock: Clock) -> ActivateRequest:
    """All that an empty appliance needs, from what was kept: envelope, quorum, policy with its approvals and those
    before it, where its log ended.

    Raises NotFound when the quorum or the policy is not ready.
    """
    identity = identity_of(appliance)
    now = clock()
    policy = policies.active_policy(session, quorum, now)
    seal = newest_seal(session, identity)
    return ActivateRequest(
        quorum=quorum,
        envelope=envelope_of(session, quorum, identity),
        policy=policy,
        approvals=policies.approved_policy(session, policy).approvals,
        time=now,
        log_seal=None if seal is None else seal.raw,
        lineage=policies.lineage(session, PolicyChain.load(session, quorum, now), quorum, now),
    )


def store_request(
    session: Session,
    appliance: Appliance,
    raw: bytes,
    activation_id: bytes,
    quorum: Quorum,
    *,
    policy_hash: bytes,
    began: int,
    clock: Clock,
) -> Activation:
    """Verify and keep an appliance's request to be armed; its earlier activations are over.

    ``began`` is when its owner was asked (seconds since 1970): a freeze order that was learned while the owner typed
    the passphrase stands.

    Raises IntegrityAlarm when it is not this appliance's request for this activation under the policy that was brought.
    """
    identity = identity_of(appliance)
    try:
        request, _ = open_statement(ActivationRequest, raw, (identity,))
    except ProtocolError as error:
        raise IntegrityAlarm(f"activation request of {appliance.name}: {error}") from error
    # A request for another agreement or milder rules, shown to a granter as this one.
    if (request.quorum_id, request.activation_id, request.policy_hash) != (quorum.id, activation_id, policy_hash):
        raise IntegrityAlarm(f"activation request of {appliance.name}: not for this activation, quorum and policy")
    end_activations(session, appliance.name)
    activation = session.merge(
        Activation(
            id=activation_id,
            appliance=appliance.name,
            quorum_id=quorum.id,
            policy_hash=request.policy_hash,
            site=request.site,
            request=raw,
            grant=None,
            granted_by=None,
            state=REQUESTED,
            requested=began,
            armed=None,
        )
    )
    session.flush()
    facts: dict[str, int | str | None] = {"site": request.site, "policy": request.policy_hash.hex()}
    audit.record(session, clock=clock, action="request-activation", subject=appliance.name, facts=facts)
    return activation


def check_sites(granter: Activation, grantee: Activation) -> None:
    """Rule O03: the two owners stand at different sites; SitesEqual otherwise."""
    # Two appliances in one room are in the hands of whoever holds that room.
    if granter.appliance == grantee.appliance or granter.site == grantee.site:
        raise SitesEqual(f"{granter.appliance} and {grantee.appliance}: {granter.site}")


def store_grant(
    session: Session, granter: Appliance, activation: Activation, raw: bytes, quorum: Quorum, *, clock: Clock
) -> ActivationGrant:
    """Verify and keep another owner's grant of exactly this activation; IntegrityAlarm for any other."""
    request = _request_of(session, activation)
    grantee = identity_of(session.get_one(Appliance, activation.appliance))
    try:
        grant, _ = open_statement(ActivationGrant, raw, (identity_of(granter),))
    except ProtocolError as error:
        raise IntegrityAlarm(f"grant by {granter.name}: {error}") from error
    asked = (quorum.id, request.activation_id, grantee, request.policy_hash, request.firmware_hash)
    granted = (grant.quorum_id, grant.activation_id, grant.grantee, grant.policy_hash, grant.firmware_hash)
    # A grant for somebody else, for other rules or for another firmware must not arm this appliance.
    if granted != asked:
        raise IntegrityAlarm(f"grant by {granter.name}: not for this activation of {activation.appliance}")
    if grant.site == activation.site:
        raise SitesEqual(f"{granter.name} and {activation.appliance}: {activation.site}")
    activation.grant, activation.granted_by = raw, granter.name
    session.flush()
    facts: dict[str, int | str | None] = {"granted_by": granter.name, "site": grant.site}
    audit.record(session, clock=clock, action="grant-activation", subject=activation.appliance, facts=facts)
    return grant


def mark_armed(session: Session, activation: Activation, *, clock: Clock) -> None:
    """The appliance said that it is armed."""
    activation.state, activation.armed = ARMED, clock()
    session.flush()
    lift_orders(session, activation.quorum_id, activation.requested, clock=clock)
    audit.record(session, clock=clock, action="arm-appliance", subject=activation.appliance, facts={})


def open_activation(session: Session, name: str) -> Activation:
    """The activation of an appliance that is requested or armed; ActivationUnknown when there is none."""
    query = select(Activation).where(Activation.appliance == name, Activation.state != ENDED)
    activation = session.scalars(query.order_by(Activation.requested.desc())).first()
    if activation is None:
        raise ActivationUnknown(name)
    return activation


def end_activations(session: Session, name: str) -> None:
    """All activations of this appliance are over."""
    for activation in session.scalars(
        select(Activation).where(Activation.appliance == name, Activation.state != ENDED)
    ):
        activation.state = ENDED
    session.flush()


def list_activations(session: Session) -> list[Activation]:
    """All activations, the newest first."""
    return list(session.scalars(select(Activation).order_by(Activation.requested.desc(), Activation.appliance)))


def _request_of(session: Session, activation: Activation) -> ActivationRequest:
    identity = identity_of(session.get_one(Appliance, activation.appliance))
    try:
        return open_statement(ActivationRequest, activation.request, (identity,))[0]
    except ProtocolError as error:
        raise IntegrityAlarm(f"stored activation request of {activation.appliance}: {error}") from error
