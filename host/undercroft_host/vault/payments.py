"""Payments: unsigned transactions for cleared withdrawals, the locks on their coins, and the finished transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput, txid_to_hex
from undercroft_protocol.messages import Quorum

from ..clock import Clock
from ..errors import FeerateInvalid, NothingToPay, PaymentSigned, PaymentState, UsageProblem, WithdrawalState
from ..store import audit
from ..store.tables import (
    BatchPayment,
    BatchSend,
    Coin,
    Payment,
    PaymentInput,
    PaymentOutput,
    Signature,
    Withdrawal,
)
from .addresses import CHANGE, change_address, highest_index
from .coins import spendable_coins
from .finalise import finalise_payment, payment_psbt
from .payment_records import UNSIGNED_STATES, find_payment
from .selection import Selection, Shape, select_coins
from .withdrawals import cancel_withdrawal, find_withdrawal, withdrawals_in

__all__ = ["build_payment", "cancel_payment", "finalise_payment", "payment_psbt"]

TRANSACTION_VERSION: Final = 2
SEQUENCE: Final = 0xFFFFFFFD
"""Replaceable (BIP 125), and the locktime counts (BIP 65)."""
MOST_PAYEES: Final = 100
LEAST_FEERATE: Final = 1_000
MOST_FEERATE: Final = 1_000_000
"""Sats per 1000 virtual bytes: below, nodes do not relay; above, it is a slip of the hand."""


def build_payment(
    session: Session,
    *,
    quorum: Quorum,
    withdrawals: Sequence[str] | None,
    feerate_sat_per_kvb: int,
    height: int,
    clock: Clock,
) -> Payment:
    """An unsigned transaction for these withdrawals (None: all that are cleared, oldest first, 100 at most).

    ``height`` is the chain's tip: it becomes the locktime, so that nobody gains by mining the payment into an older
    block. The coins are locked for this payment and the withdrawals assigned to it. Raises NothingToPay,
    WithdrawalUnknown, WithdrawalState, UsageProblem, FeerateInvalid, CoinsExhausted.
    """
    if not LEAST_FEERATE <= feerate_sat_per_kvb <= MOST_FEERATE:
        raise FeerateInvalid(f"{feerate_sat_per_kvb} sat/kvB; {LEAST_FEERATE} to {MOST_FEERATE} are possible")
    orders = _cleared(session, withdrawals)
    descriptor = quorum.descriptor()
    # The script of the next change address; the address is given out only if there is change.
    next_change = highest_index(session, quorum.id, CHANGE) + 1
    shape = Shape(
        payee_scripts=tuple(order.script for order in orders),
        change_script=descriptor.script(CHANGE, next_change),
        threshold=descriptor.threshold,
        key_count=len(descriptor.cosigners),
        feerate_sat_per_kvb=feerate_sat_per_kvb,
    )
    paid_sats = sum(order.amount_sats for order in orders)
    chosen = select_coins(spendable_coins(session, quorum.id, height=height), paid_sats, shape)
    outputs: list[PaymentOutput] = [
        PaymentOutput(script=order.script, amount_sats=order.amount_sats, withdrawal=order.id) for order in orders
    ]
    if chosen.change_sats:
        change = change_address(session, quorum, clock=clock)
        outputs.append(PaymentOutput(script=change.script, amount_sats=chosen.change_sats, change_index=change.index))
    outputs = _shuffled(outputs, chosen)
    transaction = _transaction(session, chosen, outputs, height)
    payment = Payment(
        txid=transaction.txid,
        quorum_id=quorum.id,
        unsigned=transaction.serialize(),
        fee_sats=chosen.fee_sats,
        feerate_sat_per_kvb=feerate_sat_per_kvb,
        state="built",
        built=clock(),
    )
    session.add(payment)
    session.flush()
    _write_parts(session, payment, chosen, outputs, orders)
    _note(session, payment, "build-payment", clock)
    return payment


def cancel_payment(session: Session, payment_id: int, *, clock: Clock, cancel_withdrawals: bool = False) -> Payment:
    """Take back a payment of which no signature can exist: its coins are free, its withdrawals cleared again (or
    cancelled). A cancelled payment stays cancelled.

    Raises PaymentUnknown, PaymentState once it is signed, PaymentSigned while a signature exists or an answer is out.
    """
    payment = find_payment(session, payment_id)
    if payment.state == "cancelled":
        return payment
    if payment.state not in UNSIGNED_STATES:
        raise PaymentState(f"payment {payment_id} is {payment.state}")
    if session.scalars(select(Signature).where(Signature.payment == payment_id)).first():
        raise PaymentSigned(f"payment {payment_id} has a signature")
    # Attack: paying the same orders from other coins while an appliance's signature for these is still on its way.
    if _answers_out(session, payment_id):
        raise PaymentSigned(f"payment {payment_id} was sent to an appliance that has not answered")
    payment.state = "cancelled"
    for coin in session.scalars(select(Coin).where(Coin.payment == payment_id)):
        coin.payment = None
    for order in session.scalars(select(Withdrawal).where(Withdrawal.payment == payment_id)):
        order.state, order.payment = "cleared", None
        if cancel_withdrawals:
            cancel_withdrawal(session, order.id, clock=clock)
    session.flush()
    _note(session, payment, "cancel-payment", clock)
    return payment


def _cleared(session: Session, ids: Sequence[str] | None) -> list[Withdrawal]:
    if ids is None:
        orders = withdrawals_in(session, "cleared")[:MOST_PAYEES]
    else:
        # Attack: one order named twice is paid twice.
        if len(set(ids)) != len(ids) or len(ids) > MOST_PAYEES:
            raise UsageProblem(f"each withdrawal once, and {MOST_PAYEES} at most")
        orders = [find_withdrawal(session, id) for id in ids]
    for order in orders:
        # Attack: paying what risk has not cleared, or what another payment pays already.
        if order.state != "cleared" or order.payment is not None:
            raise WithdrawalState(f"{order.id} is {order.state}, not cleared")
    if not orders:
        raise NothingToPay
    return orders


def _shuffled(outputs: list[PaymentOutput], chosen: Selection) -> list[PaymentOutput]:
    """The outputs in an order that anybody can recompute and that says nothing about which one is change."""
    salt = Outpoint(chosen.coins[0].txid, chosen.coins[0].vout).serialize()
    return sorted(
        outputs, key=lambda output: (sha256(salt + output.script), output.amount_sats, output.withdrawal or "")
    )


def _transaction(session: Session, chosen: Selection, outputs: Sequence[PaymentOutput], height: int) -> Transaction:
    inputs = tuple(TxInput(Outpoint(coin.txid, coin.vout), SEQUENCE) for coin in chosen.coins)
    paid = tuple(TxOutput(output.amount_sats, output.script) for output in outputs)
    # A payment without change, cancelled and built again, would have the same txid: another locktime tells them apart.
    for locktime in range(height, -1, -1):
        transaction = Transaction(TRANSACTION_VERSION, inputs, paid, locktime)
        if session.scalars(select(Payment.id).where(Payment.txid == transaction.txid)).first() is None:
            return transaction
    raise PaymentState("this very transaction was built before")


def _write_parts(
    session: Session,
    payment: Payment,
    chosen: Selection,
    outputs: Sequence[PaymentOutput],
    orders: Sequence[Withdrawal],
) -> None:
    for position, coin in enumerate(chosen.coins):
        session.add(
            PaymentInput(
                payment=payment.id,
                position=position,
                txid=coin.txid,
                vout=coin.vout,
                branch=coin.branch,
                index=coin.index,
                amount_sats=coin.amount_sats,
            )
        )
        session.get_one(Coin, (coin.txid, coin.vout)).payment = payment.id
    for position, output in enumerate(outputs):
        output.payment, output.position = payment.id, position
        session.add(output)
    for order in orders:
        order.state, order.payment = "assigned", payment.id
    session.flush()


def _answers_out(session: Session, payment_id: int) -> bool:
    unanswered = (
        select(BatchSend.batch)
        .join(BatchPayment, BatchPayment.batch == BatchSend.batch)
        .where(BatchPayment.payment == payment_id, BatchSend.reply.is_(None))
    )
    return session.scalars(unanswered).first() is not None


def _note(session: Session, payment: Payment, action: str, clock: Clock) -> None:
    facts: dict[str, int | str | None] = {"txid": txid_to_hex(payment.txid), "fee_sats": payment.fee_sats}
    audit.record(session, clock=clock, action=action, subject=f"payment:{payment.id}", facts=facts)
