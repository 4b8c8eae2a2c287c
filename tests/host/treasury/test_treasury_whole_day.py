"""From deposit to settlement on a real node: the books and the chain agree to the satoshi at every step."""

from __future__ import annotations

from exchange import Exchange
from undercroft_host.gateway.broadcast import broadcast
from undercroft_host.store import audit
from undercroft_host.treasury import ledger
from undercroft_host.treasury.reconcile import Reconciliation, reconcile
from undercroft_host.treasury.settlement import settle_payments


def reconciled(exchange: Exchange) -> Reconciliation:
    """Reconciled both ways: with the wallet's word, and with the whole set of unspent outputs."""
    with exchange.store.read() as session:
        scanned = reconcile(session, exchange.node.client, wallet=exchange.wallet, scan=True)
        listed = reconcile(session, exchange.node.client, wallet=exchange.wallet)
    assert scanned.books_sats == listed.books_sats
    return listed


def test_books_and_chain_agree_at_every_step_of_a_payment(exchange: Exchange) -> None:
    node, store = exchange.node, exchange.store
    node.pay(exchange.address("alice"), 1_000_000)
    exchange.sync()
    node.mine(1)
    exchange.sync()
    assert reconciled(exchange).uncredited_sats == 1_000_000
    assert exchange.credit() == 1
    exchange.fund("bob", 500_000)
    assert reconciled(exchange).books_sats == 1_500_000

    exchange.request("w1", 300_000)
    exchange.request("w2", 200_000, account="bob", address=node.payer_address())
    exchange.clear("w1", "w2")
    payment = exchange.build()
    exchange.sign(payment)
    txid = broadcast(store, node.client, payment, clock=exchange.clock)
    assert exchange.sync().alarms == ()
    assert reconciled(exchange).in_flight_sats == 1_000_000
    assert exchange.withdrawal_state("w1") == "paying"

    node.mine(1)
    exchange.sync()
    fee_sats = exchange.payment(payment).fee_sats
    assert reconciled(exchange).unsettled_sats == 500_000 + fee_sats
    with store.begin("treasury") as session:
        assert settle_payments(session, settle_confirmations=2, clock=exchange.clock) == []
    node.mine(1)
    exchange.sync()
    with store.begin("treasury") as session:
        settled = settle_payments(session, settle_confirmations=2, clock=exchange.clock)
        assert [one.txid[::-1].hex() for one in settled] == [txid]
        assert ledger.balance(session, ledger.PENDING) == 0
        assert ledger.customer_balance(session, "alice") == 700_000
    final = reconciled(exchange)
    assert final.chain_sats == final.books_sats == 1_000_000 - fee_sats
    assert final.customers_sats == 1_000_000
    assert exchange.withdrawal_state("w2") == "settled"
    with store.read() as session:
        assert audit.verify(session) > 10
