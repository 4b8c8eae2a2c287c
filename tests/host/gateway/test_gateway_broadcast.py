"""A payment goes out once, whatever dies and whatever answer is lost."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from exchange import Exchange
from undercroft_demo.node import PAYER
from undercroft_host.errors import (
    BroadcastRefused,
    NodeAnswerStrange,
    NodeUnreachable,
    PaymentState,
    PaymentTampered,
    PaymentUnknown,
)
from undercroft_host.gateway.broadcast import broadcast, finish_intents
from undercroft_host.gateway.rpc import NodeRpc
from undercroft_host.store import intents
from undercroft_host.store.tables import Intent, Payment
from undercroft_host.vault.payment_records import PaymentRecords, load_payment


@pytest.fixture
def ready(exchange: Exchange) -> tuple[Exchange, int]:
    """A signed payment that was not sent."""
    exchange.fund("alice", 200_000)
    exchange.request("w1", 50_000)
    exchange.clear("w1")
    payment = exchange.build()
    exchange.sign(payment)
    return exchange, payment


class Interrupted(NodeRpc):
    """A node to which the connection breaks before or after a call was carried out."""

    def call(self, method: str, *params: Any, **options: Any) -> Any:
        if method != "sendrawtransaction":
            return super().call(method, *params, **options)
        if self.timeout_seconds > 1:
            super().call(method, *params, **options)
        raise NodeUnreachable("the line broke")


class Lying(NodeRpc):
    """A node that names another transaction than the one it was sent."""

    def call(self, method: str, *params: Any, **options: Any) -> Any:
        return "00" * 32 if method == "sendrawtransaction" else super().call(method, *params, **options)


def raw_of(exchange: Exchange, payment: int) -> str:
    signed = exchange.payment(payment).signed
    assert signed is not None
    return signed.hex()


def load(exchange: Exchange, payment: int) -> PaymentRecords:
    with exchange.store.read() as session:
        return load_payment(session, payment)


def outcomes(exchange: Exchange) -> list[str | None]:
    with exchange.store.read() as session:
        return list(session.scalars(select(Intent.outcome).order_by(Intent.id)))


def test_payment_is_sent_and_its_withdrawals_are_being_paid(ready: tuple[Exchange, int]) -> None:
    exchange, payment = ready
    txid = broadcast(exchange.store, exchange.node.client, payment, clock=exchange.clock)
    assert exchange.node.rpc("getmempoolentry", txid)["vsize"] > 0
    assert exchange.payment(payment).state == "broadcast"
    assert exchange.withdrawal_state("w1") == "paying"
    assert outcomes(exchange) == ["broadcast"]


def test_fee_is_what_the_feerate_asks_for(ready: tuple[Exchange, int]) -> None:
    exchange, payment = ready
    txid = broadcast(exchange.store, exchange.node.client, payment, clock=exchange.clock)
    vsize = exchange.node.rpc("getmempoolentry", txid)["vsize"]
    fee_sats = exchange.payment(payment).fee_sats
    assert vsize * 2 <= fee_sats <= (vsize + 3) * 2


@pytest.mark.parametrize("seconds", [30.0, 0.5], ids=["answer lost", "request lost"])
def test_lost_answer_or_request_is_finished_after_a_restart(ready: tuple[Exchange, int], seconds: float) -> None:
    exchange, payment = ready
    node = exchange.node
    broken = Interrupted(node.rpc_url, node.cookie_path, timeout_seconds=seconds)
    with pytest.raises(NodeUnreachable):
        broadcast(exchange.store, broken, payment, clock=exchange.clock)
    assert exchange.payment(payment).state == "signed"
    assert outcomes(exchange) == [None]
    assert finish_intents(exchange.store, node.client, exchange.clock) == [payment]
    assert exchange.payment(payment).state == "broadcast"
    assert outcomes(exchange) == ["broadcast"]
    assert len(node.rpc("getrawmempool")) == 1
    assert finish_intents(exchange.store, node.client, exchange.clock) == []


def test_a_payment_that_made_room_for_another_is_not_sent_and_stops_no_other(ready: tuple[Exchange, int]) -> None:
    exchange, payment = ready
    with exchange.store.begin("test") as session:
        intents.start(session, kind="broadcast", subject=str(payment), clock=exchange.clock)
        session.get_one(Payment, payment).state = "cancelled"
    assert finish_intents(exchange.store, exchange.node.client, exchange.clock) == []
    assert outcomes(exchange) == ["cancelled"]
    assert exchange.node.rpc("getrawmempool") == []


def test_crash_between_signing_and_broadcast_sends_the_stored_bytes(ready: tuple[Exchange, int]) -> None:
    exchange, payment = ready
    raw = raw_of(exchange, payment)
    exchange.store.close()
    txid = broadcast(exchange.store, exchange.node.client, payment, clock=exchange.clock)
    assert exchange.node.rpc("getrawtransaction", txid) == raw


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_network_that_has_it_already_is_a_success(ready: tuple[Exchange, int], blocks: int) -> None:
    exchange, payment = ready
    exchange.node.rpc("sendrawtransaction", raw_of(exchange, payment))
    if blocks:
        exchange.node.mine(blocks)
    broadcast(exchange.store, exchange.node.client, payment, clock=exchange.clock)
    assert exchange.payment(payment).state == "broadcast"


def test_already_known_answered_between_look_and_act_is_a_success(ready: tuple[Exchange, int]) -> None:
    exchange, payment = ready
    node = exchange.node

    class Late(NodeRpc):
        def call(self, method: str, *params: Any, **options: Any) -> Any:
            if method == "sendrawtransaction":
                super().call(method, *params, **options)
                node.mine(1)
            return super().call(method, *params, **options)

    broadcast(exchange.store, Late(node.rpc_url, node.cookie_path), payment, clock=exchange.clock)
    assert exchange.payment(payment).state == "broadcast"


def test_sending_again_is_harmless_at_every_later_time(ready: tuple[Exchange, int]) -> None:
    exchange, payment = ready
    for _ in range(2):
        broadcast(exchange.store, exchange.node.client, payment, clock=exchange.clock)
    exchange.node.mine(1)
    exchange.sync()
    broadcast(exchange.store, exchange.node.client, payment, clock=exchange.clock)
    assert exchange.payment(payment).state == "broadcast"


def test_refused_payment_stays_signed_with_the_nodes_reason(ready: tuple[Exchange, int]) -> None:
    exchange, payment = ready
    node = exchange.node
    # The deposit that it spends loses its block, and another transaction of the payer's takes its place.
    [deposit] = [one.outpoint.txid[::-1].hex() for one in load(exchange, payment).transaction.inputs]
    node.rpc("invalidateblock", node.rpc("getbestblockhash"))
    node.settle()
    node.rpc("bumpfee", deposit, wallet=PAYER)
    node.mine(1)
    with pytest.raises(BroadcastRefused, match="missing"):
        broadcast(exchange.store, node.client, payment, clock=exchange.clock)
    assert exchange.payment(payment).state == "signed"
    assert "missing" in (exchange.payment(payment).reason or "")
    assert (outcomes(exchange)[0] or "").startswith("refused")
    assert exchange.withdrawal_state("w1") == "assigned"
    assert finish_intents(exchange.store, node.client, exchange.clock) == []


def test_attack_node_that_says_it_sent_something_else_is_an_alarm(ready: tuple[Exchange, int]) -> None:
    exchange, payment = ready
    lying = Lying(exchange.node.rpc_url, exchange.node.cookie_path)
    with pytest.raises(NodeAnswerStrange):
        broadcast(exchange.store, lying, payment, clock=exchange.clock)
    assert exchange.payment(payment).state == "signed"


def test_attack_other_bytes_in_place_of_the_signed_ones_are_not_sent(ready: tuple[Exchange, int]) -> None:
    exchange, payment = ready
    with exchange.store.begin("intruder") as session:
        row = session.get_one(Payment, payment)
        assert row.signed is not None
        row.signed = row.signed[:-4] + b"\x00\x00\x00\x00"
    with pytest.raises(PaymentTampered):
        broadcast(exchange.store, exchange.node.client, payment, clock=exchange.clock)
    assert exchange.node.rpc("getrawmempool") == []


def test_unsigned_and_unknown_payments_are_not_sent(exchange: Exchange) -> None:
    exchange.fund("alice", 200_000)
    exchange.request("w1", 50_000)
    exchange.clear("w1")
    payment = exchange.build()
    with pytest.raises(PaymentState):
        broadcast(exchange.store, exchange.node.client, payment, clock=exchange.clock)
    with pytest.raises(PaymentUnknown):
        broadcast(exchange.store, exchange.node.client, payment + 1, clock=exchange.clock)
    assert outcomes(exchange) == []
