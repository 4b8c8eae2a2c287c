"""Payments: unsigned transactions for cleared withdrawals, the locks on their coins, and the finished transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput, txid_to_hex
from undercroft_protocol.messages import SIGNED, Quorum

from ..clock import Clock
from ..errors import (
    EarlierPayment,
    FeerateInvalid,
    NothingToPay,
    PaymentSigned,
    PaymentState,
    UsageProblem,
    WithdrawalState,
)
from ..store import audit
from ..store.tables import (
    ChainTransaction,
    Coin,
    Payment,
    PaymentInput,
    PaymentOutput,
    Signature,
    Withdrawal,
)
from .addresses import CHANGE, change_address, highest_index
from .coins import spendable_coins
from .families import CANCELLED, answers_out, must_spend, said_of
from .finalise import finalise_payment, payment_psbt
from .payment_records import UNSIGNED_STATES, find_payment
from .selection import Candidate, Selection, Shape, select_coins
from .withdrawals import cancel_withdrawal, find_withdrawal, withdrawals_in

__all__ = ["build_payment", "cancel_payment", "finalise_payment", "payment_psbt", "release_payment"]

TRANSACTION_VERSION: Final = 2
SEQUENCE: Final = 0xFFFFFFFD
"""Replaceable (BIP 125), and the locktime counts (BIP 65)."""
MOST_PAYEES: Final = 100
LEAST_FEERATE: Final = 1_000
MOST_FEERATE: Final = 1_000_000
"""Sats per 1000 virtual bytes: below, nodes do not relay; above, it is a slip of the hand."""

_ASK_AGAIN: Final = "ask it again: undercroft payment resend ID --to NAME; or, if it lost its key, activate it anew"


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
    WithdrawalUnknown, WithdrawalState, UsageProblem, FeerateInvalid, CoinsExhausted, EarlierPayment.
    """
    if not LEAST_FEERATE <= feerate_sat_per_kvb <= MOST_FEERATE:
        raise FeerateInvalid(f"{feerate_sat_per_kvb} sat/kvB; {LEAST_FEERATE} to {MOST_FEERATE} are possible")
    free = spendable_coins(session, quorum.id, height=height)
    orders = _cleared(session, withdrawals, free)
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
    # Attack: an appliance's signature for an earlier payment of these orders turns up after they were paid anew.
    chosen = select_coins(free, paid_sats, shape, must=must_spend(session, orders, free))
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
    """Take back a payment: its coins are free, its withdrawals cleared again (or cancelled); it stays cancelled.

    Where a signature may still be made (see `families`), its withdrawals can only be paid again by spending one of its
    coins, and not be cancelled. Raises PaymentUnknown, PaymentState once it is signed, PaymentSigned while it could be
    carried out: an answer is out, or an owner has signed and nobody has refused; EarlierPayment.
    """
    payment = find_payment(session, payment_id)
    if payment.state == CANCELLED:
        return payment
    if payment.state not in UNSIGNED_STATES:
        raise PaymentState(f"payment {payment_id} is {payment.state}")
    seen = session.get(ChainTransaction, payment.txid)
    if seen is not None and not seen.conflicted:
        raise PaymentSigned(f"payment {payment_id} is on the network")
    # Attack: paying the same orders from other coins while an appliance's signature for these is still on its way.
    if answers_out(session, payment_id):
        raise PaymentSigned(f"payment {payment_id} was sent to an appliance that has not answered", hint=_ASK_AGAIN)
    # A stored answer counts, too: the host may have died before it had taken the signatures out of it.
    has_signature = session.scalars(select(Signature).where(Signature.payment == payment_id)).first() is not None
    if payment.state != "refused" and (
        has_signature or any(word == SIGNED for _, word in said_of(session, payment_id))
    ):
        raise PaymentSigned(f"payment {payment_id} has a signature")
    orders = release_payment(session, payment, "cancel-payment", clock=clock)
    if cancel_withdrawals:
        for order in orders:
            cancel_withdrawal(session, order.id, clock=clock)
    return payment


def release_payment(session: Session, payment: Payment, action: str, *, clock: Clock) -> list[Withdrawal]:
    """Mark a payment as cancelled, unlock its coins and clear its withdrawals, which are returned."""
    payment.state = CANCELLED
    for coin in session.scalars(select(Coin).where(Coin.payment == payment.id)):
        coin.payment = None
    orders = list(session.scalars(select(Withdrawal).where(Withdrawal.payment == payment.id)))
    for order in orders:
        order.state, order.payment = "cleared", None
    session.flush()
    _note(session, payment, action, clock)
    return orders


def _cleared(session: Session, ids: Sequence[str] | None, free: Sequence[Candidate]) -> list[Withdrawal]:
    if ids is None:
        # One that has to wait for the coins of an earlier payment must not keep all others waiting.
        orders = [order for order in withdrawals_in(session, "cleared") if _is_payable(session, order, free)]
        orders = orders[:MOST_PAYEES]
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


def _is_payable(session: Session, order: Withdrawal, free: Sequence[Candidate]) -> bool:
    try:
        must_spend(session, [order], free)
    except EarlierPayment:
        return False
    return True


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


def _note(session: Session, payment: Payment, action: str, clock: Clock) -> None:
    facts: dict[str, int | str | None] = {"txid": txid_to_hex(payment.txid), "fee_sats": payment.fee_sats}
    audit.record(session, clock=clock, action=action, subject=f"payment:{payment.id}", facts=facts)
