"""What the chain shows, written into the tables: transactions, coins, deposits, spends, conflicts, reorganisations.

Everything here is told as "this is so", never as "this has changed": saying the same twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, txid_to_hex

from ..clock import Clock
from ..store import audit
from ..store.tables import Address, Block, ChainTransaction, Coin, Deposit, Payment
from .blocks import ScannedBlock, outpoint_key

Key = tuple[bytes, int]
T = TypeVar("T")

FOREIGN_SPEND: Final = "spent by a transaction that is not ours"
UNCLAIMED: Final = "paid to a change address by a transaction that is not ours"

_COINBASE: Final = Outpoint(bytes(32), 0xFFFFFFFF)
_QUERY_ITEMS: Final = 500


@dataclass(slots=True)
class Tally:
    """What was found while following: counts, and alarms in words."""

    new_blocks: int = 0
    reorganised_blocks: int = 0
    transactions: int = 0
    deposits_seen: int = 0
    deposits_gone: int = 0
    alarms: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take over what a committed transaction found."""
        self.new_blocks += other.new_blocks
        self.reorganised_blocks += other.reorganised_blocks
        self.transactions += other.transactions
        self.deposits_seen += other.deposits_seen
        self.deposits_gone += other.deposits_gone
        self.alarms += other.alarms


