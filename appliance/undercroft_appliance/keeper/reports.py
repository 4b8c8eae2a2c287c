"""What the keeper tells about itself: to the host a status and its log, to the owner at the panel a little more."""

from __future__ import annotations

import math
from typing import Final

from undercroft_protocol.messages import LogFile, LogReply, LogRequest, LogSeal, StatusReport, grouped_code

from . import show
from .ledger import Ledger
from .parts import Outcome, Parts
from .session import MOST_REFUSALS, Unlocked
from .text import duration

HELP: Final = (
    "lock    wipe all secrets now",
    "freeze  the same, and sign an order that stops the others too; a reason may follow: freeze REASON",
    "held    look at the transactions that wait for you",
    "log     the newest entries of the log, exact while a key is open; sealed as codes",
    "status  where the appliance stands",
    "help    this list",
)


def status(parts: Parts) -> StatusReport:
    """For anybody who asks; it tells no secret and no limit."""
    session = parts.session
    current, armed = session.current, session.armed
    return StatusReport(
        session.state,
        None if current is None else current.owner.name,
        None if current is None else current.site,
        parts.setup.firmware_hash,
        session.armed_seconds(),
        0 if armed is None else len(armed.held),
        parts.keys.memory_kind,
        next(reversed(session.freeze_orders.values()), None),
    )


def status_lines(parts: Parts) -> list[str]:
    """For the owner: where the appliance stands, and how much of each window is used up."""
    report, session = status(parts), parts.session
    lines = [f"State {report.state}, activation {session.activation_id.hex()}", *parts.setup.walls]
    if session.current is not None:
        lines.append(f"Owner {report.owner} at {report.site}")
        lines.append(f"Quorum {session.current.quorum.code}")
    if session.policy is not None:
        policy = session.policy
        lines.append(f"Policy {policy.name}, version {policy.version}, code {grouped_code(policy.hash)}")
    armed = session.armed
    if armed is not None and session.policy is not None:
        lines.append(f"Armed for {duration(report.armed_seconds)} more; {report.held} held")
        lines.append(f"{armed.refusals} of {MOST_REFUSALS} refusals")
        lines.extend(show.windows(session.policy, armed.ledger, session.clock.now()))
    return lines


def log(parts: Parts, request: LogRequest) -> Outcome:
    """unlocked or armed: the log from an entry on, and where it ends now, sealed. Raises Refusal."""
    seal = _sealed_end(parts, parts.session.need_unlocked())
    return Outcome(LogReply(parts.log.entries_from(request.start), seal), "Log sent")


def log_file(parts: Parts, current: Unlocked) -> bytes:
    """unlocked or armed: the newest 1 MiB of the log and its end, sealed, as the bytes of a LogFile."""
    seal = _sealed_end(parts, current)
    return LogFile(parts.keys.identity_public_key, parts.log.newest_entries(), (seal,)).to_bytes()


def _sealed_end(parts: Parts, current: Unlocked) -> bytes:
    """Where the log ends now, signed by the owner's identity."""
    history = parts.session.history(current.quorum.id)
    highest = history.highest_change
    mark = parts.session.marks.get(current.quorum.id)
    clock = parts.session.clock
    known = parts.session.ledger(current.quorum.id) or Ledger(clock.now())
    ledger = None if clock.utc is None else known.told(math.inf, clock.now())
    seal = LogSeal(
        current.quorum.id,
        parts.log.length,
        parts.log.head,
        highest if highest >= 0 else None,
        None if ledger is None else clock.utc,
        ledger,
        height=history.height,
        policy_version=None if mark is None else mark.version,
        policy_hash=None if mark is None else mark.hash,
        total_sats=known.total_sats,
        amounts=history.amounts,
    )
    return parts.state(seal)
