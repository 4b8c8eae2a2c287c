"""Statistics over what was signed: against the median, and how much goes to payees never seen."""

from __future__ import annotations

import pytest

from appliance.keeper.judge_support import cleared, judgement_of, paying, rules, script_of, standing, verdict
from undercroft_appliance.keeper import refusals
from undercroft_appliance.keeper.anomaly import median
from undercroft_appliance.keeper.history import History
from undercroft_appliance.keeper.judge import HOLD, REFUSE, SIGN
from undercroft_appliance.keeper.signed import MOST_AMOUNTS
from undercroft_protocol.messages import Anomaly

USUAL = 10_000
RULE = Anomaly(least_sample=3, median_factor=10, new_payees_ppm=500_000)
POLICY = rules(anomaly=RULE)


def history(*amounts: int) -> History:
    """Payments of these amounts to payee 1, each out of a coin of its own."""
    known = History()
    for number, amount_sats in enumerate(amounts, start=1):
        known.record(paying([1000 + number], cleared(1, amount_sats, f"before-{number}")))
    return known


def test_an_unusual_amount_at_its_edge() -> None:
    where = standing(history=history(USUAL, USUAL, USUAL))
    assert verdict(paying([1], cleared(1, 10 * USUAL)), POLICY, where) == (SIGN, ())


def test_attack_a_payment_like_none_before() -> None:
    where = standing(history=history(USUAL, USUAL, USUAL))
    found = judgement_of(paying([1], cleared(1, 10 * USUAL + 1)), POLICY, where)
    assert (found.action, found.code) == (HOLD, refusals.UNUSUAL_AMOUNT)
    assert found.findings[0].numbers == "100001 > 10 x 10000 sats, the median of 3"


def test_statistics_say_nothing_before_they_know_enough() -> None:
    assert verdict(paying([1], cleared(2, 10**6)), POLICY, standing(history=history(USUAL, USUAL))) == (SIGN, ())
    assert verdict(paying([1], cleared(2, 10**6)), rules(), standing(history=history(USUAL, USUAL, USUAL))) == (
        SIGN,
        (),
    )


def test_what_an_own_seal_remembers_counts_for_the_median() -> None:
    known = History()
    known.knows_amounts((USUAL, USUAL, USUAL))
    assert verdict(paying([1], cleared(1, 10 * USUAL + 1)), POLICY, standing(history=known)) == (
        HOLD,
        (refusals.UNUSUAL_AMOUNT,),
    )


def test_payees_are_new_only_once_enough_was_signed_since_start() -> None:
    known = History()
    known.knows_amounts((USUAL, USUAL, USUAL))
    assert verdict(paying([1], cleared(2, USUAL)), POLICY, standing(history=known)) == (SIGN, ())


def test_the_share_of_new_payees_at_its_edge() -> None:
    where = standing(history=history(USUAL, USUAL, USUAL))
    half = paying([1], cleared(1, USUAL), cleared(2, USUAL))
    assert verdict(half, POLICY, where) == (SIGN, ())


def test_attack_a_host_that_pays_its_own_addresses() -> None:
    where = standing(history=history(USUAL, USUAL, USUAL))
    more = paying([1], cleared(1, USUAL), cleared(2, USUAL + 1))
    assert verdict(more, POLICY, where) == (HOLD, (refusals.NEW_PAYEES,))


def test_a_consolidation_is_no_payment_and_no_anomaly() -> None:
    known = history(USUAL, USUAL, USUAL)
    known.record(paying([7]))
    assert known.amounts == (USUAL, USUAL, USUAL)
    assert verdict(paying([1, 2, 3]), POLICY, standing(history=known)) == (SIGN, ())


def test_attack_bumps_of_one_large_payment_train_the_median() -> None:
    known = history(USUAL, USUAL, USUAL)
    for step in range(20):
        known.record(paying([1], cleared(1, 9_000_000), fee_sats=5000 + step))
    assert known.amounts == (USUAL, USUAL, USUAL, 9_000_000)
    assert known.payments == 4


def test_attack_what_was_refused_or_held_trains_nothing() -> None:
    known = history(USUAL, USUAL, USUAL)
    for number in range(20):
        verdict(paying([number + 1], cleared(1, 9_000_000)), POLICY, standing(history=known))
    assert known.amounts == (USUAL, USUAL, USUAL)


def test_only_the_last_200_payments_count() -> None:
    known = history(*[USUAL] * MOST_AMOUNTS)
    known.record(paying([1], cleared(1, 7)))
    assert len(known.amounts) == MOST_AMOUNTS
    assert known.amounts[-1] == 7
    fresh = History()
    fresh.knows_amounts(range(1, 302))
    assert fresh.amounts == tuple(range(102, 302))


def test_what_was_signed_since_start_is_not_replaced_by_a_seal() -> None:
    known = history(USUAL)
    known.knows_amounts((9, 9, 9))
    assert known.amounts == (USUAL,)


@pytest.mark.parametrize(("amounts", "middle"), [((5,), 5), ((9, 1, 5), 5), ((1, 9), 1), ((4, 1, 3, 2), 2)])
def test_the_median_is_the_lower_of_two_in_the_middle(amounts: tuple[int, ...], middle: int) -> None:
    assert median(amounts) == middle


def test_attack_statistics_never_loosen_what_another_rule_refuses() -> None:
    where = standing(history=history(USUAL, USUAL, USUAL))
    strict = rules(anomaly=RULE, allowlist=(script_of(1),))
    action, codes = verdict(paying([1], cleared(2, 10**6)), strict, where)
    assert action == REFUSE
    assert codes == (refusals.UNLISTED_PAYEE, refusals.UNUSUAL_AMOUNT, refusals.NEW_PAYEES)
