"""The node's watch-only wallet: the quorum's two descriptors in it, and no private key ever."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from undercroft_protocol.bitcoin.descriptor import BRANCHES, QuorumDescriptor

from ..errors import NodeBusy, NodeRefused, WatchWalletWrong
from .rpc import RPC_WALLET_NOT_FOUND, NodeRpc

DEFAULT_WALLET: Final = "undercroft"

_GAP: Final = 1000
_COMPARED: Final = 3
_IMPORT_SECONDS: Final = 3600.0


def ensure_watching(
    node: NodeRpc,
    descriptor: QuorumDescriptor,
    wallet_name: str = DEFAULT_WALLET,
    *,
    highest_index: int = -1,
    birth: int | None = None,
) -> None:
    """Make the node watch both branches of this quorum, up to 1000 addresses above ``highest_index``.

    The wallet is made, loaded, and extended as needed; all of it may be repeated. ``birth`` (UTC seconds) is from when
    on the chain is searched for old payments; None for a quorum that is new. Raises WatchWalletWrong when the wallet
    could hold a private key or the node derives other addresses than we do, NodeBusy while it scans, and as NodeRpc.
    """
    _load(node, wallet_name)
    _check_wallet(node, wallet_name)
    _check_addresses(node, descriptor)
    known = _ranges(node, wallet_name)
    end = highest_index + _GAP
    missing = [
        {
            "desc": descriptor.text(branch),
            # A range may grow, and must never leave out what was in it before.
            "range": [0, max(end, known.get(_canonical(node, descriptor, branch), -1))],
            "timestamp": "now" if birth is None else birth,
            "internal": branch == 1,
            "active": False,
        }
        for branch in BRANCHES
        if known.get(_canonical(node, descriptor, branch), -1) < end - _GAP // 2
    ]
    if missing:
        results = node.call("importdescriptors", missing, wallet=wallet_name, timeout_seconds=_IMPORT_SECONDS)
        for result in results:
            if not result["success"]:
                raise WatchWalletWrong(str(result["error"]["message"]))


def unconfirmed_txids(node: NodeRpc, wallet_name: str, tip: str) -> set[str]:
    """The unconfirmed transactions (hexadecimal txids) that the wallet knows, in the mempool or not."""
    arguments = (tip, 1, True, False, True)  # since the tip, watch-only, without removed blocks, with change
    try:
        listed = node.call("listsinceblock", *arguments, wallet=wallet_name)
    except NodeRefused as error:
        if error.node_code != RPC_WALLET_NOT_FOUND:
            raise
        # After a restart the node may not have loaded it.
        _load(node, wallet_name)
        _check_wallet(node, wallet_name)
        listed = node.call("listsinceblock", *arguments, wallet=wallet_name)
    return {entry["txid"] for entry in listed["transactions"] if entry["confirmations"] == 0}


def _load(node: NodeRpc, wallet_name: str) -> None:
    if wallet_name in node.call("listwallets"):
        return
    if wallet_name in {entry["name"] for entry in node.call("listwalletdir")["wallets"]}:
        node.call("loadwallet", wallet_name, True, timeout_seconds=_IMPORT_SECONDS)
    else:
        # disable_private_keys, blank, passphrase, avoid_reuse, descriptors, load_on_startup
        node.call("createwallet", wallet_name, True, True, "", False, True, True)


def _check_wallet(node: NodeRpc, wallet_name: str) -> None:
    info: dict[str, Any] = node.call("getwalletinfo", wallet=wallet_name)
    # Attack: a wallet of this name, put there before, whose keys somebody holds and whose coins are not ours.
    if info["private_keys_enabled"]:
        raise WatchWalletWrong(f"{wallet_name!r} can hold private keys")
    if not info.get("descriptors", True):
        raise WatchWalletWrong(f"{wallet_name!r} is not a descriptor wallet")
    if info["scanning"]:
        raise NodeBusy(f"wallet {wallet_name!r} is still scanning")


def _check_addresses(node: NodeRpc, descriptor: QuorumDescriptor) -> None:
    """A second implementation must derive what we derive, before anybody is told to pay there."""
    for branch in BRANCHES:
        theirs = node.call("deriveaddresses", descriptor.text(branch), [0, _COMPARED - 1])
        ours: Iterable[str] = [descriptor.address(branch, index) for index in range(_COMPARED)]
        if theirs != ours:
            raise WatchWalletWrong(f"the node derives {theirs[0]} where we derive {descriptor.address(branch, 0)}")


def _ranges(node: NodeRpc, wallet_name: str) -> dict[str, int]:
    """The last index watched, by descriptor as the node writes it."""
    listed = node.call("listdescriptors", wallet=wallet_name)["descriptors"]
    return {entry["desc"]: entry["range"][1] for entry in listed if "range" in entry}


def _canonical(node: NodeRpc, descriptor: QuorumDescriptor, branch: int) -> str:
    return str(node.call("getdescriptorinfo", descriptor.text(branch))["descriptor"])
