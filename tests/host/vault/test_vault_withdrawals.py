"""A withdrawal is taken once, and only with money behind it."""

from __future__ import annotations

import multiprocessing
from multiprocessing.queues import Queue
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from exchange import OUTSIDER, Ticking, endow, make_quorum
from undercroft_host.errors import (
    AccountUnknown,
    AddressInvalid,
    AmountDust,
    AmountInvalid,
    HostError,
    InsufficientFunds,
    NameInvalid,
    OwnAddress,
    WithdrawalConflict,
    WithdrawalState,
    WithdrawalUnknown,
)
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import ClearanceRecord, Withdrawal
from undercroft_host.treasury import ledger
from undercroft_host.vault.addresses import change_address, open_account
from undercroft_host.vault.withdrawals import cancel_withdrawal, request_withdrawal
from undercroft_protocol.messages import Quorum

OTHER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


@pytest.fixture
def rich(store: Store, quorum: Quorum) -> Store:
    """Alice has 100,000 sats, Bob has nothing."""
    endow(store, quorum, "alice", 60_000, 40_000)
    with store.begin("test") as session:
        open_account(session, "bob", clock=Ticking())
    return store


def ask(session: Session, quorum: Quorum, **changes: Any) -> Withdrawal:
    """A good order with one mutation."""
    order: dict[str, Any] = {"id": "w1", "account": "alice", "address": OUTSIDER, "amount_sats": 10_000}
    return request_withdrawal(session, quorum=quorum, clock=Ticking(), **(order | changes))


def test_order_debits_the_account_at_once(rich: Store, quorum: Quorum) -> None:
    with rich.begin("test") as session:
        withdrawal = ask(session, quorum)
        assert (withdrawal.state, withdrawal.address) == ("requested", OUTSIDER)
        assert ledger.customer_balance(session, "alice") == 90_000
        assert ledger.balance(session, ledger.PENDING) == -10_000


def test_same_order_again_is_the_same_row(rich: Store, quorum: Quorum) -> None:
    with rich.begin("test") as session:
        ask(session, quorum)
    with rich.begin("test") as session:
        ask(session, quorum)
        # An upper-case bech32 address is the same address (BIP 173).
        assert ask(session, quorum, address=OUTSIDER.upper()).address == OUTSIDER
        assert ledger.customer_balance(session, "alice") == 90_000


def test_same_order_again_is_answered_when_the_money_is_gone(rich: Store, quorum: Quorum) -> None:
    with rich.begin("test") as session:
        ask(session, quorum, amount_sats=100_000)
        assert ask(session, quorum, amount_sats=100_000).id == "w1"


@pytest.mark.parametrize("change", [{"amount_sats": 10_001}, {"address": OTHER}, {"account": "bob"}])
def test_attack_same_id_with_other_content_is_a_conflict(rich: Store, quorum: Quorum, change: dict[str, Any]) -> None:
    with rich.begin("test") as session:
        ask(session, quorum)
    with pytest.raises(WithdrawalConflict, match="10000 sats"), rich.begin("test") as session:
        ask(session, quorum, **change)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"id": "two words"}, NameInvalid),
        ({"account": "mallory"}, AccountUnknown),
        ({"address": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}, AddressInvalid),
        ({"amount_sats": 0}, AmountInvalid),
        ({"amount_sats": -1}, AmountInvalid),
        ({"amount_sats": True}, AmountInvalid),
        ({"amount_sats": 21_000_000 * 100_000_000 + 1}, AmountInvalid),
        ({"amount_sats": 293}, AmountDust),
        ({"amount_sats": 100_001}, InsufficientFunds),
        ({"account": "bob", "amount_sats": 1_000}, InsufficientFunds),
    ],
)
def test_bad_order_is_refused_and_nothing_is_written(
    rich: Store, quorum: Quorum, change: dict[str, Any], error: type[HostError]
) -> None:
    with pytest.raises(error), rich.begin("test") as session:
        ask(session, quorum, **change)
    with rich.read() as session:
        assert session.query(Withdrawal).count() == 0
        assert ledger.customer_balance(session, "alice") == 100_000