@dataclass(slots=True)
class Sightings:
    """Writes what is seen, within one write transaction."""

    session: Session
    clock: Clock
    tally: Tally = field(default_factory=Tally)

    def block(self, block: ScannedBlock) -> None:
        """The next block of the active chain."""
        session = self.session
        session.add(Block(height=block.height, hash=block.hash, time=block.time))
        ours = self._known_scripts(script for tx in block.transactions for script in tx.scripts)
        coins = self._known_coins(key for tx in block.transactions for key in tx.spends)
        rivals = unconfirmed_inputs(session)
        for scanned in block.transactions:
            touches = not ours.isdisjoint(scanned.scripts) or not coins.isdisjoint(scanned.spends)
            contested = {rival for key in scanned.spends for rival in rivals.get(key, ())}
            if not touches and not contested:
                continue
            transaction = scanned.parsed()
            txid = transaction.txid
            if touches:
                # A later transaction of the same block may spend what this one created.
                coins |= self.transaction(transaction, ours, block.height, block.hash)
            for loser in sorted(contested - {txid}):
                self.conflict(loser, txid)
        self.tally.new_blocks += 1

    def unconfirmed(self, transaction: Transaction) -> None:
        """A transaction that is in the node's mempool."""
        ours = self._known_scripts(output.script for output in transaction.outputs)
        self.transaction(transaction, ours, None, None)

    def transaction(
        self, transaction: Transaction, ours: set[bytes], height: int | None, block_hash: bytes | None
    ) -> set[Key]:
        """A transaction that touches our scripts, in a block or (None) in the mempool; the outpoints it pays us."""
        session, txid = self.session, transaction.txid
        row = session.get(ChainTransaction, txid)
        if row is None:
            raw = transaction.serialize(with_witness=False)
            row = ChainTransaction(txid=txid, raw=raw, first_seen=self.clock(), conflicted=False)
            session.add(row)
            self.tally.transactions += 1
        if height is not None:
            row.height, row.block_hash = height, block_hash
        row.conflicted = False
        session.flush()
        for spent in transaction.inputs:
            self._spend(outpoint_key(spent.outpoint), txid)
        return {
            self._receive(txid, vout, output.script, output.amount_sats)
            for vout, output in enumerate(transaction.outputs)
            if output.script in ours and output.amount_sats > 0
        }

    def conflict(self, txid: bytes, winner: bytes | None) -> None:
        """An unconfirmed transaction can no longer confirm: ``winner`` spends one of its inputs. Its heirs fall too."""
        row = self.session.get(ChainTransaction, txid)
        if row is None or row.conflicted or row.height is not None:
            return
        row.conflicted = True
        for deposit in self.session.scalars(select(Deposit).where(Deposit.txid == txid)):
            self._gone(deposit, winner)
        self.session.flush()
        for key, heirs in unconfirmed_inputs(self.session).items():
            for heir in sorted(heirs if key[0] == txid else ()):
                self.conflict(heir, winner)

    def spenders(self, spenders: Mapping[Key, bytes | None]) -> None:
        """What the mempool says of outpoints: who spends them there, or (None) nobody."""
        session = self.session
        for key, rivals in unconfirmed_inputs(session).items():
            winner = spenders.get(key)
            for loser in sorted(rivals - {winner} if winner is not None else ()):
                self.conflict(loser, winner)
        for key, winner in spenders.items():
            coin = session.get(Coin, key)
            if coin is not None and not self._confirmed(coin.spent_by):
                if winner is None:
                    coin.spent_by = None
                else:
                    self._spend(key, winner)

    def disconnect(self, ancestor_height: int) -> None:
        """The blocks above this height are no longer on the active chain."""
        session = self.session
        lost = session.scalars(select(Block).where(Block.height > ancestor_height).order_by(Block.height)).all()
        rows = session.scalars(select(ChainTransaction).where(ChainTransaction.height > ancestor_height)).all()
        for row in rows:
            row.height = row.block_hash = None
            for deposit in session.scalars(select(Deposit).where(Deposit.txid == row.txid)):
                self._unconfirm(deposit)
        session.flush()
        for row in rows:
            # A coinbase that left the chain with its block is never valid again.
            if Transaction.parse(row.raw).inputs[0].outpoint == _COINBASE:
                self.conflict(row.txid, None)
        session.execute(delete(Block).where(Block.height > ancestor_height))
        self.tally.reorganised_blocks += len(lost)
        audit.record(
            session,
            clock=self.clock,
            action="reorganisation",
            subject=txid_to_hex(lost[-1].hash),
            facts={"ancestor": ancestor_height, "blocks": len(lost), "transactions": len(rows)},
        )

    # --- one coin, one deposit -------------------------------------------------------------------------------

    def _receive(self, txid: bytes, vout: int, script: bytes, amount_sats: int) -> Key:
        session = self.session
        coin = session.get(Coin, (txid, vout))
        address = session.get_one(Address, script)
        if coin is None:
            coin = Coin(txid=txid, vout=vout, script=script, amount_sats=amount_sats)
            # Money of unknown origin on a change address would mix into payments unjudged.
            if address.account is None and self._payment(txid) is None:
                coin.frozen = UNCLAIMED
            session.add(coin)
            session.flush()
        if address.account is not None:
            self._see(coin, address.account)
        return txid, vout

    def _see(self, coin: Coin, account: str) -> None:
        deposit = self.session.get(Deposit, (coin.txid, coin.vout))
        if deposit is not None and deposit.state != "gone":
            return
        if deposit is None:
            deposit = Deposit(txid=coin.txid, vout=coin.vout, account=account, amount_sats=coin.amount_sats)
            deposit.seen = self.clock()
            self.session.add(deposit)
        # One that was credited, went, and came back before the books were corrected, is credited still.
        deposit.state = "seen" if deposit.credited is None else "credited"
        deposit.reason = None
        self.tally.deposits_seen += 1
        self._note("deposit-seen", deposit, {"account": account, "amount_sats": deposit.amount_sats})

    def _gone(self, deposit: Deposit, winner: bytes | None) -> None:
        if deposit.state == "gone":
            return
        by = "its block left the chain" if winner is None else f"replaced by {txid_to_hex(winner)}"
        if deposit.state == "credited":
            self._alarm("credited-deposit-gone", f"deposit {_name(deposit)} was credited and is gone: {by}")
        deposit.state, deposit.reason = "gone", by
        self.tally.deposits_gone += 1
        self._note("deposit-gone", deposit, {"reason": by})

    def _unconfirm(self, deposit: Deposit) -> None:
        if deposit.state == "credited":
            self._alarm("credited-deposit-unconfirmed", f"deposit {_name(deposit)} was credited and lost its block")
        elif deposit.state == "confirmed":
            deposit.state = "seen"
            self._note("deposit-unconfirmed", deposit, {})

    def _spend(self, key: Key, spender: bytes) -> None:
        coin = self.session.get(Coin, key)
        if coin is None:
            return
        is_news = coin.spent_by != spender
        coin.spent_by = spender
        payment = self._payment(spender)
        # Attack: the keys are in somebody else's hands. A payment of ours that was cancelled must not appear either.
        if (payment is None or payment.state == "cancelled") and coin.frozen != FOREIGN_SPEND:
            coin.frozen = FOREIGN_SPEND
            self._alarm("foreign-spend", f"coin {Outpoint(*key)} is spent by {txid_to_hex(spender)}, not ours")
        # Attack: somebody else gathers the owners' signatures; the transaction is out before we have finished it.
        elif payment is not None and payment.signed is None and is_news:
            self._alarm("early-spend", f"payment {payment.id} is on the network, and not finished here")

    def _payment(self, txid: bytes) -> Payment | None:
        return self.session.scalars(select(Payment).where(Payment.txid == txid)).first()

    def _confirmed(self, txid: bytes | None) -> bool:
        row = None if txid is None else self.session.get(ChainTransaction, txid)
        return row is not None and row.height is not None

    def _known_scripts(self, scripts: Iterable[bytes]) -> set[bytes]:
        found: set[bytes] = set()
        for some in _chunks(sorted(set(scripts)), _QUERY_ITEMS):
            found.update(self.session.scalars(select(Address.script).where(Address.script.in_(some))))
        return found

    def _known_coins(self, keys: Iterable[Key]) -> set[Key]:
        found: set[Key] = set()
        for some in _chunks(sorted({txid for txid, _ in keys}), _QUERY_ITEMS):
            rows = self.session.execute(select(Coin.txid, Coin.vout).where(Coin.txid.in_(some)))
            found.update((txid, vout) for txid, vout in rows)
        return found

    def _note(self, action: str, deposit: Deposit, facts: dict[str, int | str | None]) -> None:
        audit.record(self.session, clock=self.clock, action=action, subject=_name(deposit), facts=facts)

    def _alarm(self, action: str, words: str) -> None:
        self.tally.alarms.append(words)
        facts: dict[str, int | str | None] = {"words": words}
        audit.record(self.session, clock=self.clock, action="alarm", subject=action, facts=facts)


def unconfirmed_inputs(session: Session) -> dict[Key, set[bytes]]:
    """Which of the unconfirmed transactions that we know spend an outpoint; more than one while they are rivals."""
    found: dict[Key, set[bytes]] = {}
    wanted = select(ChainTransaction).where(ChainTransaction.height.is_(None), ChainTransaction.conflicted.is_(False))
    for row in session.scalars(wanted):
        for spent in Transaction.parse(row.raw).inputs:
            found.setdefault(outpoint_key(spent.outpoint), set()).add(row.txid)
    return found


def _name(deposit: Deposit) -> str:
    return f"{txid_to_hex(deposit.txid)}:{deposit.vout}"


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]
