"""One batch to one appliance, and then its log: what an operator's ``payment send`` does for each name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from undercroft_protocol.messages import ARMED, BatchRequest, Quorum

from ..custody.policies import policy_of_appliance
from ..desk.batches import build_batch, payments_by_id
from ..desk.fetch import fetch_log
from ..desk.send import send_batch
from ..desk.talk import ApplianceSession
from ..errors import BackendUnreachable
from .app import App


@dataclass(frozen=True, slots=True)
class Answer:
    """What one appliance said of one payment in a batch, and the state in which that left the payment."""

    appliance: str
    batch: str
    payment: int
    verdict: str
    code: str | None
    state: str


def send_to(app: App, name: str, batch: BatchRequest, payment_ids: Sequence[int], timeout: int) -> list[Answer]:
    """Send a stored batch to one appliance, or the same payments under the policy that is in force there.

    Raises as ``desk.send.send_batch``, and ApplianceState for a policy in force there that no owners approved here.
    """
    quorum = app.quorum()
    with app.talk(name, quorum.id) as talk:
        if talk.report.state == ARMED and talk.policy_hash != batch.policy_hash:
            batch = _under_its_policy(app, talk, quorum, payment_ids)
        said = send_batch(app.store, app.actor, talk, batch.batch_id, quorum, clock=app.clock, timeout=timeout)
        try:
            fetch_log(app.store, app.actor, talk, quorum, clock=app.clock)
        except BackendUnreachable as error:
            # The verdicts are in; the log is fetched with the next batch or before the lock.
            app.note(f"{name}: its log was not fetched: {error}")
    batch_id = batch.batch_id.hex()
    return [Answer(name, batch_id, one.payment, one.verdict, one.code, one.state) for one in said]


def _under_its_policy(app: App, talk: ApplianceSession, quorum: Quorum, payment_ids: Sequence[int]) -> BatchRequest:
    # One owner may tighten the rules of one armed appliance; the others go on with theirs until they are asked.
    with app.store.begin(app.actor) as session:
        policy = policy_of_appliance(session, quorum, talk.policy_hash, app.clock())
        app.note(f"{talk.name} works by policy version {policy.version}")
        payments = payments_by_id(session, payment_ids)
        return build_batch(session, payments, quorum, policy.hash, clock=app.clock, entropy=app.entropy)
