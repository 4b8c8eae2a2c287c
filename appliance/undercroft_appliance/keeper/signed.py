"""What is remembered of each signed transaction, and how one keeper process hands it to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, NamedTuple

from undercroft_protocol.codec import Value
from undercroft_protocol.fields import Bytes32, KeyIndex, Name, PositiveSats, Sats, Script, Size, UInt32

from .proven import ProvenTransaction

MOST_AMOUNTS: Final = 200
"""Payments that the statistics look back on."""
MOST_BYTES: Final = 3 * 1024 * 1024
"""Of all transactions, encoded: some 75,000 coins or 50,000 payees; one message, and some 30 MB of memory."""
_RECORD_BYTES: Final = 64
_COIN_BYTES: Final = 38
_PAYEE_BYTES: Final = 20
_NAME_BYTES: Final = 40
"""Of the longest withdrawal id: a PSBT's payee may get one later."""

CoinBytes = Annotated[bytes, Size(36, 36)]
"""An outpoint as in a transaction: txid in wire order, output number in four bytes, the lowest first."""
RecordBytes = Annotated[bytes, Size(1, MOST_BYTES)]


class PastPayee(NamedTuple):
    """Who was paid how much (sats); ``withdrawal_id`` None for a payee of a PSBT."""

    script: bytes
    amount_sats: int
    withdrawal_id: str | None


class PastTransaction(NamedTuple):
    """A transaction that signatures were made for: its coins (outpoints of 36 bytes), whom it paid."""

    txid: bytes
    coins: tuple[bytes, ...]
    payees: tuple[PastPayee, ...]

    @classmethod
    def of(cls, proven: ProvenTransaction) -> PastTransaction:
        """What is remembered of a transaction."""
        coins = tuple(coin.outpoint.serialize() for coin in proven.inputs)
        payees = tuple(PastPayee(one.script, one.amount_sats, one.withdrawal_id) for one in proven.payees)
        return cls(proven.txid, coins, payees)

    @property
    def size(self) -> int:
        """How many of MOST_BYTES it takes up; never less than its encoding."""
        names = sum(_NAME_BYTES if one.withdrawal_id is None else len(one.withdrawal_id) for one in self.payees)
        payees = sum(_PAYEE_BYTES + len(one.script) for one in self.payees) + names
        return _RECORD_BYTES + _COIN_BYTES * len(self.coins) + payees


@dataclass(frozen=True, slots=True)
class PayeeRecord(Value):
    """A PastPayee on its way."""

    script: Script
    amount_sats: PositiveSats
    withdrawal_id: Name | None


@dataclass(frozen=True, slots=True)
class TransactionRecord(Value):
    """A PastTransaction on its way, and what was debited for it in sats (0: a bump that added none)."""

    txid: Bytes32
    coins: Annotated[tuple[CoinBytes, ...], Size(1, 1000)]
    payees: Annotated[tuple[PayeeRecord, ...], Size(0, 1000)]
    debited_sats: Sats

    @classmethod
    def of(cls, past: PastTransaction, debited_sats: int) -> TransactionRecord:
        """Ready to be handed on."""
        return cls(past.txid, past.coins, tuple(PayeeRecord(*payee) for payee in past.payees), debited_sats)

    def past(self) -> PastTransaction:
        """The transaction that it was made of."""
        payees = tuple(PastPayee(one.script, one.amount_sats, one.withdrawal_id) for one in self.payees)
        return PastTransaction(self.txid, self.coins, payees)


@dataclass(frozen=True, slots=True)
class HistorySnapshot(Value):
    """A whole history: transactions in the order in which they were signed, and what the appliance's seals told.

    Each transaction is a TransactionRecord in canonical CBOR.
    """

    transactions: Annotated[tuple[RecordBytes, ...], Size(0, MOST_BYTES // _RECORD_BYTES)]
    amounts: Annotated[tuple[PositiveSats, ...], Size(0, MOST_AMOUNTS)]
    highest_change: KeyIndex | None
    height: UInt32 | None