@pytest.mark.parametrize("branch", [0, 1])
def test_attack_withdrawal_to_our_own_address_is_refused(rich: Store, quorum: Quorum, branch: int) -> None:
    with rich.begin("test") as session:
        change_address(session, quorum, clock=Ticking())
        with pytest.raises(OwnAddress):
            ask(session, quorum, address=quorum.descriptor().address(branch, 0))


def test_cancelled_order_gives_the_money_back_once(rich: Store, quorum: Quorum) -> None:
    with rich.begin("test") as session:
        ask(session, quorum)
        session.add(ClearanceRecord(withdrawal="w1", raw=b"signed", expires=1))
        for _ in range(2):
            assert cancel_withdrawal(session, "w1", clock=Ticking()).state == "cancelled"
        assert session.get(ClearanceRecord, "w1") is None
        assert ledger.customer_balance(session, "alice") == 100_000
        assert ledger.balance(session, ledger.PENDING) == 0
        assert ask(session, quorum).state == "cancelled"


@pytest.mark.parametrize("state", ["assigned", "paying", "settled"])
def test_attack_order_in_a_payment_is_not_given_back(rich: Store, quorum: Quorum, state: str) -> None:
    with rich.begin("test") as session:
        ask(session, quorum).state = state
        with pytest.raises(WithdrawalState, match=state):
            cancel_withdrawal(session, "w1", clock=Ticking())
        assert ledger.customer_balance(session, "alice") == 90_000


def test_unknown_order_is_named(rich: Store) -> None:
    with rich.begin("test") as session, pytest.raises(WithdrawalUnknown, match="nothing"):
        cancel_withdrawal(session, "nothing", clock=Ticking())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(amounts=st.lists(st.integers(min_value=1, max_value=60_000), max_size=8))
def test_no_sequence_of_orders_takes_more_than_there_is(rich: Store, quorum: Quorum, amounts: list[int]) -> None:
    class Done(Exception):  # noqa: N818
        pass

    with pytest.raises(Done), rich.begin("test") as session:
        for position, amount_sats in enumerate(amounts):
            try:
                ask(session, quorum, id=f"w{position}", amount_sats=amount_sats)
            except HostError as error:
                assert isinstance(error, (InsufficientFunds, AmountDust))
        assert ledger.customer_balance(session, "alice") >= 0
        assert sum(ledger.trial_balance(session).values()) == 0
        raise Done


def _ask_from_another_process(url: str, id: str, amount_sats: int, answers: Queue[str]) -> None:
    store = Store.open(url)
    try:
        with store.begin("worker") as session:
            ask(session, make_quorum(), id=id, amount_sats=amount_sats)
    except HostError as error:
        answers.put(error.code)
    else:
        answers.put("ok")


def race(store: Store, orders: list[tuple[str, int]]) -> list[str]:
    """Each order in a process of its own, all at once; their answers."""
    start = multiprocessing.get_context("spawn")
    answers: Queue[str] = start.Queue()
    workers = [
        start.Process(target=_ask_from_another_process, args=(str(store.url), id, amount_sats, answers))
        for id, amount_sats in orders
    ]
    for worker in workers:
        worker.start()
    found = sorted(answers.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join(60)
    return found


def test_attack_two_processes_with_one_id_debit_once(rich: Store) -> None:
    assert race(rich, [("w1", 30_000), ("w1", 30_000)]) == ["ok", "ok"]
    with rich.read() as session:
        assert ledger.customer_balance(session, "alice") == 70_000


def test_attack_two_processes_cannot_spend_one_balance_twice(rich: Store) -> None:
    assert race(rich, [("w1", 70_000), ("w2", 70_000)]) == ["insufficient-funds", "ok"]
    with rich.read() as session:
        assert ledger.customer_balance(session, "alice") == 30_000
