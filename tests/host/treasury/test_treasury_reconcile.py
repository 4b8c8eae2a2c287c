"""Reconciliation: what is explained passes, what is not is an alarm."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text

from exchange import Exchange
from undercroft_host.errors import BooksWrong, ChainBehind, LedgerProblem, UsageProblem
from undercroft_host.gateway.broadcast import broadcast
from undercroft_host.store.tables import Coin
from undercroft_host.treasury import ledger
from undercroft_host.treasury.reconcile import Reconciliation, reconcile
from undercroft_host.treasury.settlement import settle_payments


def check(exchange: Exchange, *, scan: bool = False) -> Reconciliation:
    with exchange.store.read() as session:
        return reconcile(session, exchange.node.client, wallet=exchange.wallet, scan=scan)


def pay(exchange: Exchange, id: str, amount_sats: int) -> int:
    exchange.request(id, amount_sats)
    exchange.clear(id)
    payment = exchange.build()
    exchange.sign(payment)
    broadcast(exchange.store, exchange.node.client, payment, clock=exchange.clock)
    return payment


def settle(exchange: Exchange) -> int:
    with exchange.store.begin("treasury") as session:
        return len(settle_payments(session, settle_confirmations=1, clock=exchange.clock))


def test_exchange_without_a_coin_is_in_order(exchange: Exchange) -> None:
    assert check(exchange, scan=True).chain_sats == 0


def test_chain_that_has_moved_on_must_be_followed_first(exchange: Exchange) -> None:
    exchange.node.mine(1)
    with pytest.raises(ChainBehind):
        check(exchange)


def test_payment_that_lost_its_block_after_settlement_is_explained(exchange: Exchange) -> None:
    exchange.fund("alice", 300_000)
    payment = pay(exchange, "w1", 100_000)
    block = exchange.node.mine(1)[0]
    exchange.sync()
    assert settle(exchange) == 1
    assert settle(exchange) == 0
    exchange.node.rpc("invalidateblock", block)
    exchange.sync()
    assert check(exchange).reopened_sats == 100_000 + exchange.payment(payment).fee_sats
    exchange.node.mine(1)
    exchange.sync()
    assert check(exchange, scan=True).reopened_sats == 0


def test_payment_found_on_the_chain_is_settled_in_whatever_state_the_host_died(exchange: Exchange) -> None:
    exchange.fund("alice", 300_000)
    pay(exchange, "w1", 100_000)
    with exchange.store.begin("test") as session:
        session.execute(text("UPDATE payment SET state = 'signed'"))
    exchange.node.mine(1)
    exchange.sync()
    assert settle(exchange) == 1
    assert exchange.withdrawal_state("w1") == "settled"
    assert check(exchange).pending_sats == 0


def test_change_is_spent_again_once_it_is_confirmed(exchange: Exchange) -> None:
    exchange.fund("alice", 300_000)
    for number in range(3):
        pay(exchange, f"w{number}", 50_000)
        exchange.node.mine(1)
        exchange.sync()
        assert settle(exchange) == 1
    found = check(exchange, scan=True)
    assert found.chain_sats == found.books_sats == 150_000 - found.fees_sats


def test_money_of_unknown_origin_is_named_and_not_booked(exchange: Exchange) -> None:
    exchange.fund("alice", 300_000)
    pay(exchange, "w1", 100_000)
    exchange.node.pay(exchange.quorum.descriptor().address(1, 0), 777)
    exchange.node.mine(1)
    exchange.sync()
    settle(exchange)
    assert check(exchange, scan=True).unclaimed_sats == 777


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("UPDATE coin SET amount_sats = amount_sats + 1", BooksWrong),
        ("UPDATE coin SET spent_by = zeroblob(32)", BooksWrong),
        ("DELETE FROM coin", BooksWrong),
        ("UPDATE chain_transaction SET height = NULL", BooksWrong),
        ("UPDATE posting SET amount_sats = amount_sats * 2", BooksWrong),
        ("DELETE FROM posting", BooksWrong),
        ("DELETE FROM posting WHERE amount_sats < 0", LedgerProblem),
        ("UPDATE withdrawal SET amount_sats = amount_sats - 1", BooksWrong),
        ("UPDATE withdrawal SET state = 'cancelled'", BooksWrong),
    ],
)
def test_attack_changed_books_or_coins_are_an_alarm(exchange: Exchange, change: str, error: type[Exception]) -> None:
    exchange.fund("alice", 300_000)
    exchange.request("w1", 100_000)
    check(exchange)
    with exchange.store.begin("intruder") as session:
        session.execute(text(change))
    with pytest.raises(error):
        check(exchange)


def test_attack_money_that_left_by_another_way_is_an_alarm(exchange: Exchange) -> None:
    exchange.fund("alice", 300_000)
    payment = pay(exchange, "w1", 100_000)
    exchange.node.mine(1)
    # As if the payment were unknown here: what spends our coin is then not ours.
    with exchange.store.begin("test") as session:
        session.execute(text("UPDATE payment SET txid = zeroblob(32)"))
    assert exchange.sync().alarms
    with exchange.store.read() as session:
        assert session.scalars(select(Coin.frozen).where(Coin.frozen.is_not(None))).all()
    assert exchange.payment(payment).txid == bytes(32)
    with pytest.raises(BooksWrong):
        check(exchange)


def test_settling_needs_a_confirmation(exchange: Exchange) -> None:
    with exchange.store.begin("test") as session:
        with pytest.raises(UsageProblem):
            settle_payments(session, settle_confirmations=0, clock=exchange.clock)
        assert ledger.trial_balance(session) == {}
