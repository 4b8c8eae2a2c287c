"""A real node agrees with our Bitcoin values: descriptors, addresses, transactions, PSBTs, dust, signatures."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bitcoin_examples import example_previous, example_psbt, example_quorum, signed_by_bdk, signed_by_embit
from undercroft_appliance.keeper.psbt_door import prove_psbt
from undercroft_appliance.keeper.sign import sign
from undercroft_appliance.keeper.verify import verify
from undercroft_demo.bench_node import SIGNER, Builder, Case
from undercroft_demo.bench_peers import node_signer
from undercroft_demo.bench_quorum import founded
from undercroft_demo.node import Node, NodeMissingError, find_bitcoind
from undercroft_protocol.bitcoin.address import address_of
from undercroft_protocol.bitcoin.amounts import dust_limit_sats
from undercroft_protocol.bitcoin.finalize import estimate_vsize, finalize_multisig
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.psbt import Psbt, PsbtInput, PsbtOutput, key_derivations
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput

QUORUM = example_quorum(1)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A regtest node with a funded payer; skipped where no bitcoind was set up."""
    try:
        find_bitcoind()
    except NodeMissingError as error:
        pytest.skip(str(error))
    directory: Path = tmp_path_factory.mktemp("node")
    with Node.started(directory) as started:
        started.fund_payer()
        yield started


def finalized(psbt: Psbt) -> Transaction:
    """The transaction with the witnesses made from verified signatures."""
    scripts = [known.witness_script for known in psbt.inputs]
    return finalize_multisig(psbt.transaction, scripts, psbt.verified_signatures())


def funded_psbt(node: Node, index: int, amount_sats: int, outputs: tuple[TxOutput, ...]) -> Psbt:
    """Pay a receive address of the quorum on chain, and a PSBT that spends it to the outputs."""
    descriptor = QUORUM.descriptor
    txid = node.pay(descriptor.address(0, index), amount_sats)
    node.mine(1)
    previous = Transaction.parse(bytes.fromhex(node.rpc("gettransaction", txid, wallet="payer")["hex"]))
    assert previous.txid_hex == txid
    vout = [output.script for output in previous.outputs].index(descriptor.script(0, index))
    transaction = Transaction(2, (TxInput(Outpoint(previous.txid, vout), 0xFFFFFFFD),), outputs, 0)
    known = PsbtInput(previous, descriptor.witness_script(0, index), key_derivations(descriptor, 0, index))
    return Psbt(transaction, (known,), tuple(PsbtOutput() for _ in outputs))


@pytest.mark.parametrize(("threshold", "key_count"), [(2, 3), (1, 1), (3, 5), (15, 15)])
def test_node_derives_the_same_addresses(node: Node, threshold: int, key_count: int) -> None:
    descriptor = example_quorum(7, threshold=threshold, key_count=key_count).descriptor
    for branch in (0, 1):
        text = descriptor.text(branch)
        assert node.rpc("getdescriptorinfo", text)["descriptor"] == text
        expected = [descriptor.address(branch, index) for index in range(20)]
        assert node.rpc("deriveaddresses", text, [0, 19]) == expected
    last = 2**31 - 1
    assert node.rpc("deriveaddresses", descriptor.text(0), [last, last]) == [descriptor.address(0, last)]


def test_node_decodes_the_same_transaction(node: Node) -> None:
    for seed in range(5):
        script = QUORUM.descriptor.script(0, seed)
        transaction = example_previous(random.Random(seed), script, 123_456_789 + seed, seed)
        decoded: dict[str, Any] = node.rpc("decoderawtransaction", transaction.serialize().hex())
        assert decoded["txid"] == transaction.txid_hex
        assert decoded["hash"] == transaction.wtxid[::-1].hex()
        assert (decoded["vsize"], decoded["weight"]) == (transaction.vsize, transaction.weight)
        for output, seen in zip(transaction.outputs, decoded["vout"], strict=True):
            assert seen["scriptPubKey"]["hex"] == output.script.hex()
            assert seen["scriptPubKey"]["address"] == address_of(output.script, Network.REGTEST)


def test_node_writes_the_records_of_a_psbt_in_the_same_order(node: Node) -> None:
    unsigned = example_psbt(QUORUM, 11, input_count=3)
    signed = signed_by_embit(unsigned, QUORUM, 2, 0)
    for psbt in (unsigned, signed):
        assert node.rpc("combinepsbt", [psbt.base64()]) == psbt.base64()


