"""Books and chain, compared to the satoshi, and every difference explained or an alarm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.transaction import Outpoint, txid_from_hex, txid_to_hex
from undercroft_protocol.messages import Quorum

from ..errors import BooksWrong, ChainBehind
from ..gateway.rpc import NodeRpc, amount_to_sats
from ..gateway.watch import DEFAULT_WALLET
from ..store.tables import (
    Address,
    Block,
    ChainTransaction,
    Coin,
    Deposit,
    Payment,
    PaymentOutput,
    QuorumRecord,
    Withdrawal,
)
from ..vault.addresses import CHANGE, RECEIVE, highest_index
from . import ledger

_SCAN_SECONDS: Final = 3600.0
_MOST_CONFIRMATIONS: Final = 9_999_999
_MOST_NAMED: Final = 5
_DONE: Final = ("settled", "cancelled")


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """All in sats. ``chain_sats`` (confirmed and unspent) equals ``books_sats`` plus what the rest explains.

    ``uncredited_sats``: deposits confirmed and not credited (yet); ``unconfirmed_sats``: credited, and without a block
    since a reorganisation; ``unsettled_sats``: payments confirmed and not settled (yet); ``reopened_sats``: settled,
    and without a block since; ``unclaimed_sats``: paid to change addresses by others; ``in_flight_sats``: coins on the
    chain that the mempool already spends.
    """

    height: int
    books_sats: int
    chain_sats: int
    node_sats: int
    in_flight_sats: int
    uncredited_sats: int
    unconfirmed_sats: int
    unsettled_sats: int
    reopened_sats: int
    unclaimed_sats: int
    pending_sats: int
    fees_sats: int
    customers_sats: int


def reconcile(session: Session, node: NodeRpc, *, wallet: str = DEFAULT_WALLET, scan: bool = False) -> Reconciliation:
    """Compare the ledger, the coins as recorded, and the node's own list of them.

    The node's list is its watch-only wallet's; with ``scan`` it is the whole set of unspent outputs, which takes no
    wallet's word (a minute or two on mainnet). Raises ChainBehind when the node has moved on since the last `sync`,
    BooksWrong when a difference is unexplained, LedgerProblem, and as NodeRpc.
    """
    tip = session.scalars(select(Block).order_by(Block.height.desc()).limit(1)).first()
    _check_tip(node, tip)
    theirs = _scanned(session, node) if scan else _listed(session, node, wallet)
    _check_tip(node, tip)
    recorded = _recorded(session, spent_unconfirmed=True)
    ours = recorded if scan else _recorded(session, spent_unconfirmed=False)
    _compare_coins(ours, theirs)
    balances = ledger.trial_balance(session)
    result = Reconciliation(
        height=-1 if tip is None else tip.height,
        books_sats=balances.get(ledger.HOT, 0),
        chain_sats=sum(recorded.values()),
        node_sats=sum(theirs.values()),
        in_flight_sats=sum(recorded.values()) - sum(_recorded(session, spent_unconfirmed=False).values()),
        uncredited_sats=_deposits(session, credited=False, confirmed=True),
        unconfirmed_sats=_deposits(session, credited=True, confirmed=False),
        unsettled_sats=_payments(session, settled=False, confirmed=True),
        reopened_sats=_payments(session, settled=True, confirmed=False),
        unclaimed_sats=_unclaimed(session),
        pending_sats=-balances.get(ledger.PENDING, 0),
        fees_sats=balances.get(ledger.NETWORK_FEES, 0),
        customers_sats=-sum(sats for name, sats in balances.items() if name.startswith(ledger.customer(""))),
    )
    _explain(session, result)
    return result


def _explain(session: Session, found: Reconciliation) -> None:
    expected_sats = (
        found.books_sats
        + found.uncredited_sats
        - found.unconfirmed_sats
        - found.unsettled_sats
        + found.reopened_sats
        + found.unclaimed_sats
    )
    # Attack: money that left by another way than a payment, or a ledger that was written by other hands.
    if found.chain_sats != expected_sats:
        raise BooksWrong(f"{found.chain_sats} sats on the chain, {expected_sats} sats can be explained")
    owed_sats = sum(session.scalars(select(Withdrawal.amount_sats).where(Withdrawal.state.not_in(_DONE))))
    if found.pending_sats != owed_sats:
        raise BooksWrong(f"{found.pending_sats} sats are booked as pending, open withdrawals are {owed_sats} sats")


def _check_tip(node: NodeRpc, tip: Block | None) -> None:
    best = node.call("getbestblockhash")
    if tip is None or best != txid_to_hex(tip.hash):
        raise ChainBehind(f"the node is at block {best}")


def _recorded(session: Session, *, spent_unconfirmed: bool) -> dict[Outpoint, int]:
    """Coins in blocks that no block spends; those that only the mempool spends among them or not."""
    in_block = select(ChainTransaction.txid).where(ChainTransaction.height.is_not(None))
    unspent = Coin.spent_by.is_(None)
    chosen = unspent | Coin.spent_by.not_in(in_block) if spent_unconfirmed else unspent
    rows = session.scalars(select(Coin).where(Coin.txid.in_(in_block), chosen))
    return {Outpoint(coin.txid, coin.vout): coin.amount_sats for coin in rows}


def _listed(session: Session, node: NodeRpc, wallet: str) -> dict[Outpoint, int]:
    entries = node.call("listunspent", 1, _MOST_CONFIRMATIONS, [], True, wallet=wallet)
    return _of_ours(session, entries)


def _scanned(session: Session, node: NodeRpc) -> dict[Outpoint, int]:
    wanted = []
    for record in session.scalars(select(QuorumRecord)):
        descriptor = Quorum.from_bytes(record.cbor).descriptor()
        for branch in (RECEIVE, CHANGE):
            last = max(highest_index(session, record.id, branch), 0)
            wanted.append({"desc": descriptor.text(branch), "range": [0, last]})
    found = node.call("scantxoutset", "start", wanted, timeout_seconds=_SCAN_SECONDS)
    return _of_ours(session, found["unspents"])


def _of_ours(session: Session, entries: Sequence[dict[str, Any]]) -> dict[Outpoint, int]:
    return {
        Outpoint(txid_from_hex(entry["txid"]), entry["vout"]): amount_to_sats(entry["amount"])
        for entry in entries
        if session.get(Address, bytes.fromhex(entry["scriptPubKey"])) is not None
    }


def _compare_coins(ours: dict[Outpoint, int], theirs: dict[Outpoint, int]) -> None:
    differing = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    if differing:
        named = ", ".join(
            f"{key} ours {ours.get(key, 0)} the node's {theirs.get(key, 0)} sats" for key in differing[:_MOST_NAMED]
        )
        raise BooksWrong(f"{len(differing)} coins differ: {named}")


def _deposits(session: Session, *, credited: bool, confirmed: bool) -> int:
    in_block = select(ChainTransaction.txid).where(ChainTransaction.height.is_not(None))
    amounts = session.scalars(
        select(Deposit.amount_sats).where(
            Deposit.credited.is_not(None) if credited else Deposit.credited.is_(None),
            Deposit.txid.in_(in_block) if confirmed else Deposit.txid.not_in(in_block),
        )
    )
    return sum(amounts)


def _payments(session: Session, *, settled: bool, confirmed: bool) -> int:
    """What left by payments: payees and fees."""
    in_block = select(ChainTransaction.txid).where(ChainTransaction.height.is_not(None))
    chosen = select(Payment).where(
        Payment.state == "settled" if settled else Payment.state.not_in(("settled", "cancelled")),
        Payment.txid.in_(in_block) if confirmed else Payment.txid.not_in(in_block),
    )
    total_sats = 0
    for payment in session.scalars(chosen):
        paid = select(PaymentOutput.amount_sats).where(
            PaymentOutput.payment == payment.id, PaymentOutput.withdrawal.is_not(None)
        )
        total_sats += sum(session.scalars(paid)) + payment.fee_sats
    return total_sats


def _unclaimed(session: Session) -> int:
    in_block = select(ChainTransaction.txid).where(ChainTransaction.height.is_not(None))
    amounts = session.scalars(
        select(Coin.amount_sats)
        .join(Address, Address.script == Coin.script)
        .where(Address.account.is_(None), Coin.txid.in_(in_block), Coin.txid.not_in(select(Payment.txid)))
    )
    return sum(amounts)
