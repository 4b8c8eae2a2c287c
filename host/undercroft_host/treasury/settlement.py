"""A payment deep enough in the chain leaves the books: what was pending is paid, the fee is spent."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.transaction import txid_to_hex

from ..clock import Clock
from ..errors import UsageProblem
from ..gateway.follower import transaction_confirmations
from ..store import audit
from ..store.tables import Payment, PaymentOutput, Withdrawal
from ..vault.families import CANCELLED, displaced_by
from ..vault.payment_records import load_payment
from ..vault.payments import release_payment
from . import ledger

KIND: Final = "payment"

_OPEN: Final = ("built", "signing", "held", "refused", "signed", "broadcast", CANCELLED)
_PAID: Final = ("settled", CANCELLED)


def settle_payments(session: Session, *, settle_confirmations: int, clock: Clock) -> list[Payment]:
    """Settle every payment whose transaction has so many confirmations (at least 1); returns those settled now.

    The chain is the truth: a payment found there is paid, whatever state the host died in, and even if it was taken
    back; what spends its coins otherwise is cancelled. One that was taken back, and whose withdrawals were since paid
    or given back, stays as it is: `reconcile` raises the alarm. Raises PaymentTampered.
    """
    if settle_confirmations < 1:
        raise UsageProblem(f"{settle_confirmations} confirmations; 1 is the least")
    wanted = select(Payment).where(Payment.state.in_(_OPEN)).order_by(Payment.id)
    settled = [
        payment
        for payment in session.scalars(wanted).all()
        if transaction_confirmations(session, payment.txid) >= settle_confirmations and _is_owed(session, payment)
    ]
    for payment in settled:
        _settle(session, payment, clock)
    session.flush()
    return settled


def _settle(session: Session, payment: Payment, clock: Clock) -> None:
    records = load_payment(session, payment.id)
    paid_sats = sum(output.amount_sats for output in records.outputs if output.withdrawal is not None)
    lines = {
        ledger.PENDING: paid_sats,
        ledger.NETWORK_FEES: payment.fee_sats,
        ledger.HOT: -paid_sats - payment.fee_sats,
    }
    ledger.post(session, KIND, txid_to_hex(payment.txid), lines, clock)
    facts: dict[str, int | str | None] = {
        "txid": txid_to_hex(payment.txid),
        "paid_sats": paid_sats,
        "fee_sats": payment.fee_sats,
        "state_before": payment.state,
    }
    for withdrawal in _withdrawals(session, payment):
        withdrawal.state, withdrawal.payment = "settled", payment.id
    payment.state = "settled"
    session.flush()
    for other in displaced_by(session, payment):
        other.reason = f"payment {payment.id} has spent its coins"
        release_payment(session, other, "displace-payment", clock=clock)
    audit.record(session, clock=clock, action="settle-payment", subject=f"payment:{payment.id}", facts=facts)


def _is_owed(session: Session, payment: Payment) -> bool:
    """Whether none of its withdrawals was paid by another transaction or given back."""
    return all(
        withdrawal.state not in _PAID or withdrawal.payment == payment.id
        for withdrawal in _withdrawals(session, payment)
    )


def _withdrawals(session: Session, payment: Payment) -> list[Withdrawal]:
    paid = select(PaymentOutput.withdrawal).where(PaymentOutput.payment == payment.id)
    return list(session.scalars(select(Withdrawal).where(Withdrawal.id.in_(paid)).order_by(Withdrawal.id)))
