"""The appliances' logs: fetched, proved to continue what was fetched before, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import LogEntry, LogSeal, open_statement

from ..clock import Clock
from ..errors import IntegrityAlarm
from ..store import audit
from ..store.tables import Appliance, ApplianceLogEntry, ApplianceLogSeal
from .appliances import identity_of

GENESIS: Final = bytes(32)
"""What stands before the first entry, whose number is 0."""


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Where a log ends: how many entries it has, and the head (32 bytes) over the last."""

    length: int
    head: bytes


def kept_end(session: Session, identity: bytes) -> LogEnd:
    """Where the log ends as far as it was kept."""
    query = select(ApplianceLogEntry).where(ApplianceLogEntry.identity == identity)
    last = session.scalars(query.order_by(ApplianceLogEntry.number.desc()).limit(1)).first()
    return LogEnd(0, GENESIS) if last is None else LogEnd(last.number + 1, last.head)


def verify_entries(entries: Sequence[LogEntry], start: LogEnd) -> LogEnd:
    """Where the log ends after these entries; IntegrityAlarm when they do not continue ``start``."""
    length, head = start.length, start.head
    for entry in entries:
        # An entry left out, changed or put in between would hide what an appliance signed.
        if entry.number != length or entry.previous != head:
            raise IntegrityAlarm(f"log entry {entry.number} does not follow the {length} entries before it")
        length, head = length + 1, sha256(entry.to_bytes())
    return LogEnd(length, head)


def store_log(
    session: Session,
    appliance: Appliance,
    entries: Sequence[LogEntry],
    seal: bytes,
    quorum_id: bytes,
    *,
    clock: Clock,
) -> LogSeal:
    """Verify and keep what an appliance answered to a LogRequest from the end of what was kept.

    The seal may lie ahead of these entries when the log is longer than one answer. Raises IntegrityAlarm.
    """
    identity = identity_of(appliance)
    try:
        sealed, _ = open_statement(LogSeal, seal, (identity,))
    except ProtocolError as error:
        raise IntegrityAlarm(f"log seal of {appliance.name}: {error}") from error
    end = verify_entries(entries, kept_end(session, identity))
    # A log that is shorter than it was, or ends differently, was rewritten.
    if sealed.quorum_id != quorum_id or sealed.length < end.length:
        raise IntegrityAlarm(f"log seal of {appliance.name}: {sealed.length} entries, {end.length} were seen")
    if sealed.length == end.length and sealed.head != end.head:
        raise IntegrityAlarm(f"log seal of {appliance.name}: another last entry than the one that was seen")
    for entry in entries:
        raw = entry.to_bytes()
        session.add(ApplianceLogEntry(identity=identity, number=entry.number, head=sha256(raw), cbor=raw))
    if sealed.length == end.length:
        session.merge(ApplianceLogSeal(identity=identity, length=sealed.length, raw=seal))
    session.flush()
    if entries:
        facts: dict[str, int | str | None] = {"entries": len(entries), "length": end.length}
        audit.record(session, clock=clock, action="keep-log", subject=appliance.name, facts=facts)
    return sealed


def verify_kept(session: Session, appliance: Appliance) -> int:
    """Walk the whole kept log and its seal; the number of entries. Raises IntegrityAlarm."""
    identity = identity_of(appliance)
    entries = list_entries(session, identity)
    end = verify_entries(entries, LogEnd(0, GENESIS))
    record = session.get(ApplianceLogSeal, identity)
    if record is not None:
        try:
            sealed, _ = open_statement(LogSeal, record.raw, (identity,))
        except ProtocolError as error:
            raise IntegrityAlarm(f"kept log seal of {appliance.name}: {error}") from error
        if (sealed.length, sealed.head) != (end.length, end.head):
            raise IntegrityAlarm(f"the kept log of {appliance.name} does not end where its seal says")
    return end.length


def list_entries(session: Session, identity: bytes) -> list[LogEntry]:
    """All kept entries of an appliance in order."""
    query = select(ApplianceLogEntry.cbor).where(ApplianceLogEntry.identity == identity)
    return [LogEntry.from_bytes(raw) for raw in session.scalars(query.order_by(ApplianceLogEntry.number))]
