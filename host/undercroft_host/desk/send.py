"""Sending a batch: the bytes are stored before they go, the same bytes go again, and an answer is believed last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.messages import (
    ARMED,
    HELD,
    REFUSED,
    BatchRequest,
    Message,
    Quorum,
    RefusalReply,
    ReplyHeader,
    Verdict,
)

from ..clock import Clock
from ..custody.freezes import check_not_frozen
from ..errors import ApplianceState, NotFound, PaymentState
from ..store import audit
from ..store.engine import Store
from ..store.tables import Batch, BatchSend, Payment, PaymentInput, PaymentVerdict, Signature
from ..vault.families import CANCELLED
from ..vault.finalise import finalise_payment
from ..vault.payment_records import UNSIGNED_STATES
from .batches import payments_of
from .talk import ApplianceSession
from .verdicts import VerifiedSignature, verify_reply

SIGNING: Final = "signing"
_REPLAY: Final = "replay"
LIFETIME_SECONDS: Final = 24 * 3600
"""A request stays good that long, so that what an owner holds can be asked for again with the same bytes."""


@dataclass(frozen=True, slots=True)
class PaymentAnswer:
    """What an appliance said of one payment, and the state in which it leaves the payment."""

    payment: int
    verdict: str
    code: str | None
    state: str


def send_batch(
    store: Store, actor: str, talk: ApplianceSession, batch_id: bytes, quorum: Quorum, *, clock: Clock, timeout: float
) -> list[PaymentAnswer]:
    """Send a stored batch to the appliance of an open session, and keep what it answers once all of it is verified.

    One activation gets the same bytes however often it is asked: after a lost answer it answers the same again. Only
    when it has moved on past them the batch goes under a new number. Raises PaymentState for a cancelled payment,
    ApplianceState unless the appliance is armed, ApplianceRefused when it refuses the batch as a whole, IntegrityAlarm
    for an answer that is not what it must be; then no verdict and no signature of it is kept.
    """
    if talk.report.state != ARMED or talk.identity is None:
        hint = f"activate it: undercroft activation open {talk.name}"
        raise ApplianceState(f"{talk.name} is {talk.report.state}", hint=hint)
    # Attack: one owner stops everything, and the host goes on with the appliances of the other two.
    with store.read() as session:
        check_not_frozen(session, quorum)
    request, is_first = _stored_request(store, actor, talk, batch_id, quorum, clock=clock)
    reply, raw = talk.deliver(request, timeout=timeout, quorum_id=quorum.id)
    if not is_first and isinstance(reply.body, RefusalReply) and reply.body.code == _REPLAY:
        # It has taken other requests since these bytes were made, and so will never take them. The same batch under a
        # new number says the same, and what was signed before is signed alike and counted once.
        request = _renewed(store, actor, talk, batch_id, quorum)
        reply, raw = talk.deliver(request, timeout=timeout, quorum_id=quorum.id)
    refused = isinstance(reply.body, RefusalReply)
    with store.begin(actor) as session:
        # The answer is kept as evidence before it is believed. A refusal to hear the same bytes again says nothing
        # of what became of them the first time: a signature may exist, and the payment must not be given up.
        # Attack: a stranger on the line answers with a statement of their own, and the proof of the logs fails always.
        if reply.sender == talk.identity and (is_first or not refused):
            record = session.get_one(BatchSend, (batch_id, talk.activation_id))
            record.reply, record.replied = raw, clock()
        if isinstance(reply.body, RefusalReply):
            facts: dict[str, int | str | None] = {"appliance": talk.name, "code": reply.body.code}
            audit.record(session, clock=clock, action="batch-refused", subject=_subject(batch_id), facts=facts)
    talk.check_done(reply)
    with store.begin(actor) as session:
        batch = BatchRequest.from_bytes(_batch(session, batch_id).body)
        payments = payments_of(session, batch_id)
        verdicts, signatures = verify_reply(session, reply, batch, payments, quorum, identity=talk.identity)
        _keep(session, reply, payments, verdicts, signatures, identity=talk.identity, clock=clock)
        answers = [
            PaymentAnswer(payment.id, verdict.verdict, verdict.code, _new_state(session, payment, quorum, clock))
            for payment, verdict in zip(payments, verdicts, strict=True)
        ]
        said = ", ".join(f"{answer.payment} {answer.verdict}" for answer in answers)
        facts = {"appliance": talk.name, "verdicts": said}
        audit.record(session, clock=clock, action="batch-answered", subject=_subject(batch_id), facts=facts)
    return answers


def _stored_request(
    store: Store, actor: str, talk: ApplianceSession, batch_id: bytes, quorum: Quorum, *, clock: Clock
) -> tuple[bytes, bool]:
    """The bytes to send, and whether they are sent for the first time."""
    with store.read() as session:
        known = session.get(BatchSend, (batch_id, talk.activation_id))
        body = _batch(session, batch_id).body
        _check_not_cancelled(session, batch_id)
    if known is not None:
        return known.request, False
    request = talk.prepare(BatchRequest.from_bytes(body), lifetime=LIFETIME_SECONDS, quorum_id=quorum.id)
    # Stored before it is sent: from here on the payments may be signed, whatever dies now.
    with store.begin(actor) as session:
        # Taken back since we looked: nothing must be sent any more.
        _check_not_cancelled(session, batch_id)
        session.add(
            BatchSend(
                batch=batch_id,
                activation_id=talk.activation_id,
                appliance=talk.name,
                request=request,
                sent=clock(),
            )
        )
        for payment in payments_of(session, batch_id):
            if payment.state in UNSIGNED_STATES:
                payment.state, payment.reason = SIGNING, None
        facts: dict[str, int | str | None] = {"appliance": talk.name}
        audit.record(session, clock=clock, action="send-batch", subject=_subject(batch_id), facts=facts)
    return request, True


def _renewed(store: Store, actor: str, talk: ApplianceSession, batch_id: bytes, quorum: Quorum) -> bytes:
    with store.read() as session:
        body = _batch(session, batch_id).body
    request = talk.prepare(BatchRequest.from_bytes(body), lifetime=LIFETIME_SECONDS, quorum_id=quorum.id)
    with store.begin(actor) as session:
        _check_not_cancelled(session, batch_id)
        session.get_one(BatchSend, (batch_id, talk.activation_id)).request = request
    return request


def _keep(
    session: Session,
    reply: Message[ReplyHeader],
    payments: Sequence[Payment],
    verdicts: Sequence[Verdict],
    signatures: Sequence[VerifiedSignature],
    *,
    identity: bytes,
    clock: Clock,
) -> None:
    for payment, verdict in zip(payments, verdicts, strict=True):
        session.merge(
            PaymentVerdict(
                payment=payment.id,
                identity=identity,
                verdict=verdict.verdict,
                code=verdict.code,
                policy_hash=reply.header.policy_hash,
                log_head=reply.header.log_head,
                time=clock(),
            )
        )
    for one in signatures:
        session.merge(
            Signature(
                payment=one.payment,
                position=one.position,
                public_key=one.public_key,
                identity=identity,
                der=one.der,
            )
        )
    session.flush()


def _new_state(session: Session, payment: Payment, quorum: Quorum, clock: Clock) -> str:
    """Finalise a payment whose every input has enough owners' signatures; else the strictest word of all owners."""
    if payment.state not in UNSIGNED_STATES:
        return payment.state
    if _is_complete(session, payment, quorum):
        finalise_payment(session, payment.id, quorum, clock=clock)
        return payment.state
    query = select(PaymentVerdict).where(PaymentVerdict.payment == payment.id).order_by(PaymentVerdict.identity)
    said = list(session.scalars(query))
    for state in (REFUSED, HELD):
        voices = [f"{quorum.owner_of(one.identity).name}: {one.code}" for one in said if one.verdict == state]
        if voices:
            payment.state, payment.reason = state, "; ".join(voices)[:200]
            break
    else:
        payment.state, payment.reason = SIGNING, None
    session.flush()
    return payment.state


def _is_complete(session: Session, payment: Payment, quorum: Quorum) -> bool:
    inputs = select(PaymentInput.position).where(PaymentInput.payment == payment.id)
    owners: dict[int, set[bytes]] = {position: set() for position in session.scalars(inputs)}
    query = select(Signature.position, Signature.identity).where(Signature.payment == payment.id)
    for position, identity in session.execute(query):
        # One owner twice is still one owner.
        owners[position].add(identity)
    return all(len(each) >= quorum.threshold for each in owners.values())


def _check_not_cancelled(session: Session, batch_id: bytes) -> None:
    for payment in payments_of(session, batch_id):
        # Attack: a signature for a payment that was taken back, and whose withdrawals are paid by another one.
        if payment.state == CANCELLED:
            hint = "send the others of its batch anew: undercroft payment send ID --to NAME"
            raise PaymentState(f"payment {payment.id} is cancelled", hint=hint)


def _batch(session: Session, batch_id: bytes) -> Batch:
    record = session.get(Batch, batch_id)
    if record is None:
        raise NotFound(f"batch {batch_id.hex()}")
    return record


def _subject(batch_id: bytes) -> str:
    return f"batch:{batch_id.hex()}"
