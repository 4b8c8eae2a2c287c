"""Quorums and account keys as other wallets exchange them (BCR-2020-007, -010, -015; BCR-2023-010, -019)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from bitcoin_examples import example_quorum
from protocol.qr.ur_examples import LIMIT, joined, vectors
from undercroft_protocol.bitcoin.descriptor import HARDENED, QuorumDescriptor
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import CborError, DescriptorError, KeyFormatError
from undercroft_protocol.qr.stream import Kind
from undercroft_protocol.qr.ur import UrSink, UrSource
from undercroft_protocol.qr.ur.registry import AccountDescriptor, OutputDescriptor
from undercroft_protocol.qr.ur.registry_cbor import Item, Tag, decode, encode

VECTORS = vectors("registry")
QUORUM = example_quorum(3, Network.MAINNET).descriptor
OUTPUT = OutputDescriptor(QUORUM)
ACCOUNT = AccountDescriptor(Network.MAINNET, QUORUM.cosigners[0])


@pytest.mark.parametrize("network", list(Network))
def test_a_quorum_survives_the_way_to_another_wallet_and_back(network: Network) -> None:
    quorum = example_quorum(5, network).descriptor
    source = UrSource(Kind.OUTPUT, OutputDescriptor(quorum).to_item(), fragment_bytes=100)
    payload, _ = joined(source.next_symbol() for _ in range(source.count))
    assert payload.kind is Kind.OUTPUT
    assert OutputDescriptor.from_item(payload.data, network).quorum == quorum


@pytest.mark.parametrize("network", list(Network))
def test_an_account_key_survives_the_way_to_another_wallet_and_back(network: Network) -> None:
    account = AccountDescriptor(network, example_quorum(5, network).descriptor.cosigners[2])
    source = UrSource(Kind.ACCOUNT, account.to_item(), fragment_bytes=500)
    payload, taken = joined([source.next_symbol()])
    assert (payload.kind, taken) == (Kind.ACCOUNT, 1)
    assert AccountDescriptor.from_item(payload.data, network) == account


@pytest.mark.parametrize("one", VECTORS["accounts"], ids=lambda one: one["name"])
def test_published_accounts_are_read(one: dict[str, str]) -> None:
    payload = UrSink(limit=LIMIT).take(one["ur"])
    assert payload is not None
    assert payload.kind is Kind.ACCOUNT
    assert payload.data.hex() == one.get("item", payload.data.hex())
    assert AccountDescriptor.from_item(payload.data, Network.MAINNET).key.text() == one["key"]


def test_the_published_output_descriptor_is_read() -> None:
    one = VECTORS["output_descriptor"]
    tagged = decode(bytes.fromhex(one["tagged_item"]))
    assert isinstance(tagged, Tag)
    read = OutputDescriptor.from_item(encode(tagged.value), Network.MAINNET)
    assert read.quorum.text().partition("#")[0] == one["descriptor"].replace("'", "h")


def test_published_items_are_written_again_byte_for_byte() -> None:
    items = [VECTORS["output_descriptor"]["tagged_item"], VECTORS["accounts"][0]["item"]]
    assert [encode(decode(bytes.fromhex(item))).hex() for item in items] == items


def test_a_cosigner_tag_and_an_output_tag_may_stand_around_an_account_key() -> None:
    item = decode(ACCOUNT.to_item())
    assert isinstance(item, dict)
    output = item[2][0]
    item[2] = [Tag(308, Tag(401, Tag(410, output.value)))]
    assert AccountDescriptor.from_item(encode(item), Network.MAINNET) == ACCOUNT


def with_key(change: Callable[[dict[int, Any]], object]) -> bytes:
    """The output item with its second key changed."""
    item = decode(OUTPUT.to_item())
    assert isinstance(item, Tag)
    assert isinstance(item.value, Tag)
    fields: Any = item.value.value
    change(fields[2][1].value)
    return encode(item)


def with_origin(steps: list[Item]) -> Callable[[dict[int, Any]], object]:
    """A change of the key's path."""
    return lambda key: key.update({6: Tag(304, {1: steps, 2: 1})})