def test_node_finalises_two_signatures_into_the_same_bytes(node: Node) -> None:
    signed = signed_by_embit(example_psbt(QUORUM, 12, input_count=3), QUORUM, 1, 2)
    result = node.rpc("finalizepsbt", signed.base64())
    assert result["complete"]
    assert result["hex"] == finalized(signed).serialize().hex()


def test_node_accepts_and_mines_a_payment_signed_by_embit_and_bdk(node: Node) -> None:
    outputs = (
        TxOutput(40_000, b"\x00\x14" + bytes(20)),
        TxOutput(958_000, QUORUM.descriptor.script(1, 0)),
    )
    unsigned = funded_psbt(node, 0, 1_000_000, outputs)
    final = finalized(signed_by_bdk(signed_by_embit(unsigned, QUORUM, 0), QUORUM, 2))
    accepted = node.rpc("testmempoolaccept", [final.serialize().hex()])[0]
    assert accepted["allowed"], accepted
    assert accepted["vsize"] == final.vsize <= estimate_vsize(1, [one.script for one in outputs], 2, 3)
    assert node.rpc("sendrawtransaction", final.serialize().hex()) == final.txid_hex
    node.mine(1)
    mined = node.rpc("gettxout", final.txid_hex, 1)
    assert mined["confirmations"] == 1
    assert mined["scriptPubKey"]["address"] == QUORUM.descriptor.address(1, 0)


def test_the_psbt_door_gives_back_what_the_node_would(node: Node) -> None:
    """A wallet of the node builds; one with our private key signs; the door's answer has the same bytes."""
    with founded() as bench:
        builder = Builder(node, bench)
        builder.prepare(5)
        book = bench.book()
        for case in (Case(1, 2), Case(5, 3)):
            packed = builder.psbt(case)
            door = prove_psbt(packed, book, change_gap=20, change_signed=-1, height=None)
            signed = verify(sign(door.proven, bench.keys), book)
            answer = door.with_signatures(signed.signatures)
            assert answer == node_signer(node, SIGNER, packed).run(None)
            # Signed already, it stays as it is.
            again = prove_psbt(answer, book, change_gap=20, change_signed=-1, height=None)
            assert again.with_signatures(signed.signatures) == answer


def test_attack_witness_with_signatures_in_another_order_is_refused_by_the_node(node: Node) -> None:
    outputs = (TxOutput(98_000, QUORUM.descriptor.script(1, 1)),)
    final = finalized(signed_by_embit(funded_psbt(node, 1, 100_000, outputs), QUORUM, 0, 1))
    dummy, first, second, script = final.inputs[0].witness
    turned = replace(final.inputs[0], witness=(dummy, second, first, script))
    verdict = node.rpc("testmempoolaccept", [replace(final, inputs=(turned,)).serialize().hex()])[0]
    assert not verdict["allowed"]
    assert node.rpc("testmempoolaccept", [final.serialize().hex()])[0]["allowed"]


@pytest.mark.parametrize(
    "script",
    [
        b"\x76\xa9\x14" + bytes(20) + b"\x88\xac",
        b"\xa9\x14" + bytes(20) + b"\x87",
        b"\x00\x14" + bytes(20),
        b"\x00\x20" + bytes(32),
        b"\x51\x20" + bytes(31) + b"\x01",
    ],
    ids=["p2pkh", "p2sh", "p2wpkh", "p2wsh", "p2tr"],
)
def test_node_draws_the_line_of_dust_at_the_same_amount(node: Node, script: bytes) -> None:
    limit_sats = dust_limit_sats(script)
    verdicts = []
    for amount_sats in (limit_sats - 1, limit_sats):
        outputs = (TxOutput(amount_sats, script), TxOutput(90_000, QUORUM.descriptor.script(1, 2)))
        psbt = funded_psbt(node, 2, 100_000, outputs)
        final = finalized(signed_by_embit(psbt, QUORUM, 0, 1))
        verdicts.append(node.rpc("testmempoolaccept", [final.serialize().hex()])[0])
    below, at_limit = verdicts
    # Core calls it dust, Knots dust-nonanchor.
    assert not below["allowed"]
    assert below["reject-reason"].startswith("dust")
    assert at_limit["allowed"], at_limit
