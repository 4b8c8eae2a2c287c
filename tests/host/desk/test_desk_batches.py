"""A batch says exactly the payments' transactions, each previous one once, and says the same when nothing changed."""

from __future__ import annotations

import pytest

from exchange import Ticking
from message_examples import VAULT
from scripted_appliance import POLICY, QUORUM, batch_of, cleared_payment, rebuilt, stated
from undercroft_host.desk.batches import newest_batch, payments_of
from undercroft_host.errors import Conflict, IntegrityAlarm, NotFound, PaymentState, PaymentTampered, PaymentUnknown
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import Block, ClearanceRecord, Coin, Payment, PaymentInput, PaymentOutput
from undercroft_protocol.bitcoin.transaction import Transaction
from undercroft_protocol.messages import Clearance


def test_the_batch_alone_says_the_payments_transaction(store: Store, clock: Ticking, payment: int) -> None:
    batch = batch_of(store, clock, payment)
    transaction, _ = rebuilt(batch, batch.transactions[0])
    with store.read() as session:
        stored = session.get_one(Payment, payment)
        assert transaction.serialize() == stored.unsigned
        assert transaction.txid == stored.txid
    assert batch.policy_hash == POLICY.hash
    assert batch.height == 100


def test_previous_transactions_are_there_once_without_witness_in_the_order_of_their_txids(
    store: Store, clock: Ticking
) -> None:
    first = cleared_payment(store, clock, prefix="a")
    second = cleared_payment(store, clock, prefix="b")
    batch = batch_of(store, clock, second, first)
    txids = [Transaction.parse(raw, allow_witness=False).txid for raw in batch.previous]
    assert txids == sorted(set(txids))
    assert {coin.previous for one in batch.transactions for coin in one.inputs} == set(range(len(txids)))
    with store.read() as session:
        assert [one.id for one in payments_of(session, batch.batch_id)] == [second, first]


def test_the_same_payments_make_the_same_batch_until_something_changes(
    store: Store, clock: Ticking, payment: int
) -> None:
    first = batch_of(store, clock, payment)
    assert batch_of(store, clock, payment) == first
    with store.begin("test") as session:
        session.add(Block(height=101, hash=b"\x01" * 32, time=clock()))
    with store.read() as session:
        assert newest_batch(session, payment) == first
    clock.now += 1
    second = batch_of(store, clock, payment)
    assert (second.height, second.transactions) == (101, first.transactions)
    assert second.batch_id != first.batch_id
    with store.read() as session:
        assert newest_batch(session, payment) == second


def test_a_payment_that_was_never_sent_has_no_batch(store: Store, clock: Ticking, payment: int) -> None:
    with store.read() as session, pytest.raises(NotFound):
        newest_batch(session, payment)


def test_an_unknown_payment_is_not_found(store: Store, clock: Ticking) -> None:
    with pytest.raises(PaymentUnknown):
        batch_of(store, clock, 7)


def test_one_payment_twice_in_a_batch_is_a_conflict(store: Store, clock: Ticking, payment: int) -> None:
    with pytest.raises(Conflict, match="twice"):
        batch_of(store, clock, payment, payment)


@pytest.mark.parametrize("state", ["signed", "broadcast", "settled", "cancelled"])
def test_a_payment_that_is_not_to_be_signed_makes_no_batch(
    store: Store, clock: Ticking, payment: int, state: str
) -> None:
    with store.begin("test") as session:
        session.get_one(Payment, payment).state = state
    with pytest.raises(PaymentState, match=state):
        batch_of(store, clock, payment)


def test_a_clearance_that_has_run_out_asks_for_risk_first(store: Store, clock: Ticking, payment: int) -> None:
    clock.now += 86_400
    with pytest.raises(Conflict, match="has run out") as raised:
        batch_of(store, clock, payment)
    assert "risk run" in raised.value.hint


def test_a_withdrawal_without_clearance_is_not_sent(store: Store, clock: Ticking, payment: int) -> None:
    with store.begin("test") as session:
        session.delete(session.get_one(ClearanceRecord, "w0"))
    with pytest.raises(NotFound, match="clearance of withdrawal w0"):
        batch_of(store, clock, payment)


def test_attack_a_clearance_for_another_amount_is_noticed(store: Store, clock: Ticking, payment: int) -> None:
    with store.begin("test") as session:
        session.get_one(ClearanceRecord, "w0").raw = session.get_one(ClearanceRecord, "w1").raw
    with pytest.raises(IntegrityAlarm, match="another script or amount"):
        batch_of(store, clock, payment)


def test_attack_a_clearance_by_the_vault_itself_is_noticed(store: Store, clock: Ticking, payment: int) -> None:
    with store.begin("test") as session:
        output = session.query(PaymentOutput).filter_by(withdrawal="w0").one()
        forged = Clearance(QUORUM.id, "w0", output.script, output.amount_sats, clock() + 600, bytes(32))
        session.get_one(ClearanceRecord, "w0").raw = stated(forged, VAULT)
    with pytest.raises(IntegrityAlarm, match="may not sign"):
        batch_of(store, clock, payment)


def test_attack_a_payee_changed_in_the_database_is_noticed(store: Store, clock: Ticking, payment: int) -> None:
    with store.begin("test") as session:
        session.query(PaymentOutput).filter_by(withdrawal="w0").one().script = b"\x00\x14" + bytes(20)
    with pytest.raises(PaymentTampered):
        batch_of(store, clock, payment)


def test_attack_two_payments_over_one_coin_are_noticed(store: Store, clock: Ticking, payment: int) -> None:
    with store.begin("test") as session:
        for coin in session.query(Coin):
            coin.payment = None
    second = cleared_payment(store, clock, prefix="x", coins=4)
    with store.read() as session:
        spent = {(one.txid, one.vout) for one in session.query(PaymentInput).filter_by(payment=payment)}
        again = {(one.txid, one.vout) for one in session.query(PaymentInput).filter_by(payment=second)}
    assert spent & again
    with pytest.raises(IntegrityAlarm, match="same coin"):
        batch_of(store, clock, payment, second)
