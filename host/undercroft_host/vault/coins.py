"""Which coins may be spent at all."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.transaction import Transaction

from ..store.tables import Address, ChainTransaction, Coin, Deposit, Payment
from .addresses import CHANGE
from .selection import Candidate

COINBASE_MATURITY: Final = 100
"""Blocks on top, its own included, before a coinbase output can be spent in the next one (consensus)."""

_COINBASE_TXID: Final = bytes(32)


def spendable_coins(session: Session, quorum_id: bytes, *, height: int) -> list[Candidate]:
    """Coins that a payment may spend at this chain height: confirmed, unspent, not locked, not frozen, and ours by the
    books: a credited deposit, or change of our own.
    """
    rows = session.execute(
        select(Coin, Address, ChainTransaction)
        .join(Address, Address.script == Coin.script)
        .join(ChainTransaction, ChainTransaction.txid == Coin.txid)
        .where(
            Address.quorum_id == quorum_id,
            # Attack: spending what another, unconfirmed transaction can still take away from us.
            ChainTransaction.height.is_not(None),
            Coin.spent_by.is_(None),
            Coin.payment.is_(None),
            Coin.frozen.is_(None),
        )
        .order_by(Coin.txid, Coin.vout)
    )
    return [
        Candidate(coin.txid, coin.vout, address.branch, address.index, coin.amount_sats)
        for coin, address, parent in rows
        if _mature(parent, height) and _in_the_books(session, coin, address)
    ]


def _in_the_books(session: Session, coin: Coin, address: Address) -> bool:
    if address.branch == CHANGE:
        return session.scalars(select(Payment.id).where(Payment.txid == coin.txid)).first() is not None
    # Attack: tainted money, delayed by risk, washed by being spent together with clean coins.
    deposit = session.get(Deposit, (coin.txid, coin.vout))
    return deposit is not None and deposit.state == "credited"


def _mature(parent: ChainTransaction, height: int) -> bool:
    first = Transaction.parse(parent.raw).inputs[0].outpoint
    needed = COINBASE_MATURITY if first.txid == _COINBASE_TXID else 1
    return parent.height is not None and height - parent.height + 1 >= needed
