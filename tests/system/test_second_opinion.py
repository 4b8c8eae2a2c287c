"""Wallets made by other people agree: the node derives our addresses, embit and bdk sign what our appliances sign.

Three real appliances run with seeds that the test knows. Their envelopes were sealed by other code (known_owner.py), so
that the whole way from seed to signature has a second opinion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bitcoin_examples import ExampleQuorum, signed_by_bdk, signed_by_embit
from system.known_owner import KnownOwner
from undercroft_demo.node import Node
from undercroft_demo.operator import Operator
from undercroft_demo.stage import PEOPLE, Stage
from undercroft_host.clock import system_clock
from undercroft_host.config import load_config
from undercroft_host.custody.appliances import get_appliance
from undercroft_host.custody.quorum import active_quorum, store_declaration
from undercroft_host.store.engine import Store
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.psbt import Psbt
from undercroft_protocol.messages import Quorum

SEED_BYTES = {"alice": 0xA1, "bob": 0xB2, "carol": 0xC3}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage.built(tmp_path_factory.mktemp("stage")) as stage:
        stage.initialise_host()
        store = Store.open(load_config(stage.operator.home).database_url)
        for name, site, region in PEOPLE:
            owner = KnownOwner(name, site, region, stage.sites[name].owner.passphrase, SEED_BYTES[name])
            with store.begin("test") as session:
                appliance = get_appliance(session, name)
                store_declaration(session, appliance, owner.declaration(), Network.REGTEST, system_clock)
        store.close()
        stage.form_quorum()
        stage.approve_policy()
        stage.lock_all()
        stage.activate()
        stage.operator("account", "open", "ada")
        stage.deposit("ada", 50_000_000)
        yield stage


@pytest.fixture(scope="module")
def quorum(stage: Stage) -> Quorum:
    store = Store.open(load_config(stage.operator.home).database_url)
    with store.read() as session:
        return active_quorum(session)


@pytest.fixture(scope="module")
def known(quorum: Quorum) -> ExampleQuorum:
    """The descriptor, and embit's master keys in its order."""
    masters = tuple(KnownOwner("", "", "", "", SEED_BYTES[owner.name]).root for owner in quorum.owners)
    return ExampleQuorum(quorum.descriptor(), masters)


@pytest.fixture(scope="module")
def half_signed(stage: Stage) -> Psbt:
    """A payment that alice's appliance has signed, and no other."""
    operator = stage.operator
    pay_to = stage.node.payer_address()
    operator(
        "withdrawal", "request", "--id", "w-1", "--account", "ada", "--address", pay_to, "--amount-sats", "7000000"
    )
    operator("risk", "run", "--once")
    number = str(operator("payment", "build", "--feerate", "3")["id"])
    operator("payment", "send", number, "--to", "alice")
    return Psbt.parse_base64(operator("payment", "psbt", number)["psbt"])


def position(quorum: Quorum, name: str) -> int:
    return [owner.name for owner in quorum.owners].index(name)


def accepted(node: Node, *partly_signed: Psbt) -> bool:
    """The node merges and finalises the PSBTs by itself, and would take the transaction into its mempool."""
    merged = node.rpc("combinepsbt", [one.base64() for one in partly_signed])
    final = node.rpc("finalizepsbt", merged)
    assert final["complete"]
    return bool(node.rpc("testmempoolaccept", [final["hex"]])[0]["allowed"])


def test_bitcoind_imports_the_descriptor_and_derives_the_same_addresses(stage: Stage, quorum: Quorum) -> None:
    found = stage.operator("quorum", "descriptor")
    descriptor = quorum.descriptor()
    for branch, text in ((0, found["receive"]), (1, found["change"])):
        derived = stage.node.rpc("deriveaddresses", text, [0, 19])
        assert derived == [descriptor.address(branch, index) for index in range(20)]
    watched = stage.node.rpc("listdescriptors", wallet="undercroft")["descriptors"]
    assert sorted(entry["desc"] for entry in watched) == sorted((found["receive"], found["change"]))


def test_the_watch_only_wallet_holds_no_private_key(stage: Stage) -> None:
    assert stage.node.rpc("getwalletinfo", wallet="undercroft")["private_keys_enabled"] is False


def test_the_appliance_signed_byte_for_byte_what_bdk_signs_with_its_seed(
    half_signed: Psbt, known: ExampleQuorum, quorum: Quorum
) -> None:
    unsigned = replace(half_signed, inputs=tuple(replace(one, partial_signatures={}) for one in half_signed.inputs))
    theirs = signed_by_bdk(unsigned, known, position(quorum, "alice"))
    assert [one.partial_signatures for one in theirs.inputs] == [one.partial_signatures for one in half_signed.inputs]


@pytest.mark.parametrize("name", ["bob", "carol"])
def test_embit_signs_beside_our_appliance_and_the_node_accepts(
    stage: Stage, half_signed: Psbt, known: ExampleQuorum, quorum: Quorum, name: str
) -> None:
    assert accepted(stage.node, half_signed, signed_by_embit(half_signed, known, position(quorum, name)))


@pytest.mark.parametrize("name", ["bob", "carol"])
def test_bdk_signs_beside_our_appliance_and_the_node_accepts(
    stage: Stage, half_signed: Psbt, known: ExampleQuorum, quorum: Quorum, name: str
) -> None:
    assert accepted(stage.node, half_signed, signed_by_bdk(half_signed, known, position(quorum, name)))


def test_one_signature_alone_is_not_enough(stage: Stage, half_signed: Psbt) -> None:
    assert stage.node.rpc("finalizepsbt", half_signed.base64())["complete"] is False


def test_our_second_appliance_completes_the_same_payment(stage: Stage, half_signed: Psbt) -> None:
    operator: Operator = stage.operator
    number = str(operator("payment", "list")[0]["id"])
    operator("payment", "resend", number, "--to", "bob")
    operator("payment", "broadcast", number)
    stage.node.mine(2)
    stage.sync()
    assert operator("payment", "show", number)["state"] == "settled"
