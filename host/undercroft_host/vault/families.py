"""Payments that were taken back although they may still reach the network, and what that forbids.

Two transactions that spend one coin cannot both confirm. So what such a payment was to pay is paid again only by a
transaction that spends one of its coins, and given back only once another transaction, deep in the chain, spent one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import HELD, REFUSED, SIGNED, BatchReply, RefusalReply, open_reply
from undercroft_protocol.messages.quorum import THRESHOLD

from ..errors import EarlierPayment
from ..gateway.follower import transaction_confirmations
from ..store.tables import Activation, BatchPayment, BatchSend, Coin, Payment, PaymentInput, PaymentOutput, Withdrawal
from .selection import Candidate

CANCELLED: Final = "cancelled"
BURIED: Final = 6
"""Confirmations after which no reorganisation is expected to bring back what a transaction made impossible."""

UNANSWERED: Final = "unanswered"
_NOT_FINAL: Final = ("busy", "replay")
"""Refusals to listen, not judgements: the same bytes may be listened to another time, or were before."""


def said_of(session: Session, payment_id: int) -> list[tuple[BatchSend, str]]:
    """What each activation that was sent this payment has said of it: signed, held, refused, or unanswered."""
    rows = session.execute(
        select(BatchSend, BatchPayment.position)
        .join(BatchPayment, BatchPayment.batch == BatchSend.batch)
        .where(BatchPayment.payment == payment_id)
        .order_by(BatchSend.sent, BatchSend.batch, BatchSend.activation_id)
    )
    return [(send, _word(send.reply, position)) for send, position in rows]


def answers_out(session: Session, payment_id: int) -> bool:
    """Whether an activation that is not known to be over still owes an answer."""
    for send, word in said_of(session, payment_id):
        if word == UNANSWERED:
            activation = session.get(Activation, send.activation_id)
            if activation is None or activation.state != "ended":
                return True
    return False


def may_be_signed(session: Session, payment_id: int) -> bool:
    """Whether enough signatures may exist or may still be made: as many appliances as it takes were sent this payment,
    and not each of them has refused it for good. A held one is signed whenever its owner decides so.
    """
    said = said_of(session, payment_id)
    # Attack: a dishonest owner's appliance says "refused" and signs. So one word that is no refusal is enough.
    return len({send.appliance for send, _ in said}) >= THRESHOLD and any(word != REFUSED for _, word in said)


def rivals(session: Session, withdrawal_id: str) -> list[Payment]:
    """Payments of this withdrawal that were taken back and may still confirm, oldest first."""
    query = (
        select(Payment)
        .join(PaymentOutput, PaymentOutput.payment == Payment.id)
        .where(PaymentOutput.withdrawal == withdrawal_id, Payment.state == CANCELLED)
        .order_by(Payment.id)
    )
    return [one for one in session.scalars(query) if may_be_signed(session, one.id) and not _is_dead(session, one)]


def check_no_rival(session: Session, withdrawal_id: str) -> None:
    """Raises EarlierPayment while a payment of this withdrawal that was taken back may still confirm."""
    for rival in rivals(session, withdrawal_id):
        raise EarlierPayment(f"{withdrawal_id}: payment {rival.id}")


def must_spend(session: Session, orders: Iterable[Withdrawal], free: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Coins that a payment of these orders has to spend so that no earlier one can confirm beside it.

    Raises EarlierPayment when all coins of an earlier one are spent or locked: then only waiting helps.
    """
    chosen: list[Candidate] = []
    for order in orders:
        for rival in rivals(session, order.id):
            coins = set(_inputs(session, rival))
            if any((coin.txid, coin.vout) in coins for coin in chosen):
                continue
            usable = [coin for coin in free if (coin.txid, coin.vout) in coins]
            if not usable:
                raise EarlierPayment(f"{order.id}: payment {rival.id}, and none of its coins is free")
            chosen.append(max(usable, key=lambda coin: (coin.amount_sats, coin.txid, coin.vout)))
    return tuple(chosen)


def displaced_by(session: Session, payment: Payment) -> list[Payment]:
    """Open payments that spend a coin of this one, which is in the chain: they can never confirm."""
    mine = set(_inputs(session, payment))
    others = select(Payment).where(Payment.id != payment.id, Payment.state.not_in((CANCELLED, "settled")))
    return [other for other in session.scalars(others).all() if not mine.isdisjoint(_inputs(session, other))]


def _word(reply: bytes | None, position: int) -> str:
    if reply is None:
        return UNANSWERED
    try:
        body = open_reply(reply, None).body
    except ProtocolError:
        return UNANSWERED
    if isinstance(body, BatchReply) and position < len(body.verdicts):
        word = body.verdicts[position].verdict
        return word if word in (SIGNED, HELD, REFUSED) else UNANSWERED
    if isinstance(body, RefusalReply) and body.code not in _NOT_FINAL:
        return REFUSED
    return UNANSWERED


def _is_dead(session: Session, payment: Payment) -> bool:
    """Whether another transaction that spends one of its coins is buried."""
    for key in _inputs(session, payment):
        coin = session.get(Coin, key)
        spender = None if coin is None else coin.spent_by
        if spender not in (None, payment.txid) and transaction_confirmations(session, spender or b"") >= BURIED:
            return True
    return False


def _inputs(session: Session, payment: Payment) -> Iterator[tuple[bytes, int]]:
    for row in session.scalars(select(PaymentInput).where(PaymentInput.payment == payment.id)):
        yield row.txid, row.vout
