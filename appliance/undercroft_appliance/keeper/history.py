"""What was signed for a quorum since start: a coin goes to one transaction, a withdrawal is paid by one."""

from __future__ import annotations

from .prove import ProvenTransaction

_NO_CHANGE = -1


class History:
    """Grows with what is signed; a lock does not end it, only switching the appliance off does."""

    def __init__(self) -> None:
        self._spent: dict[tuple[bytes, int], bytes] = {}
        self._paid: dict[str, bytes] = {}
        self._txids: set[bytes] = set()
        self._highest_change = _NO_CHANGE

    @property
    def highest_change(self) -> int:
        """The highest change index signed so far, -1 before the first."""
        return self._highest_change

    def knows_change(self, index: int) -> None:
        """An earlier activation signed change up to this index, by this appliance's own seal."""
        self._highest_change = max(self._highest_change, index)

    def has_signed(self, txid: bytes) -> bool:
        """Whether exactly this transaction was signed before."""
        return txid in self._txids

    def conflicts(self, proven: ProvenTransaction) -> tuple[str, ...]:
        """Its coins that another transaction was signed for, as ``txid:index``."""
        return tuple(
            str(coin.outpoint)
            for coin in proven.inputs
            if self._spent.get((coin.outpoint.txid, coin.outpoint.vout), proven.txid) != proven.txid
        )

    def paid_before(self, proven: ProvenTransaction) -> tuple[str, ...]:
        """Its withdrawals that another transaction has paid."""
        return tuple(
            payee.withdrawal_id
            for payee in proven.payees
            if self._paid.get(payee.withdrawal_id, proven.txid) != proven.txid
        )

    def record(self, proven: ProvenTransaction) -> None:
        """Remember it; call this before the first signature is made."""
        txid = proven.txid
        self._txids.add(txid)
        for coin in proven.inputs:
            self._spent[(coin.outpoint.txid, coin.outpoint.vout)] = txid
        for payee in proven.payees:
            self._paid.setdefault(payee.withdrawal_id, txid)
        if proven.change is not None:
            self._highest_change = max(self._highest_change, proven.change.index)
