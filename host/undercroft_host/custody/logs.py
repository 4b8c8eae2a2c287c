"""The appliances' logs: fetched, proved to continue what was fetched before, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import (
    LOG_START,
    LogEnd,
    LogEntry,
    LogFile,
    LogGap,
    LogSeal,
    follow,
    open_statement,
)

from ..clock import Clock
from ..errors import IntegrityAlarm
from ..store import audit
from ..store.tables import Appliance, ApplianceLogEntry, ApplianceLogSeal
from .appliances import identity_of

KEEP_LOG: Final = "keep-log"
"""The host's own record of how long an appliance's kept log is."""


def kept_end(session: Session, identity: bytes) -> LogEnd:
    """Where the log ends as far as it was kept."""
    query = select(ApplianceLogEntry).where(ApplianceLogEntry.identity == identity)
    last = session.scalars(query.order_by(ApplianceLogEntry.number.desc()).limit(1)).first()
    return LOG_START if last is None else LogEnd(last.number + 1, last.head)


def newest_seal(session: Session, identity: bytes) -> ApplianceLogSeal | None:
    """The seal over the whole kept log, from which the next activation goes on."""
    query = select(ApplianceLogSeal).where(ApplianceLogSeal.identity == identity)
    return session.scalars(query.order_by(ApplianceLogSeal.length.desc()).limit(1)).first()


def open_seal(name: str, identity: bytes, raw: bytes, quorum_id: bytes | None = None) -> LogSeal:
    """A log seal by this identity, and for this quorum if one is given; IntegrityAlarm for any other."""
    try:
        seal, _ = open_statement(LogSeal, raw, (identity,))
    except ProtocolError as error:
        raise IntegrityAlarm(f"log seal of {name}: {error}") from error
    if quorum_id is not None and seal.quorum_id != quorum_id:
        raise IntegrityAlarm(f"log seal of {name}: for quorum {seal.quorum_id.hex()[:16]}")
    return seal


def store_log(
    session: Session,
    appliance: Appliance,
    entries: Sequence[LogEntry],
    raw_seal: bytes,
    quorum_id: bytes,
    *,
    clock: Clock,
) -> LogGap | None:
    """Verify and keep what an appliance answered from the end of what was kept, up to where its seal says.

    Returns which entries it no longer had; what came after them is kept. Raises IntegrityAlarm.
    """
    name, identity = appliance.name, identity_of(appliance)
    seal = open_seal(name, identity, raw_seal, quorum_id)
    before = kept_end(session, identity)
    # A log that is shorter than it was, or ends differently, was rewritten.
    if seal.length < before.length or (seal.length == before.length and seal.head != before.head):
        raise IntegrityAlarm(f"log seal of {name}: it ends at {seal.length}, {before.length} entries were seen")
    end, gaps = follow_log(name, entries, before)
    if (seal.length, seal.head) != (end.length, end.head):
        raise IntegrityAlarm(f"log seal of {name}: another end than that of its {end.length} entries")
    # An appliance forgets its oldest entries; one that lacks others was changed.
    if gaps and (len(gaps) > 1 or gaps[0].first != before.length):
        raise IntegrityAlarm(f"log of {name}: {told(gaps[0])}")
    for entry in entries:
        session.add(ApplianceLogEntry(identity=identity, number=entry.number, head=entry.head, cbor=entry.to_bytes()))
    # The new seal covers what the one before did, unless entries are missing between them.
    covered = session.get(ApplianceLogSeal, (identity, before.length))
    if covered is not None and not gaps:
        session.delete(covered)
        session.flush()
    session.merge(ApplianceLogSeal(identity=identity, length=seal.length, raw=raw_seal, kept=clock()))
    session.flush()
    if entries:
        facts: dict[str, int | str | None] = {"entries": len(entries), "length": end.length}
        if gaps:
            facts["missing"] = told(gaps[0])
        audit.record(session, clock=clock, action=KEEP_LOG, subject=name, facts=facts)
    return gaps[0] if gaps else None


def follow_log(name: str, entries: Sequence[LogEntry], start: LogEnd) -> tuple[LogEnd, tuple[LogGap, ...]]:
    """Where the log ends after these entries, and what is missing; IntegrityAlarm when they do not follow ``start``."""
    try:
        return follow(entries, start)
    except ProtocolError as error:
        raise IntegrityAlarm(f"log of {name}: {error}") from error


def told(gap: LogGap) -> str:
    """A gap in words."""
    return f"entries {gap.first} to {gap.last} are missing"


def list_entries(session: Session, name: str, identity: bytes) -> list[LogEntry]:
    """All kept entries of an appliance in order; IntegrityAlarm for a row that is not what it was stored as."""
    query = select(ApplianceLogEntry).where(ApplianceLogEntry.identity == identity)
    entries = []
    for row in session.scalars(query.order_by(ApplianceLogEntry.number)):
        try:
            entry = LogEntry.from_bytes(row.cbor)
        except ProtocolError as error:
            raise IntegrityAlarm(f"kept log of {name}, entry {row.number}: {error}") from error
        # Attack: an entry's bytes are changed and the head beside them too, or its number only.
        if (entry.number, sha256(row.cbor)) != (row.number, row.head):
            raise IntegrityAlarm(f"kept log of {name}, entry {row.number}: it was changed")
        entries.append(entry)
    return entries


def seals_of(session: Session, identity: bytes) -> list[ApplianceLogSeal]:
    """The kept seals of an appliance, the oldest first."""
    query = select(ApplianceLogSeal).where(ApplianceLogSeal.identity == identity)
    return list(session.scalars(query.order_by(ApplianceLogSeal.length)))


def log_file(session: Session, appliance: Appliance) -> LogFile:
    """The whole kept log and its seals, for its owner to take out."""
    identity = identity_of(appliance)
    entries = list_entries(session, appliance.name, identity)
    return LogFile(identity, tuple(entries), tuple(row.raw for row in seals_of(session, identity)))
