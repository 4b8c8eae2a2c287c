"""Stage 2: what the host says about coins, payees and change is replaced by what the appliance itself finds.

Amounts come from whole previous transactions, own scripts from the registered quorum, payees from the risk service's
signed clearances. Nothing that the host merely claims is left in a ``ProvenTransaction``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from undercroft_protocol.bitcoin.finalize import estimate_vsize
from undercroft_protocol.bitcoin.previous import PreviousTransaction
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

from . import prove_rules as rules
from .addresses import AddressBook
from .proven import CHANGE_BRANCH, OwnOutput, Payee, ProvenBatch, ProvenInput, ProvenTransaction
from .refusals import (
    CLEARANCE_MALFORMED,
    CLEARANCE_OTHER_QUORUM,
    CLEARANCE_UNTRUSTED,
    OUTPUT_MISSING,
    PREVIOUS_MALFORMED,
    PREVIOUS_MISSING,
    PREVIOUS_REPEATED,
    PREVIOUS_UNUSED,
    WITHDRAWAL_REPEATED,
    Refusal,
)


def prove(
    batch: BatchRequest, quorum: Quorum, book: AddressBook, *, change_gap: int, change_signed: int
) -> ProvenBatch:
    """The whole batch proved, or Refusal for all of it: a host that is wrong once is not believed beside it.

    ``change_signed`` is the highest change index signed so far in this activation (-1: none). Change may lie at most
    ``change_gap`` above it or above the highest index of the transaction's own inputs, and never above HIGHEST_INDEX.
    At most one address is derived for each coin and change, and memory is bounded by 20 times the size and 200 kB.
    """
    coins = _Coins(_previous(batch), book)
    inputs = [
        tuple(coins.prove(coin, f"transaction {number}, input {at}") for at, coin in enumerate(request.inputs))
        for number, request in enumerate(batch.transactions)
    ]
    coins.check_all_used()
    rules.check_once(coin.outpoint for spent in inputs for coin in spent)
    proven = tuple(
        _Builder(
            f"transaction {number}", quorum, book, rules.highest_change(spent, change_signed, change_gap), batch.height
        ).build(request, spent)
        for number, (request, spent) in enumerate(zip(batch.transactions, inputs, strict=True))
    )
    _check_withdrawals(proven)
    return ProvenBatch(batch.batch_id, batch.policy_hash, batch.height, proven)


def _previous(batch: BatchRequest) -> tuple[PreviousTransaction, ...]:
    parsed = []
    for number, raw in enumerate(batch.previous):
        try:
            # Attack: a witness or trailing bytes that the txid does not cover (signers.md 6).
            parsed.append(PreviousTransaction.parse(raw, allow_witness=False))
        except TransactionError as error:
            raise Refusal(PREVIOUS_MALFORMED, f"previous transaction {number}: {error.detail}") from error
    if len({previous.txid for previous in parsed}) != len(parsed):
        raise Refusal(PREVIOUS_REPEATED, f"{len(parsed)} previous transactions")
    return tuple(parsed)


class _Coins:
    """Looks up inputs among the previous transactions, and keeps account of which were needed."""

    def __init__(self, previous: Sequence[PreviousTransaction], book: AddressBook) -> None:
        self._previous = previous
        self._book = book
        self._unused = set(range(len(previous)))

    def prove(self, coin: Coin, where: str) -> ProvenInput:
        # Attack: an amount that nobody can check, so that the fee is a lie (CVE-2020-14199; signers.md 1-5).
        if coin.previous >= len(self._previous):
            raise Refusal(PREVIOUS_MISSING, f"{where}: previous transaction {coin.previous}")
        rules.check_coin_index(coin.index, where)
        previous = self._previous[coin.previous]
        if coin.vout >= previous.output_count:
            raise Refusal(OUTPUT_MISSING, f"{where}: output {coin.vout} of {previous.output_count}")
        try:
            _, amount_sats, script = previous.output(coin.vout)
        except TransactionError as error:
            raise Refusal(PREVIOUS_MALFORMED, f"{where}: {error.detail}") from error
        address = self._book.at(coin.branch, coin.index)
        rules.check_own_script(script, address.script, (coin.branch, coin.index), where)
        self._unused.discard(coin.previous)
        outpoint = Outpoint(previous.txid, coin.vout)
        return ProvenInput(outpoint, amount_sats, coin.branch, coin.index, address.witness_script, address.own_tweak)

    def check_all_used(self) -> None:
        # What serves no purpose is room for what we do not foresee.
        if self._unused:
            raise Refusal(PREVIOUS_UNUSED, f"previous transaction {min(self._unused)}")


def _check_withdrawals(transactions: Sequence[ProvenTransaction]) -> None:
    seen: set[str] = set()
    for transaction in transactions:
        for payee in transaction.payees:
            # Attack: one clearance pays its payee again and again.
            if payee.withdrawal_id is None:
                continue
            if payee.withdrawal_id in seen:
                raise Refusal(WITHDRAWAL_REPEATED, payee.withdrawal_id)
            seen.add(payee.withdrawal_id)


@dataclass(frozen=True, slots=True)
class _Builder:
    """Puts a transaction together; ``where`` names it in refusals."""

    where: str
    quorum: Quorum
    book: AddressBook
    highest_change: int
    height: int

    def build(self, request: TransactionRequest, inputs: tuple[ProvenInput, ...]) -> ProvenTransaction:
        rules.check_sequence(request.sequence, self.where)
        rules.check_locktime(request.locktime, self.height, self.where)
        outputs: list[Payee | OwnOutput] = []
        for at, output in enumerate(request.outputs):
            where = f"{self.where}, output {at}"
            if output.change is not None:
                outputs.append(self._change(output.change, where))
            if output.clearance is not None:
                outputs.append(self._payee(output.clearance, where))
            rules.check_dust(outputs[-1].script, outputs[-1].amount_sats, where)
        rules.check_own_count(outputs, self.where)
        fee_sats = rules.proven_fee(inputs, outputs, self.where)
        transaction = Transaction(
            rules.VERSION,
            tuple(TxInput(coin.outpoint, request.sequence) for coin in inputs),
            tuple(TxOutput(output.amount_sats, output.script) for output in outputs),
            request.locktime,
        )
        scripts = [output.script for output in outputs]
        vsize = estimate_vsize(len(inputs), scripts, self.quorum.threshold, len(self.quorum.owners))
        return ProvenTransaction(transaction, inputs, tuple(outputs), fee_sats, vsize)

    def _change(self, change: Change, where: str) -> OwnOutput:
        rules.check_change_index(change.index, self.highest_change, where)
        script = self.book.at(CHANGE_BRANCH, change.index).script
        return OwnOutput(script, change.amount_sats, CHANGE_BRANCH, change.index)

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
            clearance.script,
            clearance.amount_sats,
            clearance.withdrawal_id,
            clearance.expires,
            clearance.ruleset_hash,
        )
