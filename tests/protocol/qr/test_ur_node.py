"""Ours against npm's `@ngraveio/bc-ur` and `@keystonehq/bc-ur-registry`, in both directions; under Node."""

from __future__ import annotations

import random
from itertools import islice
from typing import Any

import pytest

from bitcoin_examples import example_psbt, example_quorum
from node_support import needs_node, run_node
from protocol.qr.ur_examples import joined, noise, texts
from undercroft_demo.peeling import PeelingDecoder
from undercroft_protocol import cbor
from undercroft_protocol.bitcoin.descriptor import HARDENED, CosignerKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.qr.stream import Kind
from undercroft_protocol.qr.ur import UrSource
from undercroft_protocol.qr.ur.chooser import sequences
from undercroft_protocol.qr.ur.fountain import indexes
from undercroft_protocol.qr.ur.registry import AccountDescriptor, OutputDescriptor

pytestmark = needs_node


def their_reading(shown: list[str]) -> Any:
    return run_node([{"do": "ur.decode", "texts": shown}])[0]


def with_losses(shown: list[str], chance: float, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [text for text in shown if rng.random() >= chance]


def test_parts_mix_the_same_fragments_as_theirs() -> None:
    rng = random.Random(2)
    calls: list[dict[str, Any]] = []
    for fragments in (1, 2, 3, 12, 25, 85, 200):
        near = list(range(max(1, fragments - 3), fragments + 25))
        far = [rng.randrange(fragments, 1 << 32) for _ in range(15)]
        calls.append(
            {"do": "ur.indexes", "numbers": near + far, "fragments": fragments, "checksum": rng.getrandbits(32)}
        )
    for call, theirs in zip(calls, run_node(calls), strict=True):
        for number, mixed in zip(call["numbers"], theirs, strict=True):
            assert sorted(indexes(number, call["fragments"], call["checksum"])) == mixed, (number, call["fragments"])


@pytest.mark.parametrize(("size", "fragment_bytes"), [(10, 100), (300, 100), (1100, 100), (5000, 120)])
def test_their_decoder_reads_what_we_show_from_the_start_without_one_part_too_many(
    size: int, fragment_bytes: int
) -> None:
    source = UrSource(Kind.PSBT, noise(size), fragment_bytes=fragment_bytes)
    read = their_reading([source.next_symbol() for _ in range(source.count)])
    assert (read["type"], read["cbor"], read["taken"]) == (
        "crypto-psbt",
        cbor.encode(noise(size)).hex(),
        source.count,
    )


@pytest.mark.parametrize(("size", "fragment_bytes", "chance"), [(700, 100, 0.3), (5000, 100, 0.0), (5000, 100, 0.4)])
def test_their_decoder_reads_what_we_show_from_the_middle_and_with_losses(
    size: int, fragment_bytes: int, chance: float
) -> None:
    shown = texts(noise(size), 5 * size // fragment_bytes + 20, fragment_bytes=fragment_bytes, start=37)
    read = their_reading(with_losses(shown, chance, seed=size))
    assert read["taken"] is not None
    assert read["cbor"] == cbor.encode(noise(size)).hex()


@pytest.mark.parametrize(("size", "fragment", "first"), [(10, 100, 1), (700, 100, 1), (5000, 100, 1), (5000, 100, 90)])
def test_we_read_what_their_encoder_shows(size: int, fragment: int, first: int) -> None:
    call = {"do": "ur.encode", "type": "crypto-psbt", "cbor": cbor.encode(noise(size)).hex(), "fragment": fragment}
    shown = run_node([{**call, "count": 3 * size // 100 + 12, "first": first}])[0]
    for some in (shown, with_losses(shown, 0.3, seed=3)):
        assert joined(some)[0].data == noise(size)


def test_our_parts_are_theirs_letter_for_letter() -> None:
    data = noise(2000)
    call = {"do": "ur.encode", "type": "bytes", "cbor": cbor.encode(data).hex(), "fragment": 90, "count": 60}
    source = UrSource(Kind.BYTES, data, fragment_bytes=90)
    assert [source.part(at).text().lower() for at in range(1, 61)] == run_node([call])[0]


def test_our_model_of_the_reference_decoder_needs_exactly_the_parts_that_theirs_needs() -> None:
    calls, modelled = [], []
    for fragments, start, chosen in ((12, 20, True), (30, 40, False), (30, 77, True), (60, 61, False), (60, 200, True)):
        data = noise(fragments * 12 - 5)
        source = UrSource(Kind.BYTES, data, fragment_bytes=12)
        assert source.count == fragments
        first = source.part(1)
        numbers = list(islice(sequences(fragments, first.checksum) if chosen else iter(range(1, 2000)), start, 1200))
        decoder, taken = PeelingDecoder(fragments), 0
        while not decoder.is_whole:
            decoder.take(indexes(numbers[taken], fragments, first.checksum))
            taken += 1
        modelled.append(taken)
        calls.append({"do": "ur.decode", "texts": [source.part(number).text() for number in numbers[: taken + 5]]})
    assert [read["taken"] for read in run_node(calls)] == modelled


def test_psbts_cross_in_both_directions() -> None:
    psbt = example_psbt(example_quorum(4), 9).serialize()
    source = UrSource(Kind.PSBT, psbt, fragment_bytes=200)
    shown = [source.next_symbol() for _ in range(source.count)]
    read = their_reading(shown)
    back, theirs = run_node(
        [
            {"do": "ur.psbt", "cbor": read["cbor"]},
            {"do": "ur.psbtParts", "psbt": psbt.hex(), "fragment": 200, "count": 40},
        ]
    )
    assert back == psbt.hex()
    payload, _ = joined(theirs)
    assert (payload.kind, payload.data) == (Kind.PSBT, psbt)


def as_call(key: CosignerKey, network: Network) -> dict[str, Any]:
    return {
        "publicKey": key.xpub.public_key.hex(),
        "chainCode": key.xpub.chain_code.hex(),
        "parent": key.xpub.parent_fingerprint.hex(),
        "path": [[step & ~HARDENED, bool(step & HARDENED)] for step in key.path],
        "fingerprint": key.fingerprint.hex(),
        "network": network.coin_type,
    }


def as_seen(key: CosignerKey, network: Network) -> dict[str, Any]:
    path = "/".join(f"{step & ~HARDENED}'" for step in key.path)
    return {
        "key": key.xpub.public_key.hex(),
        "chainCode": key.xpub.chain_code.hex(),
        "path": path,
        "fingerprint": key.fingerprint.hex(),
        "depth": 4,
        "parent": key.xpub.parent_fingerprint.hex(),
        "network": network.coin_type,
        "children": None,
    }


def seen(key: dict[str, Any], network: Network) -> dict[str, Any]:
    """Their view of a key; their xpub text is right on mainnet only, for which alone they have a version."""
    xpub = key.pop("xpub")
    assert network is not Network.MAINNET or xpub.startswith("xpub")
    return key


@pytest.mark.parametrize("network", [Network.MAINNET, Network.TESTNET])
def test_their_classes_read_our_quorum_and_write_it_as_we_do(network: Network) -> None:
    quorum = example_quorum(6, network).descriptor
    item = OutputDescriptor(quorum).to_item()
    [read] = run_node([{"do": "ur.output", "cbor": item.hex()}])
    assert (read["scripts"], read["threshold"]) == (["wsh", "sortedmulti"], 2)
    assert [seen(key, network) for key in read["keys"]] == [as_seen(key, network) for key in quorum.cosigners]
    assert read["cbor"] == item.hex()


@pytest.mark.parametrize("network", [Network.MAINNET, Network.TESTNET])
def test_their_classes_read_our_account_key_and_write_it_as_we_do(network: Network) -> None:
    key = example_quorum(6, network).descriptor.cosigners[1]
    item = AccountDescriptor(network, key).to_item()
    [read] = run_node([{"do": "ur.account", "cbor": item.hex()}])
    assert read["fingerprint"] == key.fingerprint.hex()
    assert [one["scripts"] for one in read["outputs"]] == [["wsh"]]
    assert seen(read["outputs"][0]["key"], network) == as_seen(key, network)
    assert read["cbor"] == item.hex()


@pytest.mark.parametrize("network", [Network.MAINNET, Network.TESTNET])
def test_we_read_the_quorum_and_the_account_that_their_classes_write(network: Network) -> None:
    quorum = example_quorum(8, network).descriptor
    keys = [as_call(key, network) for key in quorum.cosigners]
    output, account = run_node(
        [
            {"do": "ur.makeOutput", "threshold": 2, "keys": keys},
            {"do": "ur.makeAccount", "fingerprint": quorum.cosigners[0].fingerprint.hex(), "key": keys[0]},
        ]
    )
    assert OutputDescriptor.from_item(bytes.fromhex(output), network).quorum == quorum
    assert AccountDescriptor.from_item(bytes.fromhex(account), network).key == quorum.cosigners[0]
