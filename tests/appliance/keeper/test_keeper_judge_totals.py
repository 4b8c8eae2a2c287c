"""How much, how often, when: windows by count, totals above all windows, hours, heights."""

from __future__ import annotations

import dataclasses

import pytest

from appliance.builders import HEIGHT, UTC, good_batch
from appliance.keeper.judge_support import (
    FEE,
    NOW,
    VSIZE,
    cleared,
    judged,
    judgement_of,
    outcome,
    paying,
    rules,
    standing,
    verdict,
)
from undercroft_appliance.keeper import refusals
from undercroft_appliance.keeper.history import History
from undercroft_appliance.keeper.judge import HOLD, REFUSE, REORGANISED_BLOCKS, SIGN, Standing
from undercroft_appliance.keeper.ledger import Entry, Ledger
from undercroft_appliance.keeper.refusals import Refusal
from undercroft_protocol.messages import Hours, Policy, Spent, Window

LARGE = 10**12
PAYMENT = paying([1], cleared(1, 1_000_000))
LEAVES = 1_000_000 + FEE
MIDNIGHT = UTC - UTC % 86_400


def counting(hold: int | None, refuse: int | None) -> Policy:
    return rules(windows=(Window(60, LARGE, LARGE), Window(3600, LARGE, LARGE, hold, refuse)))


def signed_before(count: int, age: float = 100.0) -> tuple[Entry, ...]:
    return tuple(Entry(NOW - age, 1, bytes([1 + at]) * 32) for at in range(count))


def test_window_counts_at_their_edges() -> None:
    before = standing(*signed_before(4))
    assert verdict(PAYMENT, counting(5, 6), before) == (SIGN, ())
    assert verdict(PAYMENT, counting(4, 5), before) == (HOLD, (refusals.WINDOW_COUNT_HOLD,))
    assert verdict(PAYMENT, counting(4, None), before) == (HOLD, (refusals.WINDOW_COUNT_HOLD,))
    assert verdict(PAYMENT, counting(None, 5), before) == (SIGN, ())


def test_attack_flood_of_small_payments() -> None:
    assert verdict(PAYMENT, counting(None, 4), standing(*signed_before(4))) == (REFUSE, (refusals.WINDOW_COUNT_LIMIT,))
    assert verdict(PAYMENT, counting(1, 4), standing(*signed_before(4))) == (REFUSE, (refusals.WINDOW_COUNT_LIMIT,))


def test_attack_flood_within_one_batch() -> None:
    actions = [judgement.action for judgement in judged(good_batch(4), counting(1, 2)).judgements]
    assert actions == [SIGN, HOLD, HOLD, HOLD]
    actions = [judgement.action for judgement in judged(good_batch(4), counting(None, 2)).judgements]
    assert actions == [SIGN, SIGN, REFUSE, REFUSE]


def test_what_has_left_the_window_is_not_counted() -> None:
    assert verdict(PAYMENT, counting(None, 1), standing(*signed_before(4, 3600.0))) == (SIGN, ())


def test_a_window_shorter_than_the_count_window_does_not_count() -> None:
    assert verdict(PAYMENT, counting(None, 5), standing(*signed_before(4, 61.0))) == (SIGN, ())


def test_a_fee_bump_is_one_more_transaction_and_is_carried_as_one() -> None:
    history = History()
    history.record(PAYMENT)
    bump = paying([1], cleared(1, 1_000_000), fee_sats=FEE - 1)
    where = standing(history=history)
    finding = judgement_of(bump, counting(None, 1), where)
    assert finding.action == SIGN
    ledger = where.ledger.debited(NOW, 0, bump.txid)
    assert ledger.spent_count(3600, NOW) == 1
    assert ledger.carried(3600, NOW) == (Spent(0, 0, bump.txid),)


def armed(armed_sats: int = 0, total_sats: int = 0) -> Standing:
    return standing(ledger=Ledger(float("-inf"), (), armed_sats=armed_sats, total_sats=total_sats))


def test_activation_total_at_its_edge() -> None:
    policy = rules(most_activation_sats=5 * LEAVES)
    assert verdict(PAYMENT, policy, armed(4 * LEAVES)) == (SIGN, ())


def test_attack_patience_window_after_window() -> None:
    policy = rules(most_activation_sats=5 * LEAVES - 1)
    assert verdict(PAYMENT, policy, armed(4 * LEAVES)) == (REFUSE, (refusals.ACTIVATION_LIMIT,))


def test_lifetime_total_at_its_edge() -> None:
    policy = rules(most_lifetime_sats=5 * LEAVES)
    assert verdict(PAYMENT, policy, armed(0, 4 * LEAVES)) == (SIGN, ())


def test_attack_patience_activation_after_activation() -> None:
    policy = rules(most_lifetime_sats=5 * LEAVES - 1)
    assert verdict(PAYMENT, policy, armed(0, 4 * LEAVES)) == (REFUSE, (refusals.LIFETIME_LIMIT,))


