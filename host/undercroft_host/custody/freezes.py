"""Freeze orders: learned from an appliance or made by the vault, kept until an appliance is armed in spite of them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import FreezeOrder, Quorum, open_statement

from ..clock import Clock
from ..errors import Frozen, IntegrityAlarm
from ..store import audit
from ..store.tables import FreezeRecord, QuorumRecord


def learn_order(session: Session, quorum_id: bytes, raw: bytes, *, clock: Clock) -> FreezeRecord:
    """Verify and keep a freeze order of a quorum; a known one stays as it is.

    Raises IntegrityAlarm unless an owner of the quorum, or its vault, signed it for this quorum.
    """
    known = session.get(FreezeRecord, sha256(raw))
    if known is not None:
        return known
    quorum = Quorum.from_bytes(session.get_one(QuorumRecord, quorum_id).cbor)
    try:
        order, signer = open_statement(FreezeOrder, raw, (*quorum.identities, quorum.vault_key))
    except ProtocolError as error:
        # Attack: a stranger on a line has the host stop all appliances.
        raise IntegrityAlarm(f"freeze order: {error}") from error
    if order.quorum_id != quorum.id:
        raise IntegrityAlarm(f"freeze order: for quorum {order.quorum_id.hex()[:16]}")
    record = FreezeRecord(
        hash=sha256(raw),
        quorum_id=quorum.id,
        signer=signer,
        reason=order.reason,
        ordered=order.time,
        raw=raw,
        learned=clock(),
        lifted=None,
    )
    session.add(record)
    session.flush()
    facts: dict[str, int | str | None] = {"by": signer_name(quorum, signer), "reason": order.reason}
    audit.record(session, clock=clock, action="learn-freeze", subject=f"quorum:{quorum.id.hex()[:16]}", facts=facts)
    return record


def open_orders(session: Session, quorum_id: bytes) -> list[FreezeRecord]:
    """The orders that no activation has gone past, the newest last."""
    query = select(FreezeRecord).where(FreezeRecord.quorum_id == quorum_id, FreezeRecord.lifted.is_(None))
    return list(session.scalars(query.order_by(FreezeRecord.learned, FreezeRecord.ordered)))


def check_not_frozen(session: Session, quorum: Quorum) -> None:
    """Raises Frozen while an order stands."""
    orders = open_orders(session, quorum.id)
    if orders:
        raise Frozen(f"by {signer_name(quorum, orders[-1].signer)}: {orders[-1].reason}")


def lift_orders(session: Session, quorum_id: bytes, requested: int, *, clock: Clock) -> None:
    """Two owners armed an appliance that was activated after these orders were learned: they are over."""
    for record in open_orders(session, quorum_id):
        if record.learned <= requested:
            record.lifted = clock()
            facts: dict[str, int | str | None] = {"reason": record.reason}
            subject = f"quorum:{quorum_id.hex()[:16]}"
            audit.record(session, clock=clock, action="lift-freeze", subject=subject, facts=facts)
    session.flush()


def signer_name(quorum: Quorum, signer: bytes) -> str:
    """Who gave the order: an owner's name, or ``the vault``."""
    return "the vault" if signer == quorum.vault_key else quorum.owner_of(signer).name
