"""The watch-only wallet: ours, and without a private key."""

from __future__ import annotations

from typing import Any

import pytest

from exchange import make_quorum
from undercroft_demo.node import Node
from undercroft_host.errors import WatchWalletWrong
from undercroft_host.gateway.rpc import NodeRpc
from undercroft_host.gateway.watch import ensure_watching, unconfirmed_txids


@pytest.fixture
def wallet(node: Node, request: pytest.FixtureRequest) -> str:
    return f"watching {request.node.name}"


def test_both_branches_are_watched_and_no_key_is_there(node: Node, wallet: str) -> None:
    descriptor = make_quorum().descriptor()
    ensure_watching(node.client, descriptor, wallet)
    assert node.rpc("getwalletinfo", wallet=wallet)["private_keys_enabled"] is False
    for branch in (0, 1):
        info = node.rpc("getaddressinfo", descriptor.address(branch, 999), wallet=wallet)
        assert info["ismine"]
        assert info["solvable"]
        assert not node.rpc("getaddressinfo", descriptor.address(branch, 5000), wallet=wallet)["ismine"]


def test_watching_again_loads_the_wallet_and_widens_it_when_needed(node: Node, wallet: str) -> None:
    descriptor = make_quorum().descriptor()
    ensure_watching(node.client, descriptor, wallet)
    node.rpc("unloadwallet", wallet)
    ensure_watching(node.client, descriptor, wallet, highest_index=3000)
    ensure_watching(node.client, descriptor, wallet, highest_index=10)
    for branch in (0, 1):
        assert node.rpc("getaddressinfo", descriptor.address(branch, 3900), wallet=wallet)["ismine"]
    assert len(node.rpc("listdescriptors", wallet=wallet)["descriptors"]) == 2


def test_wallet_that_was_unloaded_is_loaded_when_it_is_asked(node: Node, wallet: str) -> None:
    ensure_watching(node.client, make_quorum().descriptor(), wallet)
    node.rpc("unloadwallet", wallet)
    assert unconfirmed_txids(node.client, wallet, node.rpc("getbestblockhash")) == set()


def test_attack_wallet_of_that_name_with_private_keys_is_refused(node: Node, wallet: str) -> None:
    node.rpc("createwallet", wallet)
    with pytest.raises(WatchWalletWrong, match="private keys"):
        ensure_watching(node.client, make_quorum().descriptor(), wallet)


def test_attack_node_that_derives_other_addresses_is_noticed(node: Node, wallet: str) -> None:
    descriptor, other = make_quorum().descriptor(), make_quorum("other").descriptor()

    class Lying(NodeRpc):
        def call(self, method: str, *params: Any, **options: Any) -> Any:
            if method == "deriveaddresses":
                return super().call(method, other.text(0), *params[1:], **options)
            return super().call(method, *params, **options)

    with pytest.raises(WatchWalletWrong, match="derives"):
        ensure_watching(Lying(node.rpc_url, node.cookie_path), descriptor, wallet)
