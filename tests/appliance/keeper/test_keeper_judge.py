"""Stage 3: the policy, rule by rule, at its edges."""

from __future__ import annotations

import dataclasses

import pytest

from appliance.builders import (
    COIN_SATS,
    DESCRIPTOR,
    FEE_SATS,
    HEIGHT,
    PAID_SATS,
    POLICY,
    QUORUM,
    UTC,
    change,
    clearance,
    good_batch,
    only,
    previous_transaction,
)
from appliance.keeper.judge_support import BOOK, NOW, judged, outcome, standing
from undercroft_appliance.keeper import refusals
from undercroft_appliance.keeper.history import History
from undercroft_appliance.keeper.judge import HOLD, REFUSE, SIGN, Standing, judge, judge_transaction
from undercroft_appliance.keeper.ledger import MOST_ENTRIES, Entry, Ledger
from undercroft_appliance.keeper.prove import prove
from undercroft_appliance.keeper.refusals import Refusal, RefusalCode
from undercroft_protocol.messages import BatchRequest, Coin, Policy, Window

LEAVES = PAID_SATS + FEE_SATS


def refused_whole(batch: BatchRequest, policy: Policy | None = POLICY, where: Standing | None = None) -> RefusalCode:
    proven = prove(batch, QUORUM, BOOK, change_gap=20, change_signed=-1)
    with pytest.raises(Refusal) as caught:
        judge(proven, policy, standing() if where is None else where)
    return caught.value.code


def test_a_good_transaction_is_signed_and_debited() -> None:
    found = judged(good_batch())
    assert found.judgements[0].action == SIGN
    assert [entry.amount_sats for entry in found.ledger.entries] == [LEAVES]


def test_attack_no_policy_signs_nothing() -> None:
    assert refused_whole(good_batch(), None) is refusals.NO_POLICY


def test_attack_batch_under_another_policy() -> None:
    assert refused_whole(good_batch(policy_hash=b"\x01" * 32)) is refusals.OTHER_POLICY


def test_attack_too_many_transactions() -> None:
    assert refused_whole(good_batch(POLICY.most_transactions + 1)) is refusals.TOO_MANY_TRANSACTIONS


def test_attack_chain_height_goes_back() -> None:
    assert refused_whole(good_batch(), where=standing(height=HEIGHT + 1)) is refusals.HEIGHT_BACK


def test_attack_chain_height_jumps() -> None:
    policy = dataclasses.replace(POLICY, most_height_step=12)
    batch = good_batch(policy_hash=policy.hash)
    assert refused_whole(batch, policy, standing(height=HEIGHT - 13)) is refusals.HEIGHT_JUMP
    assert outcome(batch, policy, standing(height=HEIGHT - 12))[0] == SIGN


def test_attack_too_many_inputs() -> None:
    count = POLICY.most_inputs + 1
    raw = previous_transaction(*[(COIN_SATS, DESCRIPTOR.script(0, 0))] * count)
    batch = dataclasses.replace(good_batch(), previous=(raw,))
    outputs = (clearance(amount_sats=count * COIN_SATS - FEE_SATS),)
    many = only(batch, inputs=tuple(Coin(0, vout, 0, 0) for vout in range(count)), outputs=outputs)
    wide = dataclasses.replace(
        POLICY, hold_above_sats=10**12, refuse_above_sats=10**12, windows=(Window(60, 10**12, 10**12),)
    )
    assert outcome(many, wide) == (REFUSE, (refusals.TOO_MANY_INPUTS,))


def test_attack_too_many_payees() -> None:
    count = POLICY.most_payees + 1
    each = PAID_SATS // count
    payees = tuple(clearance(f"w-{at}", each) for at in range(count))
    outputs = (*payees, change(0, COIN_SATS - count * each - FEE_SATS))
    assert outcome(only(good_batch(), outputs=outputs)) == (REFUSE, (refusals.TOO_MANY_PAYEES,))


