"""Stage 2: what the host says about coins, payees and change is replaced by what the appliance itself finds.

Amounts come from whole previous transactions, own scripts from the registered quorum, payees from the risk service's
signed clearances. Nothing that the host merely claims is left in a ``ProvenTransaction``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from undercroft_protocol.bitcoin.amounts import MAX_MONEY_SATS, dust_limit_sats
from undercroft_protocol.bitcoin.descriptor import QuorumDescriptor
from undercroft_protocol.bitcoin.finalize import estimate_vsize
from undercroft_protocol.bitcoin.script import p2wsh_script
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput
from undercroft_protocol.errors import ProtocolError, SignatureError, TransactionError
from undercroft_protocol.messages import (
    BatchRequest,
    Change,
    Clearance,
    Coin,
    Quorum,
    TransactionRequest,
    open_statement,
)

from .refusals import (
    AMOUNT_RANGE,
    CHANGE_COUNT,
    CHANGE_INDEX,
    CLEARANCE_MALFORMED,
    CLEARANCE_OTHER_QUORUM,
    CLEARANCE_UNTRUSTED,
    COIN_INDEX,
    DUST,
    FOREIGN_COIN,
    LOCKTIME,
    OUTPOINT_REPEATED,
    OUTPUT_MISSING,
    OUTPUTS_EXCEED_INPUTS,
    PREVIOUS_MALFORMED,
    PREVIOUS_MISSING,
    PREVIOUS_REPEATED,
    PREVIOUS_UNUSED,
    SEQUENCE_NUMBER,
    WITHDRAWAL_REPEATED,
    Refusal,
)

SEQUENCES: Final = (0xFFFFFFFD, 0xFFFFFFFE)
"""Replaceable (BIP 125) and not; both leave the locktime in force and no relative lock (BIP 68)."""
LOCKTIME_TIMES: Final = 500_000_000
"""From here on a locktime is a time and no height."""
CHANGE_BRANCH: Final = 1
HIGHEST_INDEX: Final = 1_000_000
"""No coin and no change lies further out: what is lost below it is found again by a search of minutes."""
_VERSION: Final = 2


@dataclass(frozen=True, slots=True)
class ProvenInput:
    """A coin of the quorum: the amount (sats) out of its previous transaction, the script rebuilt from the quorum."""

    outpoint: Outpoint
    amount_sats: int
    branch: int
    index: int
    witness_script: bytes


@dataclass(frozen=True, slots=True)
class Payee:
    """What the risk service cleared, and by which rules; ``expires`` in seconds since 1970."""

    withdrawal_id: str
    script: bytes
    amount_sats: int
    expires: int
    ruleset_hash: bytes


@dataclass(frozen=True, slots=True)
class ProvenChange:
    """What comes back to the quorum, at this index of branch 1."""

    index: int
    script: bytes
    amount_sats: int


@dataclass(frozen=True, slots=True)
class ProvenTransaction:
    """A transaction that the appliance itself has put together and can vouch for."""

    transaction: Transaction
    inputs: tuple[ProvenInput, ...]
    payees: tuple[Payee, ...]
    change: ProvenChange | None
    fee_sats: int
    vsize: int

    @property
    def txid(self) -> bytes:
        """32 bytes in wire order."""
        return self.transaction.txid

    @property
    def paid_sats(self) -> int:
        """What all payees get together."""
        return sum(payee.amount_sats for payee in self.payees)

    @property
    def leaves_sats(self) -> int:
        """What leaves the quorum: payees and fee."""
        return self.paid_sats + self.fee_sats


@dataclass(frozen=True, slots=True)
class ProvenBatch:
    """Transactions, each proved, and together without a coin or a withdrawal in two of them."""

    batch_id: bytes
    policy_hash: bytes
    height: int
    transactions: tuple[ProvenTransaction, ...]


def prove(
    batch: BatchRequest, quorum: Quorum, descriptor: QuorumDescriptor, *, change_gap: int, change_signed: int
) -> ProvenBatch:
    """The whole batch proved, or Refusal for all of it: a host that is wrong once is not believed beside it.

    ``change_signed`` is the highest change index signed so far in this activation (-1: none). Change may lie at most
    ``change_gap`` above it or above the highest index of the transaction's own inputs, and never above HIGHEST_INDEX.
    """
    previous = _previous(batch)
    coins = _Coins(previous, descriptor)
    inputs = [
        tuple(coins.prove(coin, f"transaction {number}, input {at}") for at, coin in enumerate(request.inputs))
        for number, request in enumerate(batch.transactions)
    ]
    coins.check_all_used()
    _check_once([coin.outpoint for spent in inputs for coin in spent])
    proven = tuple(
        _Builder(number, quorum, descriptor, _highest_change(spent, change_signed, change_gap), batch.height).build(
            request, spent
        )
        for number, (request, spent) in enumerate(zip(batch.transactions, inputs, strict=True))
    )
    _check_withdrawals(proven)
    return ProvenBatch(batch.batch_id, batch.policy_hash, batch.height, proven)


def _highest_change(inputs: Sequence[ProvenInput], change_signed: int, change_gap: int) -> int:
    # Attack: a made-up coin far out, in a transaction beside this one, lifts the bound for this one's change. A made-up
    # coin among its own inputs would make it invalid.
    return min(max(change_signed, *(coin.index for coin in inputs)) + change_gap, HIGHEST_INDEX)


def _previous(batch: BatchRequest) -> tuple[tuple[bytes, Transaction], ...]:
    parsed = []
    for number, raw in enumerate(batch.previous):
        try:
            # Attack: a witness or trailing bytes that the txid does not cover (signers.md 6).
            transaction = Transaction.parse(raw, allow_witness=False)
        except TransactionError as error:
            raise Refusal(PREVIOUS_MALFORMED, f"previous transaction {number}: {error.detail}") from error
        parsed.append((transaction.txid, transaction))
    if len({txid for txid, _ in parsed}) != len(parsed):
        raise Refusal(PREVIOUS_REPEATED, f"{len(parsed)} previous transactions")
    return tuple(parsed)


class _Coins:
    """Looks up inputs among the previous transactions, and keeps account of which were needed."""

    def __init__(self, previous: Sequence[tuple[bytes, Transaction]], descriptor: QuorumDescriptor) -> None:
        self._previous = previous
        self._descriptor = descriptor
        self._unused = set(range(len(previous)))
        self._witness_scripts: dict[tuple[int, int], bytes] = {}

    def prove(self, coin: Coin, where: str) -> ProvenInput:
        # Attack: an amount that nobody can check, so that the fee is a lie (CVE-2020-14199; signers.md 1-5).
        if coin.previous >= len(self._previous):
            raise Refusal(PREVIOUS_MISSING, f"{where}: previous transaction {coin.previous}")
        # Attack: made-up coins far out lift the bound for change step by step (signers.md 46).
        if coin.index > HIGHEST_INDEX:
            raise Refusal(COIN_INDEX, f"{where}: index {coin.index}, {HIGHEST_INDEX} is the highest")
        txid, transaction = self._previous[coin.previous]
        if coin.vout >= len(transaction.outputs):
            raise Refusal(OUTPUT_MISSING, f"{where}: output {coin.vout} of {len(transaction.outputs)}")
        spent = transaction.outputs[coin.vout]
        place = (coin.branch, coin.index)
        if place not in self._witness_scripts:
            self._witness_scripts[place] = self._descriptor.witness_script(*place)
        witness_script = self._witness_scripts[place]
        # Attack: a coin with another threshold, or with one cosigner replaced (signers.md 29, 30, 39).
        if p2wsh_script(witness_script) != spent.script:
            raise Refusal(FOREIGN_COIN, f"{where}: not our script at {coin.branch}/{coin.index}")
        self._unused.discard(coin.previous)
        return ProvenInput(Outpoint(txid, coin.vout), spent.amount_sats, coin.branch, coin.index, witness_script)

    def check_all_used(self) -> None:
        # What serves no purpose is room for what we do not foresee.
        if self._unused:
            raise Refusal(PREVIOUS_UNUSED, f"previous transaction {min(self._unused)}")


def _check_once(outpoints: Sequence[Outpoint]) -> None:
    seen: set[Outpoint] = set()
    for outpoint in outpoints:
        # Attack: one coin counted twice makes the fee look right (signers.md 51, 69); the set has no bound that could
        # stop the check early.
        if outpoint in seen:
            raise Refusal(OUTPOINT_REPEATED, str(outpoint))
        seen.add(outpoint)


def _check_withdrawals(transactions: Sequence[ProvenTransaction]) -> None:
    seen: set[str] = set()
    for transaction in transactions:
        for payee in transaction.payees:
            # Attack: one clearance pays its payee again and again.
            if payee.withdrawal_id in seen:
                raise Refusal(WITHDRAWAL_REPEATED, payee.withdrawal_id)
            seen.add(payee.withdrawal_id)


@dataclass(frozen=True, slots=True)
class _Builder:
    number: int
    quorum: Quorum
    descriptor: QuorumDescriptor
    highest_change: int
    height: int

    def build(self, request: TransactionRequest, inputs: tuple[ProvenInput, ...]) -> ProvenTransaction:
        self._check_timing(request)
        outputs: list[TxOutput] = []
        payees: list[Payee] = []
        changes: list[ProvenChange] = []
        for at, output in enumerate(request.outputs):
            where = f"{self._where}, output {at}"
            if output.change is not None:
                change = self._change(output.change, where)
                changes.append(change)
                outputs.append(self._output(change.script, change.amount_sats, where))
            if output.clearance is not None:
                payee = self._payee(output.clearance, where)
                payees.append(payee)
                outputs.append(self._output(payee.script, payee.amount_sats, where))
        # Attack: a flood of small change makes the wallet unspendable (signers.md 48).
        if len(changes) > 1:
            raise Refusal(CHANGE_COUNT, f"{self._where}: {len(changes)} change outputs")
        transaction = self._transaction(request, inputs, outputs)
        vsize = estimate_vsize(
            len(inputs), [output.script for output in outputs], self.quorum.threshold, len(self.quorum.owners)
        )
        fee_sats = self._fee(inputs, outputs)
        return ProvenTransaction(transaction, inputs, tuple(payees), changes[0] if changes else None, fee_sats, vsize)

    @property
    def _where(self) -> str:
        return f"transaction {self.number}"

    def _check_timing(self, request: TransactionRequest) -> None:
        # Attack: relative locks, or final inputs that put the locktime out of force (signers.md 53).
        if request.sequence not in SEQUENCES:
            raise Refusal(SEQUENCE_NUMBER, f"{self._where}: {request.sequence:#010x}")
        # Attack: a signature that becomes valid long after the rules it was judged by.
        if not request.locktime <= self.height + 1 or request.locktime >= LOCKTIME_TIMES:
            raise Refusal(LOCKTIME, f"{self._where}: {request.locktime} at height {self.height}")

    def _change(self, change: Change, where: str) -> ProvenChange:
        # Attack: change so far out that its owners do not find it, for a ransom (signers.md 46).
        if change.index > self.highest_change:
            raise Refusal(CHANGE_INDEX, f"{where}: index {change.index}, {self.highest_change} is the highest")
        script = self.descriptor.script(CHANGE_BRANCH, change.index)
        return ProvenChange(change.index, script, change.amount_sats)

    def _payee(self, data: bytes, where: str) -> Payee:
        try:
            clearance, _ = open_statement(Clearance, data, (self.quorum.risk_key,))
        except SignatureError as error:
            # Attack: a vault that was taken over clears its own payees.
            raise Refusal(CLEARANCE_UNTRUSTED, where) from error
        except ProtocolError as error:
            raise Refusal(CLEARANCE_MALFORMED, f"{where}: {error}") from error
        # Attack: the same risk service clears for a test quorum, and the clearance is used here.
        if clearance.quorum_id != self.quorum.id:
            raise Refusal(CLEARANCE_OTHER_QUORUM, f"{where}: withdrawal {clearance.withdrawal_id}")
        return Payee(
            clearance.withdrawal_id,
            clearance.script,
            clearance.amount_sats,
            clearance.expires,
            clearance.ruleset_hash,
        )

    def _output(self, script: bytes, amount_sats: int, where: str) -> TxOutput:
        # Attack: outputs that stop the whole transaction from being relayed (signers.md 10).
        if amount_sats < dust_limit_sats(script):
            raise Refusal(DUST, f"{where}: {amount_sats} sats, {dust_limit_sats(script)} is the least")
        return TxOutput(amount_sats, script)

    def _transaction(
        self, request: TransactionRequest, inputs: Sequence[ProvenInput], outputs: Sequence[TxOutput]
    ) -> Transaction:
        try:
            return Transaction(
                _VERSION,
                tuple(TxInput(coin.outpoint, request.sequence) for coin in inputs),
                tuple(outputs),
                request.locktime,
            )
        except TransactionError as error:
            # Attack: outputs that overflow as a sum (CVE-2010-5139; signers.md 8).
            raise Refusal(AMOUNT_RANGE, f"{self._where}: outputs") from error

    def _fee(self, inputs: Sequence[ProvenInput], outputs: Sequence[TxOutput]) -> int:
        comes_in = sum(coin.amount_sats for coin in inputs)
        goes_out = sum(output.amount_sats for output in outputs)
        if comes_in > MAX_MONEY_SATS:
            raise Refusal(AMOUNT_RANGE, f"{self._where}: inputs of {comes_in} sats")
        # Attack: a negative fee that passes every "not more than" (signers.md 7).
        if goes_out > comes_in:
            raise Refusal(OUTPUTS_EXCEED_INPUTS, f"{self._where}: {comes_in} sats in, {goes_out} sats out")
        return comes_in - goes_out
