"""Fetching an appliance's log from where it was kept last to its end."""

from __future__ import annotations

from undercroft_protocol.messages import LogReply, LogRequest, Quorum

from ..clock import Clock
from ..custody.appliances import get_appliance
from ..custody.logs import kept_end, store_log
from ..errors import ApplianceState, IntegrityAlarm
from ..store.engine import Store
from .talk import ANSWER_SECONDS, ApplianceSession


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

    Raises ApplianceState for one that has no identity yet, ApplianceRefused, IntegrityAlarm.
    """
    if talk.identity is None:
        raise ApplianceState(f"{talk.name} has not declared a key")
    fetched = 0
    while True:
        with store.read() as session:
            end = kept_end(session, talk.identity)
        reply = talk.ask(LogRequest(end.length), LogReply, timeout=timeout, quorum_id=quorum.id)
        with store.begin(actor) as session:
            appliance = get_appliance(session, talk.name)
            sealed = store_log(session, appliance, reply.entries, reply.seal, quorum.id, clock=clock)
        fetched += len(reply.entries)
        if sealed.length == end.length + len(reply.entries):
            return fetched
        # An answer without entries that claims there are more would be asked for ever.
        if not reply.entries:
            raise IntegrityAlarm(f"appliance {talk.name} keeps {sealed.length - end.length} log entries back")
