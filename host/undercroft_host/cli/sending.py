"""One batch to one appliance, and then its log: what an operator's ``payment send`` does for each name."""

from __future__ import annotations

from dataclasses import dataclass

from ..desk.fetch import fetch_log
from ..desk.send import send_batch
from ..errors import BackendUnreachable
from .app import App


@dataclass(frozen=True, slots=True)
class Answer:
    """What one appliance said of one payment, and the state in which that left the payment."""

    appliance: str
    payment: int
    verdict: str
    code: str | None
    state: str


def send_to(app: App, name: str, batch_id: bytes, timeout: int) -> list[Answer]:
    """Send a stored batch to one appliance; raises as ``desk.send.send_batch``."""
    quorum = app.quorum()
    with app.talk(name, quorum.id) as talk:
        said = send_batch(app.store, app.actor, talk, batch_id, quorum, clock=app.clock, timeout=timeout)
        try:
            fetch_log(app.store, app.actor, talk, quorum, clock=app.clock)
        except BackendUnreachable as error:
            # The verdicts are in; the log is fetched with the next batch or before the lock.
            app.note(f"{name}: its log was not fetched: {error}")
    return [Answer(name, one.payment, one.verdict, one.code, one.state) for one in said]
