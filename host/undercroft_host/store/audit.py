"""The audit log: every act of the host in one hash chain, written in the transaction that did it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol import cbor
from undercroft_protocol.bitcoin.hashes import sha256

from ..clock import Clock
from ..errors import AuditBroken
from .engine import actor_of
from .tables import AuditRecord

GENESIS: Final = bytes(32)
"""What stands before the first record."""

_BATCH_ROWS: Final = 1000


def record(
    session: Session,
    *,
    clock: Clock,
    action: str,
    subject: str,
    facts: Mapping[str, int | str | None],
    actor: str | None = None,
) -> AuditRecord:
    """Write one act. Without an ``actor`` it is done in the name the session was begun with.

    Facts are numbers, texts or None by name: no secret, and no more of a customer than the name.
    """
    last = session.scalars(select(AuditRecord).order_by(AuditRecord.number.desc()).limit(1)).first()
    entry = AuditRecord(
        number=1 if last is None else last.number + 1,
        time=clock(),
        actor=actor_of(session) if actor is None else actor,
        action=action,
        subject=subject,
        facts=dict(facts),
        previous=GENESIS if last is None else last.head,
    )
    entry.head = head_of(entry)
    session.add(entry)
    session.flush()
    return entry


def verify(session: Session) -> int:
    """Walk the whole chain; the number of records. Raises AuditBroken, naming the first that does not fit."""
    number, head = 0, GENESIS
    entries = select(AuditRecord).order_by(AuditRecord.number).execution_options(yield_per=_BATCH_ROWS)
    for entry in session.scalars(entries):
        number += 1
        # Attack: a record taken out of the middle, changed, or put in another place.
        if entry.number != number or entry.previous != head or head_of(entry) != entry.head:
            raise AuditBroken(f"record {number}")
        head = entry.head
    return number


def head_of(entry: AuditRecord) -> bytes:
    """SHA-256 over the record's canonical CBOR, the head before it included: 32 bytes."""
    facts: Mapping[str, Any] = entry.facts
    return sha256(
        cbor.encode(
            (
                entry.number,
                entry.time,
                entry.actor,
                entry.action,
                entry.subject,
                tuple((name, facts[name]) for name in sorted(facts)),
                entry.previous,
            )
        )
    )
