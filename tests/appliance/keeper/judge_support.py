"""Transactions as the prove stage hands them on, made by hand, and what the judge says to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

from appliance.builders import DESCRIPTOR, HEIGHT, POLICY, QUORUM, UTC, WIDE_POLICY
from undercroft_appliance.keeper.addresses import AddressBook
from undercroft_appliance.keeper.history import History
from undercroft_appliance.keeper.judge import Judged, Judgement, Standing, judge, judge_transaction
from undercroft_appliance.keeper.ledger import Entry, Ledger
from undercroft_appliance.keeper.prove import prove
from undercroft_appliance.keeper.proven import OwnOutput, Payee, ProvenInput, ProvenTransaction
from undercroft_appliance.keeper.refusals import RefusalCode
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput
from undercroft_protocol.messages import BatchRequest, Policy

NOW: Final = 100_000.0
COIN: Final = 10_000_000
FEE: Final = 5_000
VSIZE: Final = 200
BOOK: Final = AddressBook(DESCRIPTOR, None)
WIDE: Final = dataclasses.replace(WIDE_POLICY, most_inputs=1000, most_payees=1000)
"""A policy in whose way nothing is, but the rule that a test adds."""


def script_of(number: int) -> bytes:
    """A P2WPKH script that belongs to payee ``number``."""
    return b"\x00\x14" + number.to_bytes(20, "big")


def cleared(number: int, amount_sats: int, withdrawal_id: str | None = None) -> Payee:
    return Payee(script_of(number), amount_sats, withdrawal_id or f"w-{number}", UTC + 3600, b"\x55" * 32)


def uncleared(number: int, amount_sats: int) -> Payee:
    """A payee of a PSBT."""
    return Payee(script_of(number), amount_sats)


def own(amount_sats: int, branch: int = 1, index: int = 0) -> OwnOutput:
    return OwnOutput(b"\x00\x20" + bytes([branch]) * 32, amount_sats, branch, index)


def paying(
    coins: Sequence[int], *outputs: Payee | OwnOutput, fee_sats: int = FEE, rest: bool = True
) -> ProvenTransaction:
    """A transaction over coins of 10,000,000 sats each, named by numbers; ``rest`` comes back as change."""
    inputs = tuple(ProvenInput(Outpoint(one.to_bytes(32, "big"), 0), COIN, 0, one, b"") for one in coins)
    left = COIN * len(inputs) - fee_sats - sum(output.amount_sats for output in outputs)
    if rest and left > 0:
        outputs = (*outputs, own(left))
    transaction = Transaction(
        2,
        tuple(TxInput(coin.outpoint, 0xFFFFFFFD) for coin in inputs),
        tuple(TxOutput(output.amount_sats, output.script) for output in outputs),
        HEIGHT,
    )
    return ProvenTransaction(transaction, inputs, outputs, fee_sats, VSIZE)


def standing(*entries: Entry, **changes: Any) -> Standing:
    """Nothing went before, or these entries; ``changes`` mutate single fields."""
    good = Standing(NOW, UTC, Ledger(float("-inf"), entries), History(), None)
    return dataclasses.replace(good, **changes)


def judged(batch: BatchRequest, policy: Policy = POLICY, where: Standing | None = None) -> Judged:
    batch = dataclasses.replace(batch, policy_hash=policy.hash)
    proven = prove(batch, QUORUM, BOOK, change_gap=20, change_signed=-1)
    return judge(proven, policy, standing() if where is None else where)


def outcome(
    batch: BatchRequest, policy: Policy = POLICY, where: Standing | None = None
) -> tuple[str, tuple[RefusalCode, ...]]:
    return said(judged(batch, policy, where).judgements[0])


def verdict(
    proven: ProvenTransaction, policy: Policy = WIDE, where: Standing | None = None
) -> tuple[str, tuple[RefusalCode, ...]]:
    """What is done with one transaction, and the codes of all findings."""
    return said(judgement_of(proven, policy, where))


def judgement_of(proven: ProvenTransaction, policy: Policy = WIDE, where: Standing | None = None) -> Judgement:
    return judge_transaction(proven, policy, where or standing(), approved=False).judgements[0]


def said(judgement: Judgement) -> tuple[str, tuple[RefusalCode, ...]]:
    return judgement.action, tuple(finding.code for finding in judgement.findings)


def rules(**changes: Any) -> Policy:
    """The wide policy with single rules of its own."""
    return dataclasses.replace(WIDE, **changes)
