"""Fee bumps: a coin is signed away once more only when no earlier payee loses, and what can confirm is debited."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.builders import DESCRIPTOR, FEE_SATS, HEIGHT, PAID_SATS, change, clearance, good_batch, only
from appliance.keeper.judge_support import (
    COIN,
    FEE,
    NOW,
    cleared,
    judged,
    judgement_of,
    paying,
    rules,
    said,
    standing,
    uncleared,
    verdict,
)
from undercroft_appliance.keeper import refusals
from undercroft_appliance.keeper.history import History
from undercroft_appliance.keeper.judge import HOLD, REFUSE, SIGN, judge, judge_transaction
from undercroft_appliance.keeper.ledger import Ledger
from undercroft_appliance.keeper.proven import ProvenBatch, ProvenTransaction
from undercroft_appliance.keeper.signed import PastTransaction

ALLOWED = rules(uncleared="hold")
PAID = 1_000_000


def knowing(*transactions: ProvenTransaction) -> History:
    history = History()
    for one in transactions:
        history.record(one)
    return history


def against(proven: ProvenTransaction, *before: ProvenTransaction) -> tuple[str, tuple[refusals.RefusalCode, ...]]:
    return verdict(proven, ALLOWED, standing(history=knowing(*before)))


def debit_of(proven: ProvenTransaction, *before: ProvenTransaction) -> int:
    return debit_in(knowing(*before), proven)


def debit_in(history: History, proven: ProvenTransaction) -> int:
    return history.debit_sats(proven.leaves_sats, history.rivals(PastTransaction.of(proven)))


# Who is paid in a bump.


def test_a_bump_that_keeps_every_payee_is_signed() -> None:
    first = paying([1], cleared(1, PAID), cleared(2, PAID))
    assert against(paying([1], cleared(2, PAID), cleared(1, PAID), fee_sats=FEE + 1), first) == (SIGN, ())
    assert against(paying([1], cleared(1, PAID + 1), cleared(2, PAID)), first) == (SIGN, ())
    assert against(paying([1, 2], cleared(1, PAID), cleared(2, PAID), cleared(3, PAID)), first) == (SIGN, ())


@pytest.mark.parametrize(
    "bump",
    [
        paying([1], cleared(1, PAID)),
        paying([1], cleared(1, PAID), cleared(2, PAID - 1)),
        paying([1], cleared(1, PAID), cleared(3, PAID, "w-2")),
        paying([1], cleared(1, PAID), cleared(2, PAID, "w-9"), fee_sats=FEE + 1),
        paying([1], cleared(1, PAID), uncleared(2, PAID), fee_sats=FEE + 1),
        paying([1, 2]),
    ],
    ids=["payee-gone", "payee-gets-less", "other-script", "other-withdrawal", "without-clearance", "all-to-ourselves"],
)
def test_attack_bump_that_cuts_a_payee(bump: ProvenTransaction) -> None:
    first = paying([1], cleared(1, PAID), cleared(2, PAID))
    action, codes = against(bump, first)
    assert action == REFUSE
    assert refusals.OUTPOINT_SIGNED in codes


def test_a_bump_says_whose_payment_is_cut_and_by_how_much() -> None:
    first = paying([1], cleared(1, PAID))
    found = judgement_of(paying([1], cleared(1, PAID - 7)), ALLOWED, standing(history=knowing(first)))
    assert found.findings[0].numbers == f"{first.transaction.txid_hex}: w-1 had 1000000, keeps 999993 sats"


def test_payees_of_a_psbt_are_matched_by_script_one_to_one() -> None:
    first = paying([1], uncleared(1, 30_000), uncleared(1, 20_000))
    good = paying([1], uncleared(1, 20_000), uncleared(1, 31_000))
    assert against(good, first) == (HOLD, (refusals.UNCLEARED_PAYEE,) * 2)


@pytest.mark.parametrize("amounts", [(50_000,), (30_000, 19_999), (25_000, 25_000), (29_999, 29_999)])
def test_attack_one_output_of_a_psbt_stands_for_two_payees(amounts: tuple[int, ...]) -> None:
    first = paying([1], uncleared(1, 30_000), uncleared(1, 20_000))
    action, codes = against(paying([1], *(uncleared(1, one) for one in amounts)), first)
    assert action == REFUSE
    assert refusals.OUTPOINT_SIGNED in codes


def test_coins_that_were_only_consolidated_may_pay_somebody() -> None:
    assert against(paying([1], cleared(1, PAID)), paying([1, 2])) == (SIGN, ())


def test_attack_bump_of_two_transactions_that_keeps_the_payees_of_one() -> None:
    first, second = paying([1], cleared(1, PAID)), paying([2], cleared(2, PAID))
    assert against(paying([1, 2], cleared(1, PAID)), first, second) == (REFUSE, (refusals.OUTPOINT_SIGNED,))
    assert against(paying([1, 2], cleared(1, PAID), cleared(2, PAID)), first, second) == (SIGN, ())


def test_attack_owner_approval_does_not_cut_a_payee() -> None:
    first, thief = paying([1], uncleared(1, PAID)), paying([1], uncleared(2, PAID))
    judged_ = judge_transaction(thief, ALLOWED, standing(history=knowing(first)), approved=True)
    assert judged_.judgements[0].action == REFUSE


# Which withdrawal is paid again.


def test_attack_withdrawal_paid_again_by_what_can_confirm_beside() -> None:
    first = paying([1], cleared(1, PAID))
    assert against(paying([2], cleared(1, PAID)), first) == (REFUSE, (refusals.WITHDRAWAL_PAID,))


def test_attack_withdrawal_paid_again_by_a_rival_of_the_bump_only() -> None:
    """A pays from coin 1, its bump C from coins 1 and 2; D shares coin 2 with C, and confirms beside A."""
    first = paying([1], cleared(1, PAID))
    bump = paying([1, 2], cleared(1, PAID))
    assert against(bump, first) == (SIGN, ())
    assert against(paying([2], cleared(1, PAID)), first, bump) == (REFUSE, (refusals.WITHDRAWAL_PAID,))
    assert against(paying([1, 3], cleared(1, PAID)), first, bump) == (SIGN, ())


def test_a_withdrawal_may_be_paid_again_over_one_of_the_coins_of_each_payer() -> None:
    first = paying([1, 2], cleared(1, PAID))
    assert against(paying([2, 3], cleared(1, PAID)), first) == (SIGN, ())


# What is debited.


def test_a_bump_is_debited_by_what_it_adds() -> None:
    first = paying([1], cleared(1, PAID))
    assert debit_of(first) == PAID + FEE
    assert debit_of(paying([1], cleared(1, PAID), fee_sats=FEE + 300), first) == 300
    assert debit_of(paying([1], cleared(1, PAID), fee_sats=FEE - 300), first) == 0
    assert debit_of(paying([1, 2], cleared(1, PAID), cleared(2, PAID)), first) == PAID


def test_the_transaction_limit_gives_a_bump_no_discount() -> None:
    first = paying([1], cleared(1, PAID))
    limit = rules(hold_above_sats=1, refuse_above_sats=PAID + FEE)
    bump = paying([1], cleared(1, PAID), fee_sats=FEE + 1)
    assert said(judgement_of(bump, limit, standing(history=knowing(first))))[1] == (refusals.TRANSACTION_LIMIT,)


def test_attack_chain_of_bumps_whose_ends_can_both_confirm() -> None:
    """A spends coin 1; C coins 1 and 2; D coin 2: A and D confirm together."""
    a, c, d = paying([1]), paying([1, 2]), paying([2], cleared(1, PAID))
    assert debit_of(c, a) == 0
    assert debit_of(d, a, c) == d.leaves_sats


def test_attack_chain_of_bumps_in_the_other_order() -> None:
    """A and D are strangers until C joins them; C replaces both, so what was debited for both covers it."""
    a, d = paying([1], cleared(1, PAID)), paying([2], cleared(2, PAID))
    c = paying([1, 2], cleared(1, PAID), cleared(2, PAID))
    assert debit_of(c, a, d) == 0


def test_attack_long_chain_of_bumps_each_sharing_a_coin_with_the_one_before_only() -> None:
    chain = [paying([at, at + 1]) for at in range(1, 20)]
    known = History()
    debited = []
    for one in chain:
        debited.append(debit_in(known, one))
        known.record(one)
    # The second shares a coin with its whole family; every later one can confirm beside the first.
    assert debited == [FEE, 0, *[FEE] * (len(chain) - 2)]
    everything = paying(range(1, 21), fee_sats=len(chain) * FEE)
    assert debit_in(known, everything) == len(chain) * FEE - sum(debited)


def test_attack_bump_that_reaches_a_far_member_of_the_family_by_one_coin_only() -> None:
    a, b, c = paying([1, 2]), paying([2, 3]), paying([3, 4])
    assert debit_of(paying([1, 4]), a, b, c) == FEE
    assert debit_of(paying([1, 3]), a, b, c) == 0


def test_the_identical_transaction_is_in_its_own_family_once() -> None:
    history = knowing(paying([1]))
    history.record(paying([1]))
    assert len(history.snapshot().transactions) == 1
    assert history.rivals(PastTransaction.of(paying([1]))) == ()


def test_attack_two_bumps_in_one_batch_of_one_transaction_before() -> None:
    """Both are covered by the same debit, and both can confirm: the second is debited in full."""
    first = paying([1, 2], fee_sats=100_000)
    history = knowing(first)
    batch = ProvenBatch(bytes(16), ALLOWED.hash, HEIGHT, (paying([1], fee_sats=100_000), paying([2], fee_sats=90_000)))
    found = judge(batch, ALLOWED, standing(history=history))
    assert [entry.amount_sats for entry in found.ledger.entries] == [0, 90_000]
    assert not history.has_signed(batch.transactions[0].txid)


def test_a_batch_may_bump_what_an_earlier_batch_paid() -> None:
    history = History()
    first = judged(good_batch())
    history.record(first.judgements[0].proven)
    outputs = (clearance("w-0"), change(0, COIN - PAID_SATS - 2 * FEE_SATS))
    where = dataclasses.replace(standing(history=history), ledger=first.ledger)
    found = judged(only(good_batch(), outputs=outputs), where=where)
    assert said(found.judgements[0]) == (SIGN, ())
    assert [entry.amount_sats for entry in found.ledger.entries] == [PAID_SATS + FEE_SATS, FEE_SATS]
    assert DESCRIPTOR.script(1, 0) == found.judgements[0].proven.change[0].script


# Any sequence.

COINS = 5
MOST = 7


def heaviest(signed: list[ProvenTransaction]) -> int:
    """The most that leaves in any set of these that can confirm together."""
    best = 0
    for size in range(1, len(signed) + 1):
        for chosen in itertools.combinations(signed, size):
            coins = [coin.outpoint for one in chosen for coin in one.inputs]
            if len(set(coins)) == len(coins):
                best = max(best, sum(one.leaves_sats for one in chosen))
    return best


def twice_paid(signed: list[ProvenTransaction]) -> bool:
    """Whether two of these can confirm together and pay one withdrawal."""
    for one, other in itertools.combinations(signed, 2):
        apart = not {coin.outpoint for coin in one.inputs} & {coin.outpoint for coin in other.inputs}
        ids = {payee.withdrawal_id for payee in one.payees} & {payee.withdrawal_id for payee in other.payees}
        if apart and ids - {None}:
            return True
    return False


@st.composite
def transactions(draw: st.DrawFn) -> ProvenTransaction:
    coins = sorted(draw(st.sets(st.integers(1, COINS), min_size=1, max_size=3)))
    withdrawals = sorted(draw(st.sets(st.integers(1, 3), max_size=2)))
    fee_sats = draw(st.integers(1, 5)) * FEE
    return paying(coins, *(cleared(one, draw(st.integers(2, 5)) * FEE) for one in withdrawals), fee_sats=fee_sats)


@settings(max_examples=60, deadline=None)
@given(st.lists(transactions(), max_size=MOST, unique_by=lambda one: one.txid))
def test_whatever_can_confirm_together_was_debited_even_if_no_rule_stood_in_the_way(
    sequence: list[ProvenTransaction],
) -> None:
    history, debited = History(), 0
    for at, one in enumerate(sequence, start=1):
        debited += debit_in(history, one)
        history.record(one)
        assert heaviest(sequence[:at]) <= debited


@settings(max_examples=60, deadline=None)
@given(st.lists(transactions(), max_size=MOST, unique_by=lambda one: one.txid), st.integers(1, 3))
def test_whatever_is_signed_never_exceeds_the_ledger_and_never_pays_a_withdrawal_twice(
    sequence: list[ProvenTransaction], batch_size: int
) -> None:
    history, ledger, signed = History(), Ledger(float("-inf")), []
    for at in range(0, len(sequence), batch_size):
        batch = ProvenBatch(bytes(16), ALLOWED.hash, HEIGHT, tuple(sequence[at : at + batch_size]))
        where = standing(history=history, ledger=ledger, now=NOW + at)
        found = judge(batch, ALLOWED, where)
        ledger = found.ledger
        for judgement in found.judgements:
            if judgement.action == SIGN:
                history.record(judgement.proven)
                signed.append(judgement.proven)
        assert heaviest(signed) <= ledger.total_sats
        assert not twice_paid(signed)
