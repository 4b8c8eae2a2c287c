"""Double entry: nothing from nowhere, nothing twice."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from exchange import Ticking
from undercroft_host.errors import LedgerConflict, LedgerProblem
from undercroft_host.store.engine import Store
from undercroft_host.treasury import ledger

CLOCK = Ticking()
ALICE = ledger.customer("alice")


def test_lines_move_sats_between_accounts(store: Store) -> None:
    with store.begin("test") as session:
        ledger.post(session, "deposit", "d1", {ledger.HOT: 500, ALICE: -500}, CLOCK)
        ledger.post(session, "withdrawal", "w1", {ALICE: 200, ledger.PENDING: -200}, CLOCK)
        assert ledger.customer_balance(session, "alice") == 300
        assert ledger.trial_balance(session) == {ledger.HOT: 500, ALICE: -300, ledger.PENDING: -200}
        assert ledger.balance(session, "nobody") == 0


@pytest.mark.parametrize("lines", [{ledger.HOT: 500}, {ledger.HOT: 500, ALICE: -499}, {}, {ledger.HOT: 0}])
def test_attack_lines_that_make_money_are_refused(store: Store, lines: dict[str, int]) -> None:
    with store.begin("test") as session, pytest.raises(LedgerProblem):
        ledger.post(session, "deposit", "d1", lines, CLOCK)


def test_same_event_is_entered_once(store: Store) -> None:
    with store.begin("test") as session:
        first = ledger.post(session, "deposit", "d1", {ledger.HOT: 500, ALICE: -500, "nothing": 0}, CLOCK)
        again = ledger.post(session, "deposit", "d1", {ALICE: -500, ledger.HOT: 500}, CLOCK)
        assert first.id == again.id
        assert ledger.balance(session, ledger.HOT) == 500


def test_attack_same_event_with_other_lines_is_a_conflict(store: Store) -> None:
    with store.begin("test") as session:
        ledger.post(session, "deposit", "d1", {ledger.HOT: 500, ALICE: -500}, CLOCK)
        with pytest.raises(LedgerConflict):
            ledger.post(session, "deposit", "d1", {ledger.HOT: 600, ALICE: -600}, CLOCK)


def test_attack_line_changed_by_other_hands_breaks_the_balance(store: Store) -> None:
    with store.begin("test") as session:
        ledger.post(session, "deposit", "d1", {ledger.HOT: 500, ALICE: -500}, CLOCK)
    with store.begin("intruder") as session:
        session.execute(text("UPDATE posting SET amount_sats = -5000 WHERE account = :name"), {"name": ALICE})
    with store.read() as session, pytest.raises(LedgerProblem, match="-4500"):
        ledger.trial_balance(session)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.integers(1, 10**15)), max_size=10))
def test_all_accounts_together_are_always_zero(store: Store, moves: list[tuple[str, str, int]]) -> None:
    with pytest.raises(ZeroDivisionError), store.begin("test") as session:
        for number, (source, target, amount_sats) in enumerate(moves):
            if source != target:
                lines = {source: -amount_sats, target: amount_sats}
                ledger.post(session, "move", str(number), lines, CLOCK)
        assert sum(ledger.trial_balance(session).values()) == 0
        raise ZeroDivisionError
