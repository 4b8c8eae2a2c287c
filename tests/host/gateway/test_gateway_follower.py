"""Following a real node's chain: deposits seen, replaced, reorganised away and back, and coins that others spend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from exchange import NOW, OUTSIDER, Exchange, account_key, open_store, register
from undercroft_demo.node import PAYER, Node
from undercroft_host.errors import ChainForeign, NodeUnreachable, WrongChain
from undercroft_host.gateway.follower import confirmations, sync
from undercroft_host.gateway.rpc import NodeRpc
from undercroft_host.store import audit
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import AuditRecord, Base, ChainTransaction, Coin, Deposit, Payment
from undercroft_host.vault.coins import spendable_coins
from undercroft_protocol.bitcoin.address import parse_address
from undercroft_protocol.bitcoin.finalize import finalize_multisig
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.sighash import SegwitV0Sighash
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput, txid_from_hex


def deposits(exchange: Exchange) -> dict[str, str]:
    """State of every deposit by txid."""
    with exchange.store.read() as session:
        return {one.txid[::-1].hex(): one.state for one in session.scalars(select(Deposit))}


def everything(store: Store) -> list[Any]:
    """Every row of every table."""
    with store.read() as session:
        return [session.execute(table.select()).all() for table in Base.metadata.sorted_tables]


def only_coin(exchange: Exchange) -> tuple[Coin, int]:
    """The one coin there is, and its confirmations."""
    with exchange.store.read() as session:
        coin = session.scalars(select(Coin)).one()
        return coin, confirmations(session, coin)


def steal(exchange: Exchange, index: int = 0) -> Transaction:
    """A transaction, signed by two keys in other hands, that sends the coin of an address to an outsider."""
    coin, _ = only_coin(exchange)
    descriptor = exchange.quorum.descriptor()
    paid = TxOutput(coin.amount_sats - 2000, parse_address(OUTSIDER, Network.REGTEST))
    unsigned = Transaction(2, (TxInput(Outpoint(coin.txid, coin.vout), 0xFFFFFFFD),), (paid,), 0)
    script = descriptor.witness_script(0, index)
    digest = SegwitV0Sighash(unsigned).digest(0, script, coin.amount_sats)
    signatures = {}
    for owner in ("ada", "cleo"):
        key = account_key(owner, exchange.salt)[1].derive([0, index]).key
        signatures[key.get_public_key().sec()] = key.sign(digest, grind=True).serialize() + b"\x01"
    return finalize_multisig(unsigned, [script], [signatures])


def empty_block(node: Node) -> None:
    node.rpc("generateblock", node.payer_address(), [])


# --- deposits ----------------------------------------------------------------------------------------------------


def test_unconfirmed_deposit_is_seen_and_then_confirmed(exchange: Exchange) -> None:
    txid = exchange.node.pay(exchange.address("alice"), 123_456)
    report = exchange.sync()
    assert (report.deposits_seen, report.new_blocks) == (1, 0)
    assert deposits(exchange) == {txid: "seen"}
    coin, depth = only_coin(exchange)
    assert (coin.amount_sats, depth) == (123_456, 0)
    exchange.node.mine(3)
    assert exchange.sync().new_blocks == 3
    assert only_coin(exchange)[1] == 3


def test_following_twice_changes_nothing(exchange: Exchange) -> None:
    exchange.node.pay(exchange.address("alice"), 1_000)
    exchange.sync()
    exchange.node.mine(1)
    exchange.node.pay(exchange.address("bob"), 2_000)
    exchange.sync()
    before = everything(exchange.store)
    report = exchange.sync()
    assert (report.new_blocks, report.transactions, report.deposits_seen) == (0, 0, 0)
    assert everything(exchange.store) == before


def test_deposit_never_seen_unconfirmed_is_found_in_its_block(exchange: Exchange) -> None:
    txid = exchange.node.pay(exchange.address("alice"), 1_000)
    exchange.node.mine(2)
    exchange.sync()
    assert deposits(exchange) == {txid: "seen"}
    assert only_coin(exchange)[1] == 2


def test_two_deposits_to_one_address_and_one_of_two_outputs_are_three(exchange: Exchange) -> None:
    first, second = exchange.address("alice"), exchange.address("bob")
    exchange.node.pay(first, 1_000)
    exchange.node.pay_many({first: 2_000, second: 3_000})
    exchange.node.mine(1)
    assert exchange.sync().deposits_seen == 3


def test_chain_before_the_first_look_is_searched_when_addresses_were_given_out(
    tmp_path: Path, exchange: Exchange
) -> None:
    txid = exchange.node.pay(exchange.address("alice"), 1_000)
    exchange.node.mine(1)
    late = tmp_path / "late"
    late.mkdir()
    again = Exchange(open_store(late), exchange.node, exchange.quorum, exchange.salt)
    register(again.store, again.quorum)
    again.address("alice")
    again.sync()
    assert deposits(again) == {txid: "seen"}
    again.store.close()


def test_mined_coin_of_ours_is_not_spendable_before_it_matures(exchange: Exchange) -> None:
    exchange.node.mine(1, exchange.address("alice"))
    exchange.sync()
    exchange.credit()
    height = exchange.node.rpc("getblockcount")
    with exchange.store.read() as session:
        assert spendable_coins(session, exchange.quorum.id, height=height) == []
        assert spendable_coins(session, exchange.quorum.id, height=height + 98) == []
        assert len(spendable_coins(session, exchange.quorum.id, height=height + 99)) == 1


# --- replacements and reorganisations ----------------------------------------------------------------------------


def test_replaced_deposit_is_gone_and_the_new_one_is_seen(exchange: Exchange) -> None:
    old = exchange.node.pay(exchange.address("alice"), 50_000)
    exchange.sync()
    new = exchange.node.rpc("bumpfee", old, wallet=PAYER)["txid"]
    report = exchange.sync()
    assert (report.deposits_seen, report.deposits_gone) == (1, 1)
    assert deposits(exchange) == {old: "gone", new: "seen"}
    exchange.node.mine(1)
    exchange.sync()
    assert deposits(exchange) == {old: "gone", new: "seen"}


def test_attack_deposit_replaced_by_a_payment_to_somebody_else_is_gone(exchange: Exchange) -> None:
    node = exchange.node
    old = node.pay(exchange.address("alice"), 50_000)
    exchange.sync()
    spent = node.rpc("decoderawtransaction", node.rpc("getrawtransaction", old))["vin"]
    inputs = [{"txid": one["txid"], "vout": one["vout"]} for one in spent]
    raw = node.rpc("createrawtransaction", inputs, {OUTSIDER: "1.0"})
    funded = node.rpc("fundrawtransaction", raw, {"fee_rate": 50}, wallet=PAYER)["hex"]
    signed = node.rpc("signrawtransactionwithwallet", funded, wallet=PAYER)["hex"]
    node.rpc("sendrawtransaction", signed)
    node.mine(1)
    assert exchange.sync().deposits_gone == 1
    assert deposits(exchange) == {old: "gone"}
    assert exchange.credit() == 0


def test_reorganised_deposit_loses_its_block_and_comes_back(exchange: Exchange) -> None:
    node = exchange.node
    txid = node.pay(exchange.address("alice"), 50_000)
    block = node.mine(1)[0]
    exchange.sync()
    exchange.confirm_deposits()
    node.rpc("invalidateblock", block)
    empty_block(node)
    empty_block(node)
    report = exchange.sync()
    assert (report.reorganised_blocks, report.new_blocks) == (1, 2)
    assert deposits(exchange) == {txid: "seen"}
    assert only_coin(exchange)[1] == 0
    node.mine(1)
    exchange.sync()
    assert only_coin(exchange)[1] == 1


def test_chain_that_became_shorter_is_followed_back(exchange: Exchange) -> None:
    node = exchange.node
    node.pay(exchange.address("alice"), 50_000)
    block = node.mine(3)[0]
    exchange.sync()
    node.rpc("invalidateblock", block)
    report = exchange.sync()
    assert report.height == node.rpc("getblockcount")
    assert only_coin(exchange)[1] == 0
    node.rpc("reconsiderblock", block)
    exchange.sync()
    assert only_coin(exchange)[1] == 3


def test_attack_deposit_double_spent_by_a_reorganisation_is_gone(exchange: Exchange) -> None:
    node = exchange.node
    old = node.pay(exchange.address("alice"), 50_000)
    block = node.mine(1)[0]
    exchange.sync()
    exchange.credit()
    assert deposits(exchange) == {old: "credited"}
    node.rpc("invalidateblock", block)
    node.settle()
    new = node.rpc("bumpfee", old, wallet=PAYER)["txid"]
    node.mine(2)
    report = exchange.sync()
    assert deposits(exchange) == {old: "gone", new: "seen"}
    assert any("was credited and is gone" in alarm for alarm in report.alarms)


def test_replaced_deposit_that_wins_after_a_reorganisation_is_seen_again(exchange: Exchange) -> None:
    node = exchange.node
    old = node.pay(exchange.address("alice"), 50_000)
    raw_old = node.rpc("getrawtransaction", old)
    exchange.sync()
    new = node.rpc("bumpfee", old, wallet=PAYER)["txid"]
    block = node.mine(1)[0]
    exchange.sync()
    assert deposits(exchange) == {old: "gone", new: "seen"}
    node.rpc("invalidateblock", block)
    node.rpc("generateblock", node.payer_address(), [raw_old])
    empty_block(node)
    exchange.sync()
    assert deposits(exchange) == {old: "seen", new: "gone"}


def test_mined_deposit_whose_block_left_the_chain_is_gone(exchange: Exchange) -> None:
    node = exchange.node
    block = node.mine(1, exchange.address("alice"))[0]
    exchange.sync()
    node.rpc("invalidateblock", block)
    node.mine(2)
    assert exchange.sync().deposits_gone == 1


# --- spends, change, other nodes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mined", [False, True])
def test_attack_spend_that_is_not_ours_raises_an_alarm_once(exchange: Exchange, mined: bool) -> None:
    exchange.fund("alice", 80_000)
    theft = steal(exchange)
    exchange.node.rpc("sendrawtransaction", theft.serialize().hex())
    if mined:
        exchange.node.mine(1)
    report = exchange.sync()
    assert len(report.alarms) == 1
    assert theft.txid_hex in report.alarms[0]
    coin, _ = only_coin(exchange)
    assert coin.spent_by == theft.txid
    assert coin.frozen == "spent by a transaction that is not ours"
    exchange.node.mine(1)
    assert exchange.sync().alarms == ()
    with exchange.store.read() as session:
        assert session.query(AuditRecord).where(AuditRecord.subject == "foreign-spend").count() == 1
        audit.verify(session)


def test_spend_that_lost_its_block_is_still_the_spender_and_stays_an_alarm(exchange: Exchange) -> None:
    node = exchange.node
    exchange.fund("alice", 80_000)
    theft = steal(exchange)
    node.rpc("sendrawtransaction", theft.serialize().hex())
    block = node.mine(1)[0]
    exchange.sync()
    node.rpc("invalidateblock", block)
    empty_block(node)
    assert exchange.sync().alarms == ()
    coin, _ = only_coin(exchange)
    assert coin.spent_by == theft.txid
    assert coin.frozen is not None


def test_attack_payment_that_somebody_else_finished_is_an_alarm_once(exchange: Exchange) -> None:
    exchange.fund("alice", 80_000)
    exchange.request("w1", 20_000)
    exchange.clear("w1")
    number = exchange.build()
    exchange.sign(number)
    raw = exchange.payment(number).signed
    assert raw is not None
    with exchange.store.begin("test") as session:
        payment = session.get_one(Payment, number)
        payment.signed, payment.state = None, "signing"
    exchange.node.rpc("sendrawtransaction", raw.hex())
    assert exchange.sync().alarms == (f"payment {number} is on the network, and not finished here",)
    exchange.node.mine(1)
    assert exchange.sync().alarms == ()


def test_attack_dust_sent_to_a_change_address_is_frozen_and_credited_to_nobody(exchange: Exchange) -> None:
    exchange.fund("alice", 80_000)
    exchange.request("w1", 20_000)
    exchange.clear("w1")
    exchange.build()
    exchange.node.pay(exchange.quorum.descriptor().address(1, 0), 700)
    exchange.node.mine(1)
    exchange.sync()
    assert len(deposits(exchange)) == 1
    with exchange.store.read() as session:
        coin = session.scalars(select(Coin).where(Coin.amount_sats == 700)).one()
    assert coin.frozen == "paid to a change address by a transaction that is not ours"


def test_stored_transaction_is_whole_and_without_witness(exchange: Exchange) -> None:
    txid = exchange.node.pay(exchange.address("alice"), 1_000)
    exchange.sync()
    with exchange.store.read() as session:
        row = session.scalars(select(ChainTransaction)).one()
    assert Transaction.parse(row.raw, allow_witness=False).txid == txid_from_hex(txid)
    assert row.first_seen == NOW


def test_two_followers_at_once_credit_a_deposit_once(exchange: Exchange) -> None:
    exchange.node.pay(exchange.address("alice"), 1_000)
    exchange.node.mine(1)
    second = Store.open(str(exchange.store.url))
    exchange.sync()
    sync(second, exchange.node.client, Network.REGTEST, clock=exchange.clock, wallet=exchange.wallet)
    second.close()
    assert exchange.credit() == 1
    assert exchange.credit() == 0


def test_node_with_a_foreign_chain_is_an_alarm(exchange: Exchange, tmp_path: Path) -> None:
    with Node.started(tmp_path / "other node") as other, pytest.raises(ChainForeign):
        sync(exchange.store, other.client, Network.REGTEST, clock=exchange.clock)


def test_wrong_chain_and_a_node_that_is_down_write_nothing(exchange: Exchange) -> None:
    before = everything(exchange.store)
    with pytest.raises(WrongChain):
        sync(exchange.store, exchange.node.client, Network.SIGNET, clock=exchange.clock)
    down = NodeRpc("http://127.0.0.1:1", exchange.node.cookie_path)
    with pytest.raises(NodeUnreachable):
        sync(exchange.store, down, Network.REGTEST, clock=exchange.clock)
    assert everything(exchange.store) == before
