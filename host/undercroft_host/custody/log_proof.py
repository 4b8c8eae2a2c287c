"""What the kept logs of the appliances prove: that nothing in them was changed, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import FIRST_HEAD, LOG_START, LogEntry, LogGap, open_reply

from ..errors import IntegrityAlarm
from ..store.tables import Appliance, ApplianceLogEntry, ApplianceLogSeal, AuditRecord, BatchSend, PaymentVerdict
from .appliances import identity_of
from .logs import KEEP_LOG, follow_log, list_entries, open_seal, seals_of, told


@dataclass(frozen=True, slots=True)
class LostEnd:
    """An answer (at ``time``, UTC) was given after an entry that is not in the log: it is among those that came after
    entry ``after`` (None: after none) and never reached the host."""

    what: str
    time: int
    after: int | None


@dataclass(frozen=True, slots=True)
class LogProof:
    """One appliance's kept log, verified. ``not_fetched`` answers are newer than the newest seal."""

    appliance: str
    entries: int
    gaps: tuple[LogGap, ...]
    lost: tuple[LostEnd, ...]
    not_fetched: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return not self.gaps and not self.lost


def prove_logs(session: Session) -> list[LogProof]:
    """The proofs of all appliances that have an identity; raises IntegrityAlarm for anything that was changed."""
    query = select(Appliance).where(Appliance.identity.is_not(None)).order_by(Appliance.name)
    appliances = list(session.scalars(query))
    known = {identity_of(appliance) for appliance in appliances}
    for column in (ApplianceLogEntry.identity, ApplianceLogSeal.identity, PaymentVerdict.identity):
        for identity in session.scalars(select(column).distinct()):
            # Attack: rows are put aside under another name, and the log looks whole without them.
            if identity not in known:
                raise IntegrityAlarm(f"records of an appliance that is unknown here: {identity.hex()[:16]}")
    return [prove_log(session, appliance) for appliance in appliances]


def prove_log(session: Session, appliance: Appliance) -> LogProof:
    """Walk an appliance's whole kept log, its seals, and the heads in its kept answers.

    Raises IntegrityAlarm for anything that was changed; what is missing is told.
    """
    name, identity = appliance.name, identity_of(appliance)
    entries = list_entries(session, name, identity)
    end, gaps = follow_log(name, entries, LOG_START)
    heads = {FIRST_HEAD: -1} | {entry.head: entry.number for entry in entries}
    sealed = _check_seals(session, name, identity, entries)
    # Attack: entries are cut off at the end, or put on behind the last seal.
    for gap in gaps:
        if gap.first and gap.first not in sealed:
            raise IntegrityAlarm(f"kept log of {name}: {told(gap)}, and no seal says that they ever were")
    if end.length and end.length not in sealed:
        raise IntegrityAlarm(f"the kept log of {name} does not end where a seal says")
    if sealed and max(sealed) != end.length:
        raise IntegrityAlarm(f"the kept log of {name} does not end where its seal says")
    _check_not_rolled_back(session, name, end.length)
    newest = max(sealed.values(), default=None)
    lost, not_fetched, after = [], 0, None
    for what, time, head in _answers(session, name, identity):
        if head in heads:
            after = max(heads[head], -1 if after is None else after)
        elif newest is None or time >= newest:
            not_fetched += 1
        else:
            lost.append(LostEnd(what, time, None if after in (None, -1) else after))
    return LogProof(name, len(entries), gaps, tuple(lost), not_fetched)


def _check_not_rolled_back(session: Session, name: str, length: int) -> None:
    query = select(AuditRecord).where(AuditRecord.action == KEEP_LOG, AuditRecord.subject == name)
    newest = session.scalars(query.order_by(AuditRecord.number.desc()).limit(1)).first()
    # Attack: the log is put back, with its seal, to what it was some days ago, or to nothing. The host's own chain says
    # how long it was.
    if newest is not None and newest.facts["length"] > length:
        raise IntegrityAlarm(f"the kept log of {name} has {length} entries, and it had {newest.facts['length']}")


def _check_seals(session: Session, name: str, identity: bytes, entries: list[LogEntry]) -> dict[int, int]:
    """When each kept seal came, by the length that it seals; IntegrityAlarm for one that is not over these entries."""
    ends = {0: FIRST_HEAD} | {entry.number + 1: entry.head for entry in entries}
    for row in seals_of(session, identity):
        seal = open_seal(name, identity, row.raw)
        if seal.length != row.length or ends.get(seal.length) != seal.head:
            raise IntegrityAlarm(f"the kept log of {name} does not end where its seal says: at {seal.length} entries")
    return {row.length: row.kept for row in seals_of(session, identity)}


def _answers(session: Session, name: str, identity: bytes) -> list[tuple[str, int, bytes]]:
    """What the appliance answered, when, and after which head of its log; the oldest first."""
    found = []
    sends = select(BatchSend).where(BatchSend.appliance == name, BatchSend.reply.is_not(None))
    for send in session.scalars(sends):
        try:
            reply = open_reply(send.reply or b"", (identity,))
        except ProtocolError as error:
            raise IntegrityAlarm(f"kept answer of {name} to batch {send.batch.hex()}: {error}") from error
        found.append((f"its answer to batch {send.batch.hex()}", send.replied or 0, reply.header.log_head))
    for verdict in session.scalars(select(PaymentVerdict).where(PaymentVerdict.identity == identity)):
        found.append((f"its verdict on payment {verdict.payment}", verdict.time, verdict.log_head))
    return sorted(found, key=lambda one: one[1])