HARD: list[Item] = [48, True, 0, True, 0, True, 2, True]
KEY_CHANGES: dict[str, Callable[[dict[int, Any]], object]] = {
    "private_key": lambda key: key.update({2: True}),
    "private_key_by_a_number": lambda key: key.update({2: 0}),
    "master_key": lambda key: key.update({1: True}),
    "no_key_data": lambda key: key.pop(3),
    "key_data_too_long": lambda key: key.update({3: key[3] + b"\0"}),
    "key_data_private": lambda key: key.update({3: b"\0" + key[3][1:]}),
    "key_data_not_on_the_curve": lambda key: key.update({3: b"\2" + b"\xff" * 32}),
    "no_chain_code": lambda key: key.pop(4),
    "chain_code_too_short": lambda key: key.update({4: key[4][1:]}),
    "testnet_on_mainnet": lambda key: key.update({5: Tag(305, {2: 1})}),
    "another_coin": lambda key: key.update({5: Tag(305, {1: 60})}),
    "network_is_true": lambda key: key.update({5: Tag(305, {2: False})}),
    "no_origin": lambda key: key.pop(6),
    "origin_under_another_tag": lambda key: key.update({6: Tag(305, key[6].value)}),
    "no_master_fingerprint": lambda key: key[6].value.pop(2),
    "fingerprint_of_33_bits": lambda key: key[6].value.update({2: 1 << 32}),
    "depth_of_another_path": lambda key: key[6].value.update({3: 5}),
    "no_parent_fingerprint": lambda key: key.pop(8),
    "single_branch": lambda key: key.update({7: Tag(304, {1: [0, False, [], False]})}),
    "other_branches": lambda key: key.update({7: Tag(304, {1: [[0, False, 2, False], [], False]})}),
    "hardened_children": lambda key: key.update({7: Tag(304, {1: [[0, False, 1, False], [], True]})}),
    "children_of_other_types": lambda key: key.update({7: Tag(304, {1: [[False, 0, True, 0], [], 0]})}),
    "name_is_no_text": lambda key: key.update({9: 5}),
    "another_account": with_origin([48, True, 0, True, 1, True, 2, True]),
    "unhardened_step": with_origin([48, True, 0, True, 0, True, 2, False]),
    "step_too_large": with_origin([*HARD[:6], 2 | HARDENED, True]),
    "wildcard_step": with_origin([*HARD[:6], [], True]),
    "half_a_step": with_origin(HARD[:7]),
    "empty_path": with_origin([]),
    "path_without_end": with_origin(HARD * 100),
    "same_key_twice": lambda key: key.update({3: QUORUM.cosigners[0].xpub.public_key}),
}


@pytest.mark.parametrize("name", KEY_CHANGES)
def test_attack_a_quorum_with_one_changed_key_is_refused(name: str) -> None:
    with pytest.raises((DescriptorError, KeyFormatError)):
        OutputDescriptor.from_item(with_key(KEY_CHANGES[name]), Network.MAINNET)


def test_names_coin_and_children_that_say_the_same_are_accepted() -> None:
    def change(key: dict[int, Any]) -> None:
        key.update({5: Tag(305, {1: 0, 2: 0}), 7: Tag(304, {1: [[0, False, 1, False], [], False]}), 9: "Anna", 10: ""})

    assert OutputDescriptor.from_item(with_key(change), Network.MAINNET) == OUTPUT


def _fields() -> dict[int, Any]:
    item: Any = decode(OUTPUT.to_item())
    fields: dict[int, Any] = item.value.value
    return fields


def _text_form(source: str, keys: int = 3) -> bytes:
    return encode({1: source, 2: _fields()[2][:keys]})


@pytest.mark.parametrize(
    "item",
    [
        encode(Tag(400, Tag(407, _fields()))),
        encode(Tag(401, Tag(406, _fields()))),
        encode(Tag(400, Tag(401, Tag(407, _fields())))),
        encode(Tag(401, _fields())),
        encode(Tag(401, Tag(407, {**_fields(), 1: 4}))),
        encode(Tag(401, Tag(407, {**_fields(), 1: 0}))),
        encode(Tag(401, Tag(407, {**_fields(), 1: True}))),
        encode(Tag(401, Tag(407, {**_fields(), 2: []}))),
        encode(Tag(401, Tag(407, {**_fields(), 2: list(_fields()[2]) * 10}))),
        encode(Tag(401, Tag(407, {**_fields(), 2: [1, 2, 3]}))),
        encode(Tag(401, Tag(407, []))),
        encode([1, 2]),
        encode({}),
        _text_form("wsh(sortedmulti(2,@0,@1,@1))"),
        _text_form("wsh(sortedmulti(2,@1,@0,@2))"),
        _text_form("wsh(sortedmulti(2,@0,@1))"),
        _text_form("wsh(sortedmulti(2,@0,@1,@2,@3))"),
        _text_form("wsh(multi(2,@0,@1,@2))"),
        _text_form("wsh(sortedmulti(2,@0,@1,@2))#"),
        _text_form("sh(wsh(sortedmulti(2,@0,@1,@2)))"),
        _text_form("wsh(sortedmulti(2,@00,@1,@2))"),
        b"",
        b"\x00\x00",
    ],
)
def test_attack_another_script_than_our_multisig_is_refused(item: bytes) -> None:
    with pytest.raises(DescriptorError):
        OutputDescriptor.from_item(item, Network.MAINNET)


