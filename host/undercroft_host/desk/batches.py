"""Batches: built from payments, sent as the same bytes however often, and their answers taken apart with suspicion."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.errors import MessageError, ProtocolError
from undercroft_protocol.messages import BatchRequest, Change, Clearance, Coin, Output, Quorum, TransactionRequest
from undercroft_protocol.messages.statements import open_statement

from ..clock import Clock
from ..errors import Conflict, Failure, IntegrityAlarm, NotFound, PaymentState
from ..gateway.follower import tip_height
from ..store import audit
from ..store.tables import (
    Batch,
    BatchPayment,
    ClearanceRecord,
    Payment,
    PaymentOutput,
)
from ..vault.payment_records import UNSIGNED_STATES, PaymentRecords, find_payment, load_payment, previous_transaction

_BATCH_ID_BYTES: Final = 16


def build_batch(
    session: Session,
    payments: Sequence[Payment],
    quorum: Quorum,
    policy_hash: bytes,
    *,
    clock: Clock,
    entropy: Callable[[int], bytes],
) -> BatchRequest:
    """The batch of these payments in this order, stored; the same one as before when nothing has changed since.

    Each previous transaction is in it once, without witnesses, in the order of the txids. Raises PaymentState for a
    payment that is not to be signed, Conflict for a clearance that has run out, NotFound for one that is not there,
    IntegrityAlarm when the records contradict the transaction or two payments spend one coin.
    """
    for payment in payments:
        if payment.state not in UNSIGNED_STATES:
            raise PaymentState(f"payment {payment.id} is {payment.state}")
        if payment.quorum_id != quorum.id:
            raise Conflict(f"payment {payment.id} belongs to another quorum")
    records = [load_payment(session, payment.id) for payment in payments]
    _check_coins(records)
    previous = _previous_transactions(session, records)
    positions = {txid: at for at, txid in enumerate(previous)}
    try:
        batch = BatchRequest(
            batch_id=entropy(_BATCH_ID_BYTES),
            policy_hash=policy_hash,
            height=_height(session),
            previous=tuple(previous.values()),
            transactions=tuple(_transaction(session, each, positions, quorum, clock()) for each in records),
        )
    except MessageError as error:
        raise Failure(f"a batch of these payments cannot be said: {error}") from error
    return _stored(session, batch, [payment.id for payment in payments], clock)


def newest_batch(session: Session, payment_id: int) -> BatchRequest:
    """The batch in which a payment was sent last; NotFound before it was sent."""
    query = (
        select(Batch)
        .join(BatchPayment, BatchPayment.batch == Batch.id)
        .where(BatchPayment.payment == payment_id)
        .order_by(Batch.created.desc(), Batch.id)
    )
    record = session.scalars(query).first()
    if record is None:
        raise NotFound(f"a batch with payment {payment_id}", hint="send it first: undercroft payment send")
    return BatchRequest.from_bytes(record.body)


def payments_of(session: Session, batch_id: bytes) -> list[Payment]:
    """The payments of a batch in its order."""
    query = (
        select(Payment)
        .join(BatchPayment, BatchPayment.payment == Payment.id)
        .where(BatchPayment.batch == batch_id)
        .order_by(BatchPayment.position)
    )
    return list(session.scalars(query))


def payments_by_id(session: Session, ids: Sequence[int]) -> list[Payment]:
    """The payments with these ids, in this order; PaymentUnknown, Conflict for one named twice."""
    if len(set(ids)) != len(ids):
        raise Conflict("a payment is named twice")
    return [find_payment(session, number) for number in ids]


def _stored(session: Session, batch: BatchRequest, ids: list[int], clock: Clock) -> BatchRequest:
    known = session.scalars(
        select(Batch)
        .join(BatchPayment, BatchPayment.batch == Batch.id)
        .where(BatchPayment.payment == ids[0], BatchPayment.position == 0)
    )
    for record in known:
        before = BatchRequest.from_bytes(record.body)
        if before == dataclasses.replace(batch, batch_id=before.batch_id):
            return before
    session.add(Batch(id=batch.batch_id, body=batch.to_bytes(), created=clock()))
    session.flush()
    session.add_all(BatchPayment(batch=batch.batch_id, position=at, payment=number) for at, number in enumerate(ids))
    session.flush()
    audit.record(
        session,
        clock=clock,
        action="build-batch",
        subject=batch.batch_id.hex(),
        facts={"payments": ", ".join(map(str, ids)), "policy": batch.policy_hash.hex()},
    )
    return batch


def _check_coins(records: Sequence[PaymentRecords]) -> None:
    coins = [(spent.txid, spent.vout) for each in records for spent in each.inputs]
    # One coin in two transactions: one of the two payments would never be made.
    if len(set(coins)) != len(coins):
        raise IntegrityAlarm("two payments of the batch spend the same coin")


def _previous_transactions(session: Session, records: Sequence[PaymentRecords]) -> dict[bytes, bytes]:
    """Whole previous transactions without witnesses by txid, in the order of the txids."""
    spends = {spent.txid: spent for each in records for spent in each.inputs}
    return {txid: previous_transaction(session, spends[txid]).serialize(with_witness=False) for txid in sorted(spends)}


def _transaction(
    session: Session, records: PaymentRecords, positions: Mapping[bytes, int], quorum: Quorum, now: int
) -> TransactionRequest:
    sequences = {spent.sequence for spent in records.transaction.inputs}
    # The batch has one number for all inputs; with another one the signatures would be for another transaction.
    if len(sequences) != 1:
        raise IntegrityAlarm(f"payment {records.payment.id} has inputs of different sequence numbers")
    return TransactionRequest(
        inputs=tuple(Coin(positions[spent.txid], spent.vout, spent.branch, spent.index) for spent in records.inputs),
        outputs=tuple(_output(session, output, quorum, now) for output in records.outputs),
        sequence=sequences.pop(),
        locktime=records.transaction.locktime,
    )


def _output(session: Session, record: PaymentOutput, quorum: Quorum, now: int) -> Output:
    if record.withdrawal is None:
        if record.change_index is None:
            raise IntegrityAlarm(f"output {record.position} of payment {record.payment} is neither payee nor change")
        return Output(None, Change(record.change_index, record.amount_sats))
    stored = session.get(ClearanceRecord, record.withdrawal)
    if stored is None:
        raise NotFound(f"a clearance of withdrawal {record.withdrawal}", hint="undercroft risk run --once")
    try:
        clearance, _ = open_statement(Clearance, stored.raw, (quorum.risk_key,))
    except ProtocolError as error:
        raise IntegrityAlarm(f"clearance of withdrawal {record.withdrawal}: {error}") from error
    # A clearance for another payee or amount would be refused by the appliance, and count against us there.
    if (clearance.script, clearance.amount_sats) != (record.script, record.amount_sats):
        raise IntegrityAlarm(f"the clearance of withdrawal {record.withdrawal} is for another script or amount")
    if clearance.expires <= now:
        raise Conflict(f"the clearance of {record.withdrawal} has run out", hint="undercroft risk run --once")
    return Output(stored.raw, None)


def _height(session: Session) -> int:
    height = tip_height(session)
    if height < 0:
        raise NotFound("a block; the chain was never followed", hint="undercroft gateway sync")
    return height
