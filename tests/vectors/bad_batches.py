"""Vectors for the batch door: one good batch of the test quorum, each time changed in one place, or its policy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Final

from appliance.builders import (
    COIN_SATS,
    DESCRIPTOR,
    FEE_SATS,
    P2WPKH,
    PAID_SATS,
    POLICY,
    STRANGER,
    UTC,
    WIDE_POLICY,
    change,
    clearance,
    good_batch,
    only,
    previous_transaction,
)
from bad_inputs import Vector, packed
from undercroft_protocol.bitcoin.amounts import MAX_MONEY_SATS
from undercroft_protocol.bitcoin.transaction import Transaction
from undercroft_protocol.messages import BatchRequest, Coin, Hours, Output, Policy, Window

LEAVES: Final = PAID_SATS + FEE_SATS
GOOD: Final = good_batch()


def batch(name: str, attack: str, expect: str, request: BatchRequest, policy: Policy = POLICY, **more: Any) -> Vector:
    """One vector; the batch is made for the policy."""
    if request.policy_hash == POLICY.hash:
        request = dataclasses.replace(request, policy_hash=policy.hash)
    given = {} if policy is POLICY else {"policy": packed(policy.to_bytes())}
    return Vector(name, attack, "batch", expect, {"batch": packed(request.to_bytes()), **given, **more})


def spending(*outputs: tuple[int, bytes], **coin: int) -> BatchRequest:
    """The good batch over another previous transaction."""
    spent = dataclasses.replace(GOOD.transactions[0].inputs[0], **coin)
    return dataclasses.replace(only(GOOD, inputs=(spent,)), previous=(previous_transaction(*outputs, salt=1),))


def ruled(**rules: Any) -> Policy:
    return dataclasses.replace(WIDE_POLICY, **rules)


def paid(amount_sats: int, fee_sats: int) -> BatchRequest:
    """So much to the payee, so much to the miners, the rest back."""
    return only(GOOD, outputs=(clearance("w-0", amount_sats), change(0, COIN_SATS - amount_sats - fee_sats)))


def all_batches() -> Iterator[Vector]:
    yield from _previous()
    yield from _outputs()
    yield from _whole_batches()
    yield from _rules()
    yield from _limits()


def _previous() -> Iterator[Vector]:
    raw = GOOD.previous[0]
    plain = Transaction.parse(raw, allow_witness=False)
    witnessed = dataclasses.replace(plain, inputs=(dataclasses.replace(plain.inputs[0], witness=(b"x",)),)).serialize()
    coin = GOOD.transactions[0].inputs[0]
    yield batch(
        "004-batch-output-missing",
        "A coin is named beyond the last output of its transaction.",
        "output-missing",
        only(GOOD, inputs=(dataclasses.replace(coin, vout=1),)),
    )
    yield batch(
        "005-batch-previous-absent",
        "A coin names a previous transaction that is not in the batch.",
        "previous-missing",
        only(GOOD, inputs=(dataclasses.replace(coin, previous=1),)),
    )
    yield batch(
        "006-batch-trailing-byte",
        "A byte follows a previous transaction of a batch.",
        "previous-malformed",
        dataclasses.replace(GOOD, previous=(raw + b"\x00",)),
    )
    yield batch(
        "006-batch-witness",
        "A previous transaction of a batch has a witness; there it has none, so that it has one form.",
        "previous-malformed",
        dataclasses.replace(GOOD, previous=(witnessed,)),
    )
    yield batch(
        "code-previous-repeated",
        "One previous transaction is there twice.",
        "previous-repeated",
        dataclasses.replace(GOOD, previous=(raw, raw)),
    )
    yield batch(
        "code-previous-unused",
        "A previous transaction serves no coin: room for what nobody foresaw.",
        "previous-unused",
        dataclasses.replace(GOOD, previous=(raw, previous_transaction((COIN_SATS, P2WPKH), salt=99))),
    )
    yield batch(
        "013-batch-foreign-coin",
        "A coin of a batch is somebody else's.",
        "foreign-coin",
        spending((COIN_SATS, P2WPKH)),
    )
    yield batch(
        "030-batch-coin-elsewhere",
        "A coin is ours, and lies elsewhere than the batch says.",
        "foreign-coin",
        only(GOOD, inputs=(dataclasses.replace(coin, index=1),)),
    )
    yield batch(
        "046-batch-coin-far-out",
        "A made-up coin far out would lift the bound for change.",
        "coin-index",
        spending((COIN_SATS, DESCRIPTOR.script(0, 1_000_001)), index=1_000_001),
    )


def _outputs() -> Iterator[Vector]:
    yield batch(
        "007-batch-more-out-than-in",
        "A batch pays more than its coins hold.",
        "outputs-exceed-inputs",
        only(GOOD, outputs=(clearance(amount_sats=COIN_SATS + 1),)),
    )
    yield batch(
        "008-batch-outputs-overflow",
        "Outputs of a batch that add up to more than there can ever be.",
        "amount-range",
        only(GOOD, outputs=(clearance(amount_sats=MAX_MONEY_SATS), change(0, MAX_MONEY_SATS))),
    )
    yield batch(
        "010-batch-dust", "A payee gets dust.", "dust", only(GOOD, outputs=(clearance(amount_sats=293), change()))
    )
    yield batch(
        "046-batch-change-far-out",
        "Change of a batch beyond the gap.",
        "change-index",
        only(GOOD, outputs=(clearance(), change(POLICY.change_gap + 1))),
    )
    flood = tuple(change(index, 1_000_000) for index in range(3))
    yield batch(
        "048-batch-change-flood", "Change of a batch in three pieces.", "change-count", only(GOOD, outputs=flood)
    )
    yield batch(
        "code-clearance-malformed",
        "Garbage stands where a clearance should.",
        "clearance-malformed",
        only(GOOD, outputs=(Output(bytes(100), None), change())),
    )
    yield batch(
        "071-clearance-by-a-stranger",
        "A stranger clears a payee.",
        "clearance-untrusted",
        only(GOOD, outputs=(clearance(key=STRANGER), change())),
    )
    yield batch(
        "code-clearance-other-quorum",
        "A payee that was cleared for another quorum.",
        "clearance-other-quorum",
        only(GOOD, outputs=(clearance(quorum_id=b"\x99" * 32), change())),
    )
    twice = (clearance(amount_sats=1_000_000), clearance(amount_sats=1_000_000), change(amount_sats=7_000_000))
    yield batch(
        "code-withdrawal-repeated",
        "One clearance pays its payee twice in a transaction.",
        "withdrawal-repeated",
        only(GOOD, outputs=twice),
    )
    for name, sequence in (("zero", 0), ("final", 0xFFFFFFFF)):
        yield batch(
            f"053-batch-sequence-{name}",
            "A batch with another sequence number than the two that are used.",
            "sequence-number",
            only(GOOD, sequence=sequence),
        )
    yield batch(
        "053-batch-locktime-and-height-of-a-time",
        "A height that makes a time look like a height.",
        "locktime",
        dataclasses.replace(only(GOOD, locktime=500_000_000), height=600_000_000),
    )


def _whole_batches() -> Iterator[Vector]:
    coins = [Coin(0, vout, 0, 0) for vout in range(101)]
    many = dataclasses.replace(GOOD, previous=(previous_transaction(*[(COIN_SATS, DESCRIPTOR.script(0, 0))] * 102),))
    yield batch(
        "051-inputs-101-and-102",
        "The 101st and the 102nd input are one coin: beyond the bound at which one signer stopped looking.",
        "outpoint-repeated",
        only(many, inputs=(*coins, coins[100])),
    )
    two = good_batch(2)
    first, second = two.transactions
    same = dataclasses.replace(two, transactions=(first, first), previous=two.previous[:1])
    yield batch("069-one-transaction-twice", "One transaction stands in a batch twice.", "outpoint-repeated", same)
    rival = dataclasses.replace(second, inputs=first.inputs)
    yield batch(
        "069-two-spend-one-coin",
        "Two transactions of a batch spend one coin.",
        "outpoint-repeated",
        dataclasses.replace(two, transactions=(first, rival), previous=two.previous[:1]),
    )
    three = good_batch(3)
    bad = dataclasses.replace(three.transactions[2], sequence=0)
    yield batch(
        "069-third-of-three-is-bad",
        "The third of three cannot be proved: none of them is signed.",
        "sequence-number",
        dataclasses.replace(three, transactions=(*three.transactions[:2], bad)),
    )
    yield batch(
        "069-one-withdrawal-in-two",
        "One withdrawal is paid by two transactions of a batch.",
        "withdrawal-repeated",
        dataclasses.replace(
            two, transactions=(first, dataclasses.replace(second, outputs=(first.outputs[0], second.outputs[1])))
        ),
    )
    yield batch(
        "code-too-many-transactions",
        "More transactions than the policy allows in a batch.",
        "too-many-transactions",
        two,
        dataclasses.replace(POLICY, most_transactions=1),
    )
    yield batch(
        "code-other-policy",
        "The batch was made for another policy than the one in force.",
        "other-policy",
        good_batch(policy_hash=b"\x01" * 32),
    )
    no_rules = batch("code-no-policy", "An appliance without rules is asked to sign.", "no-policy", GOOD)
    yield dataclasses.replace(no_rules, input={**no_rules.input, "policy": None})


def _rules() -> Iterator[Vector]:
    yield batch(
        "011-fee-share",
        "A fee of 11 % of a small payment.",
        "fee-share",
        paid(10_000, 1_100),
        ruled(most_fee_ppm=20_000),
    )
    rich = spending((500_000_000_000, DESCRIPTOR.script(0, 0)))
    one_bitcoin = only(rich, outputs=(clearance(amount_sats=490_000_000_000), change(0, 9_900_000_000)))
    yield batch(
        "011-fee-absolute",
        "A fee of one bitcoin, which is little beside what is paid.",
        "fee-limit",
        one_bitcoin,
        ruled(most_fee_sats=1_000_000),
    )
    yield batch(
        "011-feerate",
        "A fee below the other two bounds, at an absurd feerate.",
        "feerate",
        paid(PAID_SATS, 100_000),
        ruled(most_feerate_sat_per_kvb=100_000),
    )
    yield batch(
        "code-consolidation-feerate",
        "Coins are moved to ourselves at the price of a hurried payment.",
        "consolidation-feerate",
        only(GOOD, outputs=(change(0, COIN_SATS - FEE_SATS),)),
        ruled(most_consolidation_feerate_sat_per_kvb=10_000),
    )
    for name, script in (
        ("op-return", b"\x6a\x04burn"),
        ("witness-v2", b"\x52\x20" + bytes(32)),
        ("p2pkh", b"\x76\xa9\x14" + bytes(20) + b"\x88\xac"),
    ):
        yield batch(
            f"055-cleared-{name}",
            "Even what the risk service cleared is paid only to the kinds of script that the policy allows.",
            "payee-type",
            only(GOOD, outputs=(clearance(script=script), change())),
        )
    count = POLICY.most_payees + 1
    payees = tuple(clearance(f"w-{at}", PAID_SATS // count) for at in range(count))
    rest = change(0, COIN_SATS - count * (PAID_SATS // count) - FEE_SATS)
    yield batch(
        "082-too-many-payees",
        "So many payees that nobody looks at each.",
        "too-many-payees",
        only(GOOD, outputs=(*payees, rest)),
    )
    coins = [Coin(0, vout, 0, 0) for vout in range(POLICY.most_inputs + 1)]
    raw = previous_transaction(*[(COIN_SATS, DESCRIPTOR.script(0, 0))] * len(coins))
    wide_paid = clearance(amount_sats=len(coins) * COIN_SATS - FEE_SATS)
    yield batch(
        "code-too-many-inputs",
        "More inputs than the policy allows.",
        "too-many-inputs",
        dataclasses.replace(only(GOOD, inputs=tuple(coins), outputs=(wide_paid,)), previous=(raw,)),
        WIDE_POLICY,
    )
    yield batch(
        "code-clearance-expired",
        "A clearance that ran out a second ago.",
        "clearance-expired",
        only(GOOD, outputs=(clearance(expires=UTC - 1), change())),
    )
    yield batch(
        "087-unlisted-payee",
        "A cleared stranger who is not on the allowlist.",
        "unlisted-payee",
        GOOD,
        ruled(allowlist=(b"\x00\x14" + b"\x45" * 20,)),
    )
    yield batch(
        "code-sweep-only",
        "Under a policy that only sweeps, somebody else is paid.",
        "sweep-only",
        GOOD,
        ruled(sweep_to=DESCRIPTOR.text()),
    )
    yield batch(
        "code-self-share",
        "Less comes back to the quorum than must.",
        "self-share",
        GOOD,
        ruled(least_self_ppm=900_000),
    )
    uneven = (clearance("w-0", 1_000_000), clearance("w-1", 1_000_001), change(0, COIN_SATS - 2_000_001 - FEE_SATS))
    yield batch(
        "code-unequal-payees",
        "One payee gets more than the others.",
        "unequal-payees",
        only(GOOD, outputs=uneven),
        ruled(equal_payees=True),
    )
    minute = UTC % 86_400 // 60
    yield batch(
        "code-out-of-hours",
        "It comes at an hour when nobody looks.",
        "out-of-hours",
        GOOD,
        ruled(hours=Hours((minute + 60) % 1440, (minute + 120) % 1440)),
    )


def _limits() -> Iterator[Vector]:
    yield batch(
        "code-transaction-limit",
        "More than any one transaction may move.",
        "transaction-limit",
        GOOD,
        ruled(hold_above_sats=1, refuse_above_sats=LEAVES - 1),
    )
    yield batch(
        "code-transaction-hold",
        "More than a transaction may move without its owner.",
        "transaction-hold",
        GOOD,
        ruled(hold_above_sats=LEAVES - 1),
    )
    yield batch(
        "088-window-hold",
        "More than a window lets go without its owner.",
        "window-hold",
        GOOD,
        ruled(windows=(Window(3600, LEAVES - 1, 10**12),)),
    )
    yield batch(
        "088-two-in-one-batch",
        "Two payments of one batch that fit into the window one by one.",
        "window-limit",
        good_batch(2),
        ruled(windows=(Window(3600, 2 * LEAVES - 1, 2 * LEAVES - 1),)),
    )
    yield batch(
        "088-two-windows",
        "The short window has room, the long one has none.",
        "window-limit",
        good_batch(2),
        ruled(windows=(Window(3600, 10**12, 10**12), Window(86_400, 2 * LEAVES - 1, 2 * LEAVES - 1))),
    )
    yield batch(
        "code-window-count-limit",
        "A flood of payments too small for any amount to stop.",
        "window-count-limit",
        good_batch(2),
        ruled(windows=(Window(3600, 10**12, 10**12, 1, 1),)),
    )
    yield batch(
        "code-window-count-hold",
        "More transactions than a window lets go without its owner.",
        "window-count-hold",
        good_batch(2),
        ruled(windows=(Window(3600, 10**12, 10**12, 1, 9),)),
    )
    yield batch(
        "code-activation-limit",
        "Patience: each window has room, the activation has none.",
        "activation-limit",
        good_batch(2),
        ruled(most_activation_sats=2 * LEAVES - 1),
    )
    yield batch(
        "code-lifetime-limit",
        "Patience over many activations.",
        "lifetime-limit",
        good_batch(2),
        ruled(most_lifetime_sats=2 * LEAVES - 1),
    )