def test_totals_grow_with_each_transaction_of_a_batch() -> None:
    found = judged(good_batch(3), rules())
    debited = sum(entry.amount_sats for entry in found.ledger.entries)
    assert found.ledger.armed_sats == found.ledger.total_sats == debited > 0
    policy = rules(most_activation_sats=debited - 1, most_lifetime_sats=debited - 1)
    last = judged(good_batch(3), policy).judgements[-1]
    assert [finding.code for finding in last.findings] == [refusals.ACTIVATION_LIMIT, refusals.LIFETIME_LIMIT]


def test_pruning_a_window_does_not_make_a_total_smaller() -> None:
    ledger = Ledger(float("-inf")).debited(0.0, 500, b"\x01" * 32).pruned(60, 1000.0)
    assert (ledger.entries, ledger.armed_sats, ledger.total_sats) == ((), 500, 500)


def test_arming_begins_the_activation_total_anew_and_keeps_the_lifetime_total() -> None:
    own = Ledger(0.0, (), armed_sats=300, total_sats=500)
    for carried in (None, (), (Spent(5, 70, b"\x02" * 32),)):
        ledger = Ledger.armed(1000.0, own, carried, 60)
        assert (ledger.armed_sats, ledger.total_sats) == (0, 500)


def test_attack_a_grant_cannot_make_the_lifetime_total_smaller_or_larger() -> None:
    ledger = Ledger.armed(1000.0, None, (Spent(5, 70, b"\x02" * 32),), 60)
    assert ledger.total_sats == 0


def at(hour: int, minute: int = 0, second: int = 0) -> Standing:
    return standing(utc=MIDNIGHT + hour * 3600 + minute * 60 + second)


@pytest.mark.parametrize(
    ("where", "action"),
    [
        (at(8), SIGN),
        (at(19, 59, 59), SIGN),
        (at(7, 59, 59), REFUSE),
        (at(20), REFUSE),
        (at(0), REFUSE),
    ],
)
def test_hours_at_their_edges(where: Standing, action: str) -> None:
    policy = rules(hours=Hours(8 * 60, 20 * 60))
    assert verdict(paying([1]), policy, where)[0] == action


@pytest.mark.parametrize(
    ("where", "action"),
    [
        (at(22), SIGN),
        (at(23, 59, 59), SIGN),
        (at(0), SIGN),
        (at(5, 59), SIGN),
        (at(6), REFUSE),
        (at(21, 59), REFUSE),
    ],
)
def test_hours_may_cross_midnight(where: Standing, action: str) -> None:
    policy = rules(hours=Hours(22 * 60, 6 * 60))
    assert verdict(paying([1]), policy, where)[0] == action


def test_attack_at_night_when_nobody_looks() -> None:
    judgement = judgement_of(paying([1]), rules(hours=Hours(8 * 60, 20 * 60)), at(3, 7))
    assert judgement.code is refusals.OUT_OF_HOURS
    assert judgement.findings[0].numbers == "03:07 UTC is not within 08:00 to 20:00"


def test_no_hours_is_any_hour() -> None:
    assert verdict(paying([1]), rules(), at(3)) == (SIGN, ())


def heard(height: int | None) -> History:
    history = History()
    if height is not None:
        history.knows_height(height)
    return history


def test_the_first_height_may_be_a_short_reorganisation_behind_an_earlier_activation() -> None:
    where = standing(history=heard(HEIGHT + REORGANISED_BLOCKS))
    assert outcome(good_batch(), rules(), where)[0] == SIGN
    assert outcome(good_batch(), rules(), standing(history=heard(None)))[0] == SIGN


def test_the_first_height_may_be_far_ahead_of_an_earlier_activation() -> None:
    assert outcome(good_batch(), rules(most_height_step=1), standing(history=heard(1)))[0] == SIGN


def test_attack_restart_to_begin_with_an_older_chain() -> None:
    with pytest.raises(Refusal) as caught:
        judged(good_batch(), rules(), standing(history=heard(HEIGHT + REORGANISED_BLOCKS + 1)))
    assert caught.value.code is refusals.HEIGHT_BACK


def test_attack_within_an_activation_the_chain_goes_back_by_one_block() -> None:
    with pytest.raises(Refusal) as caught:
        judged(good_batch(), rules(), standing(height=HEIGHT + 1))
    assert caught.value.code is refusals.HEIGHT_BACK


def test_attack_six_blocks_back_at_each_of_many_restarts() -> None:
    history = heard(1000)
    history.knows_height(994)
    assert history.height == 1000


def test_fee_burnt_by_self_transfers_is_in_windows_and_totals() -> None:
    before = dataclasses.replace(paying([1]), fee_sats=FEE, vsize=VSIZE)
    assert judgement_of(before, rules(most_activation_sats=FEE)).action == SIGN
    assert judgement_of(before, rules(most_activation_sats=FEE - 1)).code is refusals.ACTIVATION_LIMIT