@pytest.mark.parametrize(
    "script",
    [
        b"\x6a\x04burn",
        b"\x52\x20" + b"\x01" * 32,
        b"\x21" + b"\x02" * 33 + b"\xac",
        b"\x76\xa9\x14" + b"\x01" * 20 + b"\x88\xac",
        b"\x51",
    ],
    ids=["op-return", "witness-v2", "p2pk", "p2pkh-not-in-policy", "anyone"],
)
def test_attack_payee_type(script: bytes) -> None:
    outputs = (clearance(script=script), change())
    assert outcome(only(good_batch(), outputs=outputs)) == (REFUSE, (refusals.PAYEE_TYPE,))


def test_attack_expired_clearance() -> None:
    outputs = (clearance(expires=UTC - 1), change())
    assert outcome(only(good_batch(), outputs=outputs)) == (REFUSE, (refusals.CLEARANCE_EXPIRED,))
    outputs = (clearance(expires=UTC), change())
    assert outcome(only(good_batch(), outputs=outputs)) == (SIGN, ())


def test_attack_absolute_fee() -> None:
    policy = dataclasses.replace(POLICY, most_fee_sats=FEE_SATS - 1)
    assert outcome(good_batch(), policy) == (REFUSE, (refusals.FEE_LIMIT,))
    assert outcome(good_batch(), dataclasses.replace(POLICY, most_fee_sats=FEE_SATS))[0] == SIGN


def test_attack_fee_as_a_share_of_a_small_payment() -> None:
    outputs = (clearance(amount_sats=10_000), change(0, COIN_SATS - 10_000 - FEE_SATS))
    assert outcome(only(good_batch(), outputs=outputs)) == (REFUSE, (refusals.FEE_SHARE,))


def test_attack_fee_share_of_a_consolidation_is_of_what_it_moves() -> None:
    outputs = (change(0, COIN_SATS - FEE_SATS),)
    assert outcome(only(good_batch(), outputs=outputs))[0] == SIGN
    policy = dataclasses.replace(POLICY, most_fee_ppm=100)
    assert outcome(only(good_batch(), outputs=outputs), policy) == (REFUSE, (refusals.FEE_SHARE,))


def test_attack_feerate() -> None:
    policy = dataclasses.replace(POLICY, most_feerate_sat_per_kvb=20_000)
    assert outcome(good_batch(), policy) == (REFUSE, (refusals.FEERATE,))


def test_per_transaction_limits_at_their_edges() -> None:
    at_hold = dataclasses.replace(POLICY, hold_above_sats=LEAVES)
    assert outcome(good_batch(), at_hold) == (SIGN, ())
    over_hold = dataclasses.replace(POLICY, hold_above_sats=LEAVES - 1)
    assert outcome(good_batch(), over_hold) == (HOLD, (refusals.TRANSACTION_HOLD,))
    at_limit = dataclasses.replace(POLICY, hold_above_sats=1, refuse_above_sats=LEAVES)
    assert outcome(good_batch(), at_limit)[0] == HOLD


def test_attack_more_than_one_transaction_may_move() -> None:
    policy = dataclasses.replace(POLICY, hold_above_sats=1, refuse_above_sats=LEAVES - 1)
    assert outcome(good_batch(), policy) == (REFUSE, (refusals.TRANSACTION_LIMIT,))


def window(hold: int, refuse: int, seconds: int = 3600) -> Policy:
    return dataclasses.replace(POLICY, windows=(Window(seconds, hold, refuse),))


def test_window_limits_at_their_edges() -> None:
    spent = Entry(NOW - 10, 1_000_000, b"\x01" * 32)
    total = 1_000_000 + LEAVES
    assert outcome(good_batch(), window(total, total), standing(spent)) == (SIGN, ())
    assert outcome(good_batch(), window(total - 1, total), standing(spent)) == (HOLD, (refusals.WINDOW_HOLD,))


def test_attack_window_limit() -> None:
    spent = Entry(NOW - 10, 1_000_000, b"\x01" * 32)
    over = window(1, 1_000_000 + LEAVES - 1)
    assert outcome(good_batch(), over, standing(spent)) == (REFUSE, (refusals.WINDOW_LIMIT,))


