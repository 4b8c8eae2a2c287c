"""An account key as wallets exchange it: `crypto-hdkey` with its `crypto-keypath` (BCR-2020-007, both tag ranges)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from undercroft_protocol.bitcoin.descriptor import HARDENED, CosignerKey
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import DescriptorError, KeyFormatError

from .registry_cbor import Item, Tag, encode

HDKEY: Final = (303, 40303)
KEYPATH: Final = (304, 40304)
COIN_INFO: Final = (305, 40305)
"""The tags of each type: the old one, which existing wallets read and we write, and the new one."""

_MASTER, _PRIVATE, _KEY, _CHAIN_CODE, _USE, _ORIGIN, _CHILDREN, _PARENT, _NAME, _NOTE = range(1, 11)
_STEPS, _SOURCE, _DEPTH = 1, 2, 3
_COIN, _COIN_NETWORK = 1, 2
_BITCOIN: Final = 0
_BOTH_BRANCHES: Final = ((0, False, 1, False), (), False)
"""`<0;1>/*` as components of a keypath: receive and change, then any index."""


def key_item(key: CosignerKey, network: Network) -> Tag:
    """The tagged item of an account key: the key with its origin, and its network when it is no mainnet."""
    steps: list[Item] = []
    for step in key.path:
        steps += [step & ~HARDENED, bool(step & HARDENED)]
    origin: dict[int, Item] = {_STEPS: steps, _SOURCE: int.from_bytes(key.fingerprint, "big"), _DEPTH: len(key.path)}
    fields: dict[int, Item] = {
        _KEY: key.xpub.public_key,
        _CHAIN_CODE: key.xpub.chain_code,
        _ORIGIN: Tag(KEYPATH[0], origin),
        _PARENT: int.from_bytes(key.xpub.parent_fingerprint, "big"),
    }
    if network is not Network.MAINNET:
        fields[_USE] = Tag(COIN_INFO[0], {_COIN_NETWORK: 1})
    return Tag(HDKEY[0], fields)


def read_key(item: Item, network: Network, fingerprint: bytes | None) -> CosignerKey:
    """The account key behind a tagged item. ``fingerprint``: the master key's, where the item may leave it out.

    Raises DescriptorError or KeyFormatError for a private key, another network, a key without origin or chain code,
    children other than `<0;1>/*`.
    """
    fields = _fields(item, HDKEY, "an hdkey")
    # Attack: a private key where a public one is expected; it must neither be used nor kept.
    if fields.get(_PRIVATE, False) is not False or fields.get(_MASTER, False) is not False:
        raise KeyFormatError("this is a private or a master key; it must not be here")
    _check_network(fields.get(_USE), network)
    path, source = _read_origin(fields.get(_ORIGIN))
    # Attack: one origin for programs that read it at the key, and another for those that read it at the account.
    if fingerprint is not None and source not in (None, fingerprint):
        raise DescriptorError("a key is of another master key than its account")
    source = source or fingerprint
    if source is None:
        raise DescriptorError("a key has no fingerprint of its master key")
    _check_children(fields.get(_CHILDREN))
    for text in (_NAME, _NOTE):
        if not isinstance(fields.get(text, ""), str):
            raise DescriptorError("a key's name is no text")
    public_key, chain_code = fields.get(_KEY), fields.get(_CHAIN_CODE)
    if not isinstance(public_key, bytes) or not isinstance(chain_code, bytes):
        raise DescriptorError("a key has no key data or no chain code")
    parent = _four_bytes(fields.get(_PARENT), "the parent's fingerprint")
    xpub = ExtendedPublicKey(network.xpub_version, len(path), parent, path[-1], chain_code, public_key)
    return CosignerKey(source, path, xpub)


def fingerprint_item(fingerprint: bytes) -> int:
    """A fingerprint as the registry writes it, as a number."""
    return int.from_bytes(fingerprint, "big")


def read_fingerprint(item: Item | None) -> bytes:
    """The fingerprint (4 bytes) behind a number. Raises DescriptorError."""
    return _four_bytes(item, "the master key's fingerprint")


def _fields(item: Item | None, tags: tuple[int, int], what: str) -> Mapping[int, Item]:
    if not isinstance(item, Tag) or item.number not in tags or not isinstance(item.value, Mapping):
        raise DescriptorError(f"{what} is missing or has another form")
    return item.value


def _four_bytes(item: Item | None, what: str) -> bytes:
    if type(item) is not int or not 0 <= item <= 0xFFFFFFFF:
        raise DescriptorError(f"{what} is missing or no number of 32 bits")
    return item.to_bytes(4, "big")


def _check_network(item: Item | None, network: Network) -> None:
    fields = {} if item is None else _fields(item, COIN_INFO, "the coin")
    coin, which = fields.get(_COIN, _BITCOIN), fields.get(_COIN_NETWORK, 0)
    # Attack: a testnet key taken for a mainnet one, or one of another coin.
    if type(coin) is not int or coin != _BITCOIN or type(which) is not int or which != network.coin_type:
        raise DescriptorError(f"a key does not belong to {network.value}")


def _read_origin(item: Item | None) -> tuple[tuple[int, ...], bytes | None]:
    fields = _fields(item, KEYPATH, "the origin of a key")
    steps = fields.get(_STEPS)
    if not isinstance(steps, tuple) or len(steps) % 2 or not steps:
        raise DescriptorError("the origin of a key has no path")
    path = []
    for index, hardened in zip(steps[::2], steps[1::2], strict=True):
        if type(index) is not int or not 0 <= index < HARDENED or not isinstance(hardened, bool):
            raise DescriptorError("a step of a path is no index")
        path.append(index | HARDENED if hardened else index)
    depth = fields.get(_DEPTH, len(path))
    if type(depth) is not int or depth != len(path):
        raise DescriptorError("the depth of a key is not that of its path")
    source = None if _SOURCE not in fields else _four_bytes(fields[_SOURCE], "the master key's fingerprint")
    return tuple(path), source


def _check_children(item: Item | None) -> None:
    if item is None:
        return
    steps = _fields(item, KEYPATH, "the children of a key").get(_STEPS)
    # Attack: children on another branch, so that two wallets derive different addresses from one descriptor. They are
    # compared as they are written, since true is 1 for Python.
    if steps is None or encode(steps) != encode(_BOTH_BRANCHES):
        raise DescriptorError("the children of a key are not <0;1>/*")
