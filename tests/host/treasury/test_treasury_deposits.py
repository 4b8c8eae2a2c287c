"""Deposits are credited once, and taken back when the chain takes them back."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text

from exchange import Exchange, Ticking, endow
from undercroft_demo.node import PAYER
from undercroft_host.errors import IntegrityAlarm
from undercroft_host.store import audit
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import Deposit, Journal
from undercroft_host.treasury import ledger
from undercroft_host.treasury.deposits import credit_deposits, reverse_gone
from undercroft_host.treasury.reconcile import reconcile
from undercroft_protocol.messages import Quorum

CLOCK = Ticking()


@pytest.mark.parametrize("state", ["seen", "delayed", "gone", "credited"])
def test_only_what_risk_has_confirmed_is_credited(store: Store, quorum: Quorum, state: str) -> None:
    endow(store, quorum, "alice", 1_000)
    with store.begin("test") as session:
        session.execute(text("UPDATE deposit SET state = :to, credited = NULL"), {"to": state})
        assert credit_deposits(session, clock=CLOCK) == []


def test_crediting_twice_credits_once(store: Store, quorum: Quorum) -> None:
    endow(store, quorum, "alice", 1_000, 2_000)
    with store.begin("test") as session:
        assert credit_deposits(session, clock=CLOCK) == []
        assert ledger.customer_balance(session, "alice") == 3_000
        audit.verify(session)


@pytest.mark.parametrize("change", ["UPDATE deposit SET amount_sats = 9000", "DELETE FROM coin"])
def test_attack_deposit_that_is_not_on_the_chain_is_an_alarm(store: Store, quorum: Quorum, change: str) -> None:
    endow(store, quorum, "alice", 1_000)
    with store.begin("intruder") as session:
        session.execute(text("UPDATE deposit SET state = 'confirmed', credited = NULL"))
        session.execute(text(change))
    with pytest.raises(IntegrityAlarm), store.begin("treasury") as session:
        credit_deposits(session, clock=CLOCK)


def test_deposit_that_lost_its_block_waits(store: Store, quorum: Quorum) -> None:
    endow(store, quorum, "alice", 1_000)
    with store.begin("test") as session:
        session.execute(text("UPDATE deposit SET state = 'confirmed', credited = NULL"))
        session.execute(text("UPDATE chain_transaction SET height = NULL"))
        assert credit_deposits(session, clock=CLOCK) == []


def test_deposit_that_comes_and_goes_is_in_the_books_each_time(store: Store, quorum: Quorum) -> None:
    endow(store, quorum, "alice", 1_000)
    with store.begin("test") as session:
        for _ in range(2):
            session.scalars(select(Deposit)).one().state = "gone"
            assert len(reverse_gone(session, clock=CLOCK)) == 1
            assert reverse_gone(session, clock=CLOCK) == []
            assert ledger.customer_balance(session, "alice") == 0
            session.scalars(select(Deposit)).one().state = "confirmed"
            assert len(credit_deposits(session, clock=CLOCK)) == 1
            assert ledger.customer_balance(session, "alice") == 1_000
        subjects = session.scalars(select(Journal.subject).where(Journal.kind == "deposit")).all()
        assert [subject[66:] for subject in subjects] == ["", "#2", "#3"]


def test_attack_credited_deposit_that_is_double_spent_leaves_the_books(exchange: Exchange) -> None:
    node = exchange.node
    exchange.fund("alice", 500_000)
    old = node.pay(exchange.address("alice"), 50_000)
    block = node.mine(1)[0]
    exchange.sync()
    exchange.credit()
    node.rpc("invalidateblock", block)
    exchange.sync()
    with exchange.store.read() as session:
        assert reconcile(session, node.client, wallet=exchange.wallet).unconfirmed_sats == 50_000
    node.rpc("bumpfee", old, wallet=PAYER)
    node.mine(1)
    assert exchange.sync().deposits_gone == 1
    exchange.credit()
    with exchange.store.read() as session:
        # The replacement is a deposit of its own, seen and credited; the old one was taken back.
        assert ledger.customer_balance(session, "alice") == 550_000
        found = reconcile(session, node.client, wallet=exchange.wallet, scan=True)
        assert found.chain_sats == found.books_sats == 550_000
