"""The ledger: windows on the appliance's own clock, carried from one activation to the next."""

from __future__ import annotations

import math

import pytest

from undercroft_appliance.keeper import refusals
from undercroft_appliance.keeper.ledger import MOST_ENTRIES, Entry, Ledger, joined
from undercroft_appliance.keeper.refusals import Refusal
from undercroft_protocol.messages import Spent

A, B, C = (bytes([number]) * 32 for number in (1, 2, 3))


def test_attack_an_unknown_ledger_counts_as_spent_for_a_whole_window() -> None:
    ledger = Ledger.armed(50.0, None, None, 60)
    for now in (50.0, 109.9):
        with pytest.raises(Refusal) as caught:
            ledger.spent_sats(60, now)
        assert caught.value.code is refusals.WINDOW_UNKNOWN
    assert ledger.spent_sats(60, 110.0) == 0


def test_a_carried_ledger_is_known_at_once() -> None:
    ledger = Ledger.armed(1000.0, None, (Spent(10, 500, A), Spent(59, 70, B), Spent(60, 9, C)), 60)
    assert ledger.spent_sats(60, 1000.0) == 570
    assert ledger.spent_sats(60, 1001.0) == 500


def test_attack_what_two_appliances_know_is_neither_lost_nor_counted_twice() -> None:
    own = Ledger(-math.inf, (Entry(990.0, 500, A), Entry(980.0, 40, C)))
    ledger = Ledger.armed(1000.0, own, (Spent(30, 500, A), Spent(5, 3, B)), 3600)
    assert ledger.spent_sats(3600, 1000.0) == 543
    assert [entry.at for entry in ledger.entries if entry.txid == A] == [990.0]


def test_attack_what_the_appliance_remembers_survives_a_lock_and_a_grant_that_knows_nothing() -> None:
    known = Ledger(-math.inf, (Entry(999.0, 500, A),))
    assert Ledger.armed(1000.0, known, None, 3600).spent_sats(3600, 1000.0) == 500
    unknown = Ledger(700.0, (Entry(999.0, 500, A),))
    assert not Ledger.armed(1000.0, unknown, None, 3600).knows(3600, 1000.0)
    assert Ledger.armed(1000.0, unknown, (), 3600).spent_sats(3600, 1000.0) == 500


def test_a_grant_carries_nothing_when_it_does_not_know_or_cannot_hold_it() -> None:
    assert Ledger(1000.0).carried(60, 1059.9) is None
    assert Ledger(1000.0).carried(60, 1060.0) == ()
    many = tuple(Entry(1.0, 1, at.to_bytes(32, "big")) for at in range(MOST_ENTRIES + 1))
    assert Ledger(-math.inf, many).carried(60, 2.0) is None


def test_a_grant_carries_ages_that_never_look_older_than_they_are() -> None:
    ledger = Ledger(-math.inf, (Entry(0.0, 5, A), Entry(40.5, 7, B), Entry(100.0, 9, C)))
    assert ledger.carried(100, 100.0) == (Spent(59, 7, B), Spent(0, 9, C))


def test_pruning_forgets_only_what_no_window_counts() -> None:
    ledger = Ledger(-math.inf, (Entry(0.0, 5, A), Entry(0.1, 7, B)))
    assert ledger.pruned(100, 100.0).entries == (Entry(0.1, 7, B),)


def test_joining_keeps_the_later_time() -> None:
    assert joined([Entry(1.0, 5, A)], [Entry(2.0, 5, A)]) == (Entry(2.0, 5, A),)


def test_attack_a_grant_makes_light_of_what_this_appliance_has_signed_itself() -> None:
    own = Ledger(-math.inf, (Entry(990.0, 500, A),))
    assert Ledger.armed(1000.0, own, (Spent(0, 1, A),), 3600).spent_sats(3600, 1000.0) == 500
    assert joined([Entry(2.0, 5, A)], [Entry(1.0, 9, A)]) == (Entry(2.0, 9, A),)


def test_attack_a_grant_under_short_windows_says_nothing_about_a_long_one() -> None:
    ledger = Ledger.armed(1000.3, None, (), 60)
    assert ledger.spent_sats(60, 1000.3) == 0
    assert not ledger.knows(3600, 1000.3 + 3538)
    assert ledger.knows(3600, 1000.3 + 3541)


def test_attack_what_short_windows_have_forgotten_is_unknown_to_a_long_one_whatever_a_grant_says() -> None:
    pruned = Ledger(-math.inf, (Entry(500.0, 500, A), Entry(100.0, 500, B), Entry(999.0, 7, C))).pruned(60, 1000.0)
    again = Ledger.armed(1000.0, pruned.pruned(60, 1001.0), (), 3600)
    for ledger in (pruned, again):
        assert ledger.spent_sats(60, 1000.0) == 7
        assert not ledger.knows(3600, 4099.9)
        assert ledger.knows(3600, 4100.0)
        assert ledger.carried(3600, 1000.0) is None
    assert not again.pruned(1, 1002.0).is_idle(3600, 4000.0)
