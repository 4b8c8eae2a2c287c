"""Fetching an appliance's log from where it was kept last to its end."""

from __future__ import annotations

from typing import Final

from undercroft_protocol.messages import LogEntry, LogReply, LogRequest, Quorum

from ..clock import Clock
from ..custody.appliances import get_appliance
from ..custody.logs import kept_end, open_seal, store_log, told
from ..errors import ApplianceState, IntegrityAlarm
from ..store.engine import Store
from .talk import ANSWER_SECONDS, ApplianceSession

_MOST_ENTRIES: Final = 4000
"""An appliance keeps 2000, and adds a few while it is asked."""


def fetch_log(
    store: Store,
    actor: str,
    talk: ApplianceSession,
    quorum: Quorum,
    *,
    clock: Clock,
    timeout: float = ANSWER_SECONDS,
) -> int:
    """Fetch, verify and keep what is new in the log of an open session's appliance; how many entries.

    Raises ApplianceState for one that has no identity yet, ApplianceRefused, and IntegrityAlarm: also when the
    appliance no longer had all entries, after what it had was kept.
    """
    if talk.identity is None:
        raise ApplianceState(f"{talk.name} has not declared a key")
    with store.read() as session:
        before = kept_end(session, talk.identity)
    entries: list[LogEntry] = []
    while True:
        start = entries[-1].number + 1 if entries else before.length
        reply = talk.ask(LogRequest(start), LogReply, timeout=timeout, quorum_id=quorum.id)
        length = open_seal(talk.name, talk.identity, reply.seal, quorum.id).length
        entries.extend(reply.entries)
        if length <= (entries[-1].number + 1 if entries else before.length):
            break
        # An answer without entries that claims there are more would be asked for ever.
        if not reply.entries:
            raise IntegrityAlarm(f"appliance {talk.name} keeps {length - start} log entries back")
        # Attack: a stolen appliance signs a log without an end, until the host has no memory left.
        if len(entries) > _MOST_ENTRIES:
            raise IntegrityAlarm(f"appliance {talk.name} sends more than {_MOST_ENTRIES} log entries at once")
    with store.begin(actor) as session:
        # All or nothing: a next activation must never go on from a place before what was kept.
        gap = store_log(session, get_appliance(session, talk.name), entries, reply.seal, quorum.id, clock=clock)
    if gap is not None:
        raise IntegrityAlarm(
            f"log of {talk.name}: {told(gap)}; what came after them was kept",
            hint="fetch logs more often: an appliance remembers the newest 2000 entries",
        )
    return len(entries)
