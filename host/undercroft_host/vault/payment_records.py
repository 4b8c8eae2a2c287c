"""A payment as its records tell it, read back whole and compared: row by row against the unsigned transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction
from undercroft_protocol.errors import TransactionError

from ..errors import PaymentTampered, PaymentUnknown
from ..store.tables import ChainTransaction, Payment, PaymentInput, PaymentOutput

UNSIGNED_STATES: Final = ("built", "signing", "held", "refused")
"""States of a payment that does not have its signatures yet."""


@dataclass(frozen=True, slots=True)
class PaymentRecords:
    """The payment's row, its unsigned transaction, and the rows of its inputs and outputs in their order."""

    payment: Payment
    transaction: Transaction
    inputs: tuple[PaymentInput, ...]
    outputs: tuple[PaymentOutput, ...]


def find_payment(session: Session, payment_id: int) -> Payment:
    """The payment; raises PaymentUnknown."""
    payment = session.get(Payment, payment_id)
    if payment is None:
        raise PaymentUnknown(str(payment_id))
    return payment


def load_payment(session: Session, payment_id: int) -> PaymentRecords:
    """Everything about a payment. Raises PaymentUnknown, and PaymentTampered when the records disagree."""
    payment = find_payment(session, payment_id)
    inputs = session.scalars(
        select(PaymentInput).where(PaymentInput.payment == payment_id).order_by(PaymentInput.position)
    ).all()
    outputs = session.scalars(
        select(PaymentOutput).where(PaymentOutput.payment == payment_id).order_by(PaymentOutput.position)
    ).all()
    try:
        transaction = Transaction.parse(payment.unsigned, allow_witness=False)
    except TransactionError as error:
        raise PaymentTampered(f"payment {payment_id}: {error.detail}") from None
    spent = [item.outpoint for item in transaction.inputs]
    paid = [(output.amount_sats, output.script) for output in transaction.outputs]
    fee_sats = sum(row.amount_sats for row in inputs) - sum(row.amount_sats for row in outputs)
    # Attack: a row changed in the database, so that the books say one thing and the signed transaction another.
    if (
        transaction.txid != payment.txid
        or spent != [Outpoint(row.txid, row.vout) for row in inputs]
        or paid != [(row.amount_sats, row.script) for row in outputs]
        or fee_sats != payment.fee_sats
    ):
        raise PaymentTampered(f"payment {payment_id}: rows and transaction differ")
    return PaymentRecords(payment, transaction, tuple(inputs), tuple(outputs))


def previous_transaction(session: Session, spent: PaymentInput) -> Transaction:
    """The whole transaction that an input spends from. Raises PaymentTampered when it is not the one."""
    row = session.get(ChainTransaction, spent.txid)
    previous = None if row is None else Transaction.parse(row.raw)
    if previous is None or previous.txid != spent.txid or spent.vout >= len(previous.outputs):
        raise PaymentTampered(f"payment {spent.payment}: input {spent.position} has lost its previous transaction")
    if previous.outputs[spent.vout].amount_sats != spent.amount_sats:
        raise PaymentTampered(f"payment {spent.payment}: input {spent.position} has another amount on the chain")
    return previous