def test_a_window_slides_to_the_instant() -> None:
    tight = window(1_000_000 + LEAVES - 1, 1_000_000 + LEAVES - 1)
    inside = Entry(NOW - 3600 + 0.001, 1_000_000, b"\x01" * 32)
    outside = Entry(NOW - 3600, 1_000_000, b"\x01" * 32)
    assert outcome(good_batch(), tight, standing(inside))[0] == REFUSE
    assert outcome(good_batch(), tight, standing(outside))[0] == SIGN


def test_attack_many_small_transactions_in_one_batch_fill_the_window_with_their_fees() -> None:
    tight = window(3 * LEAVES - 1, 3 * LEAVES - 1)
    actions = [judgement.action for judgement in judged(good_batch(4), tight).judgements]
    assert actions == [SIGN, SIGN, REFUSE, REFUSE]


def test_attack_restart_to_begin_a_window_anew() -> None:
    armed_at = NOW - 3599
    unknown = dataclasses.replace(standing(), ledger=Ledger.armed(armed_at, None, None, 86_400))
    policy = window(10**9, 10**9)
    assert outcome(good_batch(), policy, unknown) == (REFUSE, (refusals.WINDOW_UNKNOWN,))
    later = dataclasses.replace(unknown, now=armed_at + 3600)
    assert outcome(good_batch(), policy, later) == (SIGN, ())


def test_a_short_window_opens_before_a_long_one() -> None:
    unknown = dataclasses.replace(standing(), ledger=Ledger.armed(NOW - 3600, None, None, 86_400))
    action, codes = outcome(good_batch(), POLICY, unknown)
    assert (action, codes) == (REFUSE, (refusals.WINDOW_UNKNOWN,))


def test_attack_another_transaction_over_a_signed_coin() -> None:
    history = History()
    first = judged(good_batch()).judgements[0].proven
    history.record(first)
    outputs = (clearance("w-other", PAID_SATS - 1), change())
    action, codes = outcome(only(good_batch(), outputs=outputs), where=standing(history=history))
    assert (action, codes) == (REFUSE, (refusals.OUTPOINT_SIGNED,))


def test_attack_withdrawal_paid_again_out_of_other_coins() -> None:
    history = History()
    history.record(judged(good_batch()).judgements[0].proven)
    other = good_batch(first=1)
    outputs = (clearance("w-0"), change(1))
    action, codes = outcome(only(other, outputs=outputs), where=standing(history=history))
    assert (action, codes) == (REFUSE, (refusals.WITHDRAWAL_PAID,))


def test_the_identical_transaction_is_signed_again_and_counted_once() -> None:
    history = History()
    first = judged(good_batch())
    history.record(first.judgements[0].proven)
    again = judged(good_batch(), where=dataclasses.replace(standing(history=history), ledger=first.ledger))
    assert again.judgements[0].again
    assert again.judgements[0].action == SIGN
    assert again.ledger.entries == first.ledger.entries


def test_attack_flood_of_payments_to_push_one_out_of_the_ledger() -> None:
    full = [Entry(NOW - 1, 1, at.to_bytes(32, "big")) for at in range(MOST_ENTRIES)]
    assert outcome(good_batch(), where=standing(*full)) == (REFUSE, (refusals.LEDGER_FULL,))


def test_every_rule_speaks_and_the_strictest_holds() -> None:
    policy = dataclasses.replace(POLICY, most_fee_sats=1, hold_above_sats=1)
    outputs = (clearance(expires=UTC - 5), change())
    action, codes = outcome(only(good_batch(), outputs=outputs), policy)
    assert action == REFUSE
    assert codes == (refusals.CLEARANCE_EXPIRED, refusals.FEE_LIMIT, refusals.TRANSACTION_HOLD)


def test_attack_owner_approval_overrules_only_what_is_held() -> None:
    held = dataclasses.replace(POLICY, hold_above_sats=1)
    proven = judged(good_batch(), held).judgements[0].proven
    assert judge_transaction(proven, held, standing(), approved=True).judgements[0].action == SIGN
    late = dataclasses.replace(standing(), utc=UTC + 3601)
    judgement = judge_transaction(proven, held, late, approved=True).judgements[0]
    assert (judgement.action, judgement.code) == (REFUSE, refusals.CLEARANCE_EXPIRED)
