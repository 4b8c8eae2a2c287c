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
from ..store.tables import Payment, Withdrawal
from ..vault.payment_records import load_payment
from . import ledger

KIND: Final = "payment"

_OPEN: Final = ("built", "signing", "held", "refused", "signed", "broadcast")


def settle_payments(session: Session, *, settle_confirmations: int, clock: Clock) -> list[Payment]:
    """Settle every payment whose transaction has so many confirmations (at least 1); returns those settled now.

    The chain is the truth: a payment found there is paid, whatever state the host died in. Raises PaymentTampered.
    """
    if settle_confirmations < 1:
        raise UsageProblem(f"{settle_confirmations} confirmations; 1 is the least")
    wanted = select(Payment).where(Payment.state.in_(_OPEN)).order_by(Payment.id)
    settled = [
        payment
        for payment in session.scalars(wanted).all()
        if transaction_confirmations(session, payment.txid) >= settle_confirmations
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
    for withdrawal in session.scalars(select(Withdrawal).where(Withdrawal.payment == payment.id)):
        withdrawal.state = "settled"
    payment.state = "settled"
    audit.record(session, clock=clock, action="settle-payment", subject=f"payment:{payment.id}", facts=facts)
