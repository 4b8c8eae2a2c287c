"""What was signed for a quorum since the appliance was switched on: transactions, their coins, whom they paid.

A coin may be signed away once more only in a fee bump. What is debited for a bump rests on one promise: **of all
transactions signed here, no set that can confirm together ever moves more than was debited**. Two that share a coin
cannot both confirm. So:

* A bump that shares a coin with *every* member of its family (all that hang together with it by shared coins) can
  confirm only alone among them. What was debited for the family covers it up to that sum; only the rest is debited.
* A bump that shares no coin with some member can confirm beside that one: it is debited in full.

Attack: A spends coin 1, C spends coins 1 and 2 (a bump of A), D spends coin 2 (a "bump" of C). A and D can both
confirm, so D is debited in full although C was debited before. A bump of A, C and D at once has to share a coin with
all three, and then replaces them all. By induction over families: a set without the new transaction was covered
before; a set with it is either the new one alone, or the new one and others, and is then covered by its full debit.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Self

from .families import Families
from .proven import ProvenTransaction
from .refusals import HISTORY_FULL, Refusal
from .signed import MOST_AMOUNTS, MOST_BYTES, HistorySnapshot, PastPayee, PastTransaction, TransactionRecord

_NO_CHANGE = -1


class History:
    """Grows with what is signed; a lock does not end it, only switching the appliance off does.

    Bounded to 3 MiB of signed transactions (see `signed`); what has no room is refused, never forgotten.
    """

    def __init__(self) -> None:
        self._signed: MutableMapping[bytes, PastTransaction] = {}
        self._debits: MutableMapping[bytes, int] = {}
        self._by_coin: MutableMapping[bytes, tuple[bytes, ...]] = {}
        self._by_withdrawal: MutableMapping[str, tuple[bytes, ...]] = {}
        self._scripts: MutableMapping[bytes, bytes] = {}
        self._families = Families()
        self._bytes = 0
        self._payments = 0
        self._amounts: tuple[int, ...] = ()
        self._highest_change = _NO_CHANGE
        self._height: int | None = None

    def fork(self) -> Self:
        """The same history; what is recorded in the fork leaves this one as it is."""
        fork = type(self)()
        fork._signed = ChainMap({}, self._signed)
        fork._debits = ChainMap({}, self._debits)
        fork._by_coin = ChainMap({}, self._by_coin)
        fork._by_withdrawal = ChainMap({}, self._by_withdrawal)
        fork._scripts = ChainMap({}, self._scripts)
        fork._families = self._families.fork()
        fork._bytes, fork._payments, fork._amounts = self._bytes, self._payments, self._amounts
        fork._highest_change, fork._height = self._highest_change, self._height
        return fork

    @property
    def highest_change(self) -> int:
        """The highest change index signed so far, -1 before the first."""
        return self._highest_change

    @property
    def height(self) -> int | None:
        """The highest height that the host named in any activation that is known of; None: in none."""
        return self._height

    @property
    def amounts(self) -> tuple[int, ...]:
        """What the last 200 payments paid, in sats, the oldest first. A fee bump is no new payment."""
        return self._amounts

    @property
    def payments(self) -> int:
        """How many payments were signed since the appliance was switched on, without bumps."""
        return self._payments

    def knows_change(self, index: int) -> None:
        """An earlier activation signed change up to this index, by this appliance's own seal."""
        self._highest_change = max(self._highest_change, index)

    def knows_height(self, height: int) -> None:
        """The host named this height, now or in an earlier activation, by this appliance's own seal."""
        self._height = height if self._height is None else max(self._height, height)

    def knows_amounts(self, amounts: Iterable[int]) -> None:
        """Earlier payments by this appliance's own seal, in sats; what it signed since start is newer, and stays."""
        if not self._amounts:
            self._amounts = tuple(amounts)[-MOST_AMOUNTS:]

    def has_signed(self, txid: bytes) -> bool:
        """Whether exactly this transaction was signed before."""
        return txid in self._signed

    def has_paid(self, script: bytes) -> bool:
        """Whether this script was paid since the appliance was switched on."""
        return script in self._scripts

    def rivals(self, past: PastTransaction) -> tuple[PastTransaction, ...]:
        """The other transactions that were signed for any of its coins; none of them can confirm beside it."""
        known = self._by_coin
        txids = dict.fromkeys(txid for coin in past.coins if coin in known for txid in known[coin])
        txids.pop(past.txid, None)
        return tuple(self._signed[txid] for txid in txids)

    def payers(self, withdrawal_id: str) -> tuple[PastTransaction, ...]:
        """The transactions that were signed to pay this withdrawal."""
        return tuple(self._signed[txid] for txid in self._by_withdrawal.get(withdrawal_id, ()))

    def debit_sats(self, leaves_sats: int, rivals: Sequence[PastTransaction]) -> int:
        """What must be debited before a transaction with these rivals is signed: see the promise above."""
        families = self._families.of(rival.txid for rival in rivals)
        if sum(family.members for family in families) > len(rivals):
            return leaves_sats
        return max(0, leaves_sats - sum(family.debited_sats for family in families))

    def check_room(self, past: PastTransaction) -> None:
        """Raises Refusal (history-full) where one more transaction, with its coins and payees, has no room."""
        # Attack: a flood of small payments until the coin of a large one is forgotten, and can be spent anew.
        size = self._bytes + past.size
        if size > MOST_BYTES:
            raise Refusal(HISTORY_FULL, f"{size} > {MOST_BYTES} bytes, {len(self._signed)} transactions signed")

    def record(self, proven: ProvenTransaction) -> None:
        """Remember it; call this before the first signature is made.

        Of a transaction that is known it learns only whose withdrawals the payees are, where a PSBT did not say.
        """
        past = PastTransaction.of(proven)
        if self.has_signed(past.txid):
            self._name_payees(past)
            return
        rivals = self.rivals(past)
        # Attack: bumps of one large payment, until the median of all payments is its amount.
        if past.payees and not rivals:
            self._amounts = (*self._amounts, proven.paid_sats)[-MOST_AMOUNTS:]
        self._add(past, rivals, self.debit_sats(proven.leaves_sats, rivals))
        for change in proven.change:
            self.knows_change(change.index)

    def snapshot(self) -> HistorySnapshot:
        """All of it as plain values, for the next keeper process."""
        highest = None if self._highest_change == _NO_CHANGE else self._highest_change
        records = (TransactionRecord.of(past, self._debits[txid]) for txid, past in self._signed.items())
        return HistorySnapshot(tuple(one.to_bytes() for one in records), self._amounts, highest, self._height)

    @classmethod
    def restored(cls, snapshot: HistorySnapshot) -> Self:
        """The history that the snapshot was taken of; raises CborError or MessageError."""
        history = cls()
        for data in snapshot.transactions:
            record = TransactionRecord.from_bytes(data)
            past = record.past()
            history._add(past, history.rivals(past), record.debited_sats)
        history._amounts = snapshot.amounts
        history._height = snapshot.height
        if snapshot.highest_change is not None:
            history.knows_change(snapshot.highest_change)
        return history

    def _name_payees(self, past: PastTransaction) -> None:
        # Attack: a withdrawal is paid by a PSBT, and looks unpaid to the batch that pays it out of other coins.
        known = self._signed[past.txid]
        payees = list(known.payees)
        for payee in past.payees:
            unnamed = payee._replace(withdrawal_id=None)
            if payee not in payees and unnamed in payees:
                payees[payees.index(unnamed)] = payee
                self._know_payer(payee, past.txid)
        self._signed[past.txid] = known._replace(payees=tuple(payees))

    def _add(self, past: PastTransaction, rivals: Sequence[PastTransaction], debited_sats: int) -> None:
        txid = past.txid
        self._families.join(txid, (rival.txid for rival in rivals), debited_sats)
        self._signed[txid] = past
        self._debits[txid] = debited_sats
        self._bytes += past.size
        if past.payees and not rivals:
            self._payments += 1
        for coin in past.coins:
            self._by_coin[coin] = (*self._by_coin.get(coin, ()), txid)
        for payee in past.payees:
            self._scripts.setdefault(payee.script, txid)
            self._know_payer(payee, txid)

    def _know_payer(self, payee: PastPayee, txid: bytes) -> None:
        if payee.withdrawal_id is not None:
            self._by_withdrawal[payee.withdrawal_id] = (*self._by_withdrawal.get(payee.withdrawal_id, ()), txid)
