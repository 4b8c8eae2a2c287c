"""The ceremony as the host sees it: three declarations, one quorum, three acceptances."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol import cose
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.signature import verify_ecdsa
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import (
    Acceptance,
    Declaration,
    Envelope,
    Owner,
    Quorum,
    open_statement,
    possession_digest,
)
from undercroft_protocol.messages.quorum import OWNERS, THRESHOLD

from ..clock import Clock
from ..errors import Conflict, IntegrityAlarm, NotFound
from ..store import audit
from ..store.tables import AcceptanceRecord, Appliance, DeclarationRecord, QuorumRecord

FORMING: Final = "forming"
ACTIVE: Final = "active"
RETIRED: Final = "retired"


def verify_declaration(raw: bytes, network: Network | None = None) -> Declaration:
    """A declaration that proves itself; IntegrityAlarm for one that does not, Conflict for another network.

    ``network`` None takes the one that it names; then the quorum's own checks tell networks apart.
    """
    try:
        signer = cose.read(raw).signer
        declaration, _ = open_statement(Declaration, raw, (signer,))
        if network is not None and declaration.network != network.value:
            raise Conflict(f"the appliance declared a key for {declaration.network}, not {network.value}")
        xpub = ExtendedPublicKey.from_bytes(declaration.xpub, Network(declaration.network))
        # An xpub that its declarer does not hold the key of (copied from another owner, or a mistake) would leave a
        # quorum that cannot sign, or one where a single person holds two keys.
        verify_ecdsa(xpub.public_key, possession_digest(declaration.identity, declaration.xpub), declaration.possession)
    except ProtocolError as error:
        raise IntegrityAlarm(f"declaration: {error}") from error
    # A declaration in another's name, signed by whoever passed it on.
    if declaration.identity != signer:
        raise IntegrityAlarm("declaration: signed by another key than the identity that it names")
    _check_envelope(declaration.envelope, declaration.identity, declaration.xpub, None)
    return declaration


def store_declaration(
    session: Session, appliance: Appliance, raw: bytes, network: Network, clock: Clock
) -> Declaration:
    """Verify and keep a declaration; it replaces an earlier one of the same appliance while no quorum rests on that.

    Raises IntegrityAlarm, or Conflict once a quorum is formed with the earlier one.
    """
    declaration = verify_declaration(raw, network)
    before = session.get(DeclarationRecord, appliance.name)
    if before is not None and before.identity != declaration.identity:
        for record in _quorums(session, FORMING, ACTIVE):
            if before.identity in Quorum.from_bytes(record.cbor).identities:
                raise Conflict(f"appliance {appliance.name} is already in quorum {record.id.hex()[:16]}")
    taken = session.scalar(select(DeclarationRecord).where(DeclarationRecord.identity == declaration.identity))
    # One device on two lines would stand for two owners.
    if taken is not None and taken.appliance != appliance.name:
        raise IntegrityAlarm(f"{appliance.name} declares the identity that {taken.appliance} declared before")
    if before is None:
        session.add(
            DeclarationRecord(appliance=appliance.name, identity=declaration.identity, raw=raw, received=clock())
        )
    else:
        before.identity, before.raw, before.received = declaration.identity, raw, clock()
    appliance.identity = declaration.identity
    session.flush()
    facts = {"owner": declaration.name, "site": declaration.site, "identity": declaration.identity.hex()}
    audit.record(session, clock=clock, action="declare-key", subject=appliance.name, facts=facts)
    return declaration


def form_quorum(session: Session, vault_key: bytes, risk_key: bytes, clock: Clock) -> Quorum:
    """The quorum of exactly three declarations; forming it again from the same ones gives the same quorum.

    ``vault_key`` and ``risk_key`` are the services' public keys (32 bytes). Raises Conflict when there are not
    three, when owners share a name, site, region or key, or when a quorum is active already.
    """
    if _quorums(session, ACTIVE):
        raise Conflict("a quorum is active already")
    records = session.scalars(select(DeclarationRecord)).all()
    if len(records) != OWNERS:
        hint = "each owner declares a key first: undercroft quorum declare NAME"
        raise Conflict(f"a quorum takes {OWNERS} declarations; there are {len(records)}", hint=hint)
    declarations = [verify_declaration(record.raw) for record in records]
    owners = sorted((_owner(one) for one in declarations), key=lambda owner: owner.xpub)
    for record in _quorums(session, FORMING):
        formed = Quorum.from_bytes(record.cbor)
        if (formed.owners, formed.vault_key, formed.risk_key) == (tuple(owners), vault_key, risk_key):
            return formed
        record.state = RETIRED
    try:
        quorum = Quorum(declarations[0].network, THRESHOLD, tuple(owners), vault_key, risk_key, clock())
        quorum.descriptor()
    except ProtocolError as error:
        raise Conflict(f"these declarations make no quorum: {error}") from error
    session.add(QuorumRecord(id=quorum.id, cbor=quorum.to_bytes(), state=FORMING, formed=quorum.formed))
    session.flush()
    audit.record(
        session,
        clock=clock,
        action="form-quorum",
        subject=quorum.id.hex(),
        facts={"owners": ", ".join(owner.name for owner in owners)},
    )
    return quorum


def verify_acceptance(raw: bytes, quorum: Quorum) -> tuple[Acceptance, Owner]:
    """An owner's acceptance of exactly this quorum, and whose it is; IntegrityAlarm for any other."""
    try:
        acceptance, signer = open_statement(Acceptance, raw, quorum.identities)
        owner = quorum.owner_of(signer)
    except ProtocolError as error:
        raise IntegrityAlarm(f"acceptance: {error}") from error
    # An acceptance that was given to another agreement must not count for this one.
    if acceptance.quorum_id != quorum.id:
        raise IntegrityAlarm(f"acceptance by {owner.name}: for another quorum")
    _check_envelope(acceptance.envelope, owner.identity, owner.xpub, quorum.id)
    return acceptance, owner


