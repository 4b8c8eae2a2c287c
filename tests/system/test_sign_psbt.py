"""`sign-psbt` beside Bitcoin Core: two known test keys sign what Core built, byte for byte as Core would."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.commands.commands_support import pipe_with, run
from system.known_owner import KnownOwner
from undercroft_demo.node import Node, NodeMissingError, find_bitcoind

NAMES = {"alice": 0xA1, "bob": 0xB2, "carol": 0xC3}


@dataclass(frozen=True, slots=True)
class Wallet:
    """Three envelopes, the descriptor of their keys, a node that watches it, and a PSBT that the node built."""

    node: Node
    directory: Path
    descriptor: str
    psbt: str

    def signed(self, name: str, psbt: str) -> str:
        """The PSBT with one owner's signatures, by `sign-psbt`."""
        passphrase = pipe_with(_passphrase(name))
        try:
            done = run(
                "sign-psbt", "--envelope", self.directory / name, "--quorum", self.descriptor,
                "--passphrase-fd", str(passphrase), "--kdf", "demo", "-",
                stdin=psbt.encode(), pass_fds=[passphrase],
            )  # fmt: skip
        finally:
            os.close(passphrase)
        assert done.code == 0, done.err
        return done.out.decode().strip()

    def signed_by_core(self, name: str, psbt: str) -> str:
        """The PSBT as Core processes it in a wallet with that owner's private key."""
        keys = self.descriptor.partition("#")[0]
        owner = _owner(name)
        private = keys.replace(owner.account.to_public().to_base58(), owner.account.to_base58())
        _wallet(self.node, f"core-{name}", private, private_keys=True)
        processed = self.node.rpc("walletprocesspsbt", psbt, True, "ALL", True, False, wallet=f"core-{name}")
        return str(processed["psbt"])


def _owner(name: str) -> KnownOwner:
    return KnownOwner(name, "", "", "", NAMES[name])


def _passphrase(name: str) -> bytes:
    return f"test passphrase of {name}, never real".encode()


def _expression(directory: Path, name: str) -> str:
    seed, passphrase = pipe_with(_owner(name).seed), pipe_with(_passphrase(name))
    try:
        done = run(
            "new-envelope", "--seed-fd", str(seed), "--passphrase-fd", str(passphrase), "--kdf", "demo",
            "--out", directory / name, pass_fds=[seed, passphrase],
        )  # fmt: skip
    finally:
        os.close(seed)
        os.close(passphrase)
    assert done.code == 0, done.err
    return done.out.decode().strip()


def _wallet(node: Node, name: str, descriptor: str, *, private_keys: bool) -> None:
    node.rpc("createwallet", name, not private_keys, True)
    requests: list[dict[str, Any]] = []
    for branch in (0, 1):
        # One descriptor for each branch, as every version of the node imports it.
        text = descriptor.replace("<0;1>", str(branch))
        checksum = node.rpc("getdescriptorinfo", text)["checksum"]
        requests.append(
            {
                "desc": f"{text}#{checksum}",
                "active": True,
                "internal": branch == 1,
                "timestamp": "now",
                "range": [0, 50],
            }
        )
    assert all(one["success"] for one in node.rpc("importdescriptors", requests, wallet=name))


@pytest.fixture(scope="module")
def wallet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wallet]:
    try:
        find_bitcoind()
    except NodeMissingError as error:
        pytest.skip(str(error))
    directory = tmp_path_factory.mktemp("envelopes")
    descriptor = f"wsh(sortedmulti(2,{','.join(_expression(directory, name) for name in NAMES)}))"
    with Node.started(tmp_path_factory.mktemp("node")) as node:
        node.fund_payer()
        _wallet(node, "watch", descriptor, private_keys=False)
        for _ in range(3):
            node.pay(str(node.rpc("getnewaddress", "", "bech32", wallet="watch")), 5_000_000)
        node.mine(1)
        options = {"fee_rate": 5, "change_type": "bech32"}
        paid = {node.payer_address(): "0.12"}
        funded = node.rpc("walletcreatefundedpsbt", [], paid, 0, options, True, wallet="watch")
        yield Wallet(node, directory, descriptor, str(funded["psbt"]))


def test_two_owners_signatures_make_a_transaction_that_the_node_takes(wallet: Wallet) -> None:
    parts = [wallet.signed("alice", wallet.psbt), wallet.signed("bob", wallet.psbt)]
    final = wallet.node.rpc("finalizepsbt", wallet.node.rpc("combinepsbt", parts))
    assert final["complete"]
    assert wallet.node.rpc("testmempoolaccept", [final["hex"]])[0]["allowed"]


def test_one_after_the_other_is_the_same_as_both_combined(wallet: Wallet) -> None:
    parts = [wallet.signed("alice", wallet.psbt), wallet.signed("carol", wallet.psbt)]
    assert wallet.signed("carol", parts[0]) == wallet.node.rpc("combinepsbt", parts)


@pytest.mark.parametrize("name", list(NAMES))
def test_the_psbt_is_byte_for_byte_what_core_returns_with_the_same_key(wallet: Wallet, name: str) -> None:
    assert base64.b64decode(wallet.signed(name, wallet.psbt)) == base64.b64decode(
        wallet.signed_by_core(name, wallet.psbt)
    )


def test_check_tells_of_the_same_psbt_what_core_decodes(wallet: Wallet) -> None:
    done = run("check", "--quorum", wallet.descriptor, "-", stdin=wallet.psbt.encode())
    decoded = wallet.node.rpc("decodepsbt", wallet.psbt)
    assert done.code == 0
    assert done.answer["fee_sats"] == round(decoded["fee"] * 100_000_000)
    told = {(one["address"], one["amount_sats"]) for one in done.answer["outputs"]}
    assert told == {
        (one["scriptPubKey"]["address"], round(one["value"] * 100_000_000)) for one in decoded["tx"]["vout"]
    }
    assert sorted(one["kind"] for one in done.answer["outputs"]) == ["change", "payee"]