def test_a_text_form_of_our_quorum_is_read() -> None:
    assert OutputDescriptor.from_item(_text_form("wsh(sortedmulti(2,@0,@1,@2))"), Network.MAINNET) == OUTPUT


def test_a_quorum_of_another_network_is_refused() -> None:
    testnet = OutputDescriptor(example_quorum(3, Network.TESTNET).descriptor).to_item()
    for item, network in ((testnet, Network.MAINNET), (OUTPUT.to_item(), Network.TESTNET)):
        with pytest.raises(DescriptorError):
            OutputDescriptor.from_item(item, network)


def test_attack_two_keys_for_one_purpose_or_none_are_refused() -> None:
    other = decode(AccountDescriptor(Network.MAINNET, QUORUM.cosigners[1]).to_item())
    item: Any = decode(ACCOUNT.to_item())
    assert isinstance(other, dict)
    for outputs in ([*item[2], *other[2]], [Tag(404, item[2][0].value)], [Tag(400, item[2][0])], []):
        with pytest.raises(DescriptorError):
            AccountDescriptor.from_item(encode({**item, 2: outputs}), Network.MAINNET)
    with pytest.raises(DescriptorError):
        AccountDescriptor.from_item(encode({**item, 2: item[2] * 40}), Network.MAINNET)
    with pytest.raises(DescriptorError):
        AccountDescriptor.from_item(encode({2: item[2]}), Network.MAINNET)
    with pytest.raises(DescriptorError):
        AccountDescriptor.from_item(OUTPUT.to_item(), Network.MAINNET)


def test_attack_a_key_of_another_master_key_than_its_account_is_refused() -> None:
    item = decode(ACCOUNT.to_item())
    assert isinstance(item, dict)
    item[1] ^= 1
    with pytest.raises(DescriptorError, match="another master key"):
        AccountDescriptor.from_item(encode(item), Network.MAINNET)


def test_an_account_at_another_path_or_of_another_network_is_refused() -> None:
    key = QUORUM.cosigners[0]
    elsewhere = dataclasses.replace(key, path=(*key.path[:2], 1 | HARDENED, key.path[3]))
    testnet = dataclasses.replace(key, xpub=dataclasses.replace(key.xpub, version=Network.TESTNET.xpub_version))
    for network, one in ((Network.TESTNET, key), (Network.MAINNET, elsewhere), (Network.MAINNET, testnet)):
        with pytest.raises(DescriptorError):
            AccountDescriptor(network, one)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x18\x01",
        b"\x19\x00\x18",
        b"\x9f\xff",
        b"\x5f\x41\x00\xff",
        b"\xf6",
        b"\xf9\x00\x00",
        b"\x82\x01",
        b"\x9b" + b"\xff" * 8,
        b"\xbb" + b"\xff" * 8,
        b"\x5b" + b"\xff" * 8,
        b"\x61\xff",
        b"\xa2\x02\x00\x01\x00",
        b"\xa2\x01\x00\x01\x00",
        b"\xa1\xf5\x00",
        b"\xa1\x61\x61\x00",
        b"\x81" * 30 + b"\x00",
        b"\xd9\x01\x91" * 30 + b"\x00",
        b"\x99\x20\x00" + b"\x00" * 0x2000,
        b"\x00" * 20_000,
        b"\x59\x4e\x20" + bytes(20_000),
        b"\xf8\x15",
        b"\xf9\x00\x15",
        b"\xf8\x20",
        b"\x00\x00",
    ],
)
def test_attack_cbor_that_is_not_deterministic_or_not_bounded_is_refused(data: bytes) -> None:
    with pytest.raises(CborError):
        decode(data)


def test_every_allowed_value_survives() -> None:
    item: Item = {1: (0, 23, 24, 1 << 32, -1, -500), 2: Tag(303, b"\x00" * 300), 3: ("x", True, False, {})}
    assert decode(encode(item)) == item


def test_the_quorum_is_the_one_that_its_descriptor_text_says() -> None:
    text = OutputDescriptor.from_item(OUTPUT.to_item(), Network.MAINNET).quorum.text()
    assert QuorumDescriptor.parse(text, Network.MAINNET) == QUORUM