def store_acceptance(session: Session, raw: bytes, quorum: Quorum, clock: Clock) -> QuorumRecord:
    """Verify and keep an acceptance; with the third the quorum is active. The record tells its state."""
    record = session.get(QuorumRecord, quorum.id)
    if record is None or record.state == RETIRED:
        raise Conflict(f"quorum {quorum.id.hex()[:16]} is not forming")
    _, owner = verify_acceptance(raw, quorum)
    known = session.get(AcceptanceRecord, (quorum.id, owner.identity))
    # The newest envelope is the one whose passphrase the owner knows; an active quorum's envelopes stay.
    if known is None:
        session.add(AcceptanceRecord(quorum_id=quorum.id, identity=owner.identity, raw=raw, received=clock()))
    elif record.state == FORMING:
        known.raw, known.received = raw, clock()
    elif known.raw != raw:
        raise Conflict(f"{owner.name} has accepted already, and the quorum is active")
    session.flush()
    audit.record(session, clock=clock, action="accept-quorum", subject=quorum.id.hex(), facts={"owner": owner.name})
    if record.state == FORMING and len(accepted_identities(session, quorum.id)) == OWNERS:
        record.state = ACTIVE
        session.flush()
        audit.record(
            session, clock=clock, action="activate-quorum", subject=quorum.id.hex(), facts={"code": quorum.code}
        )
    return record


def accepted_identities(session: Session, quorum_id: bytes) -> list[bytes]:
    """The identity keys of the owners who accepted so far."""
    return list(session.scalars(select(AcceptanceRecord.identity).where(AcceptanceRecord.quorum_id == quorum_id)))


def active_quorum(session: Session) -> Quorum:
    """The quorum in force; NotFound when there is none."""
    records = _quorums(session, ACTIVE)
    if not records:
        raise NotFound("an active quorum", hint="the ceremony is: quorum declare, quorum form, quorum accept")
    return _checked(records[0])


def current_quorum(session: Session) -> tuple[Quorum, str]:
    """The quorum in force or, before there is one, the one that is forming, with its state; NotFound without."""
    records = _quorums(session, ACTIVE) or _quorums(session, FORMING)
    if not records:
        raise NotFound("a quorum", hint="three owners declare, then: undercroft quorum form")
    return _checked(records[0]), records[0].state


def envelope_of(session: Session, quorum: Quorum, identity: bytes) -> Envelope:
    """The envelope with the quorum bound into it that this owner's acceptance holds; NotFound without one."""
    record = session.get(AcceptanceRecord, (quorum.id, identity))
    if record is None:
        raise NotFound(f"an acceptance by {quorum.owner_of(identity).name}")
    return verify_acceptance(record.raw, quorum)[0].envelope


def draft_envelope(session: Session, appliance: Appliance, network: Network) -> Envelope:
    """The draft that the appliance's declaration holds; NotFound without one."""
    record = session.get(DeclarationRecord, appliance.name)
    if record is None:
        raise NotFound(f"a declaration of appliance {appliance.name}")
    return verify_declaration(record.raw, network).envelope


def _quorums(session: Session, *states: str) -> list[QuorumRecord]:
    query = select(QuorumRecord).where(QuorumRecord.state.in_(states)).order_by(QuorumRecord.formed.desc())
    return list(session.scalars(query))


def _checked(record: QuorumRecord) -> Quorum:
    quorum = Quorum.from_bytes(record.cbor)
    # Whoever can write the database must not be able to put another agreement under a known name.
    if quorum.id != record.id:
        raise IntegrityAlarm(f"the stored quorum {record.id.hex()[:16]} is not what its name says")
    return quorum


def _owner(declaration: Declaration) -> Owner:
    return Owner(
        declaration.name,
        declaration.site,
        declaration.region,
        declaration.fingerprint,
        declaration.xpub,
        declaration.identity,
    )


def _check_envelope(envelope: Envelope, identity: bytes, xpub: bytes, quorum_id: bytes | None) -> None:
    # An envelope with somebody else's seed, or bound to another agreement, would open to the wrong key on the day
    # that it is needed.
    if (envelope.identity, envelope.xpub, envelope.quorum_id) != (identity, xpub, quorum_id):
        raise IntegrityAlarm("the envelope is another owner's or bound to another quorum")
