"""The quorum's descriptor against BIP 380, BIP 383, embit and bdk, and every bad one refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from embit.descriptor import Descriptor as EmbitDescriptor
from hypothesis import given
from hypothesis import strategies as st

from bitcoin_examples import EMBIT_NETWORKS, example_quorum, vectors
from undercroft_protocol.bitcoin.descriptor import (
    HARDENED,
    CosignerKey,
    QuorumDescriptor,
    account_path,
    descriptor_checksum,
    format_path,
)
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.script import multisig_script
from undercroft_protocol.errors import DescriptorError, KeyFormatError, ProtocolError

VECTORS = vectors("descriptors")
QUORUM = example_quorum(1)
DESCRIPTOR = QUORUM.descriptor
BODY = DESCRIPTOR.text().partition("#")[0]
PLACES = [(0, 0), (1, 0), (0, 1), (1, 17), (0, 2**31 - 1)]


def with_checksum(body: str) -> str:
    """The body with the checksum that makes a parser look at it."""
    return f"{body}#{descriptor_checksum(body)}"


def test_checksum_is_that_of_bip_380() -> None:
    assert descriptor_checksum(VECTORS["checksum"]["text"]) == VECTORS["checksum"]["checksum"]


@pytest.mark.parametrize("text", VECTORS["bad_checksums"])
def test_bad_checksums_of_bip_380_are_refused(text: str) -> None:
    with pytest.raises(DescriptorError, match=r"checksum|character"):
        QuorumDescriptor.parse(text, Network.REGTEST)


def test_sortedmulti_scripts_are_those_of_bip_383() -> None:
    vector = VECTORS["sortedmulti"]
    parents = []
    for key in vector["keys"]:
        parent = ExtendedPublicKey.parse(key["xpub"], Network.MAINNET)
        for step in key["path"]:
            parent = parent.child(step)
        parents.append(parent)
    for index, script in enumerate(vector["scripts"]):
        keys = [parent.child_public_key(index) for parent in parents]
        assert multisig_script(vector["threshold"], keys).hex() == script


@pytest.mark.parametrize("network", Network)
@pytest.mark.parametrize(("seed", "threshold", "key_count"), [(1, 2, 3), (2, 3, 5), (3, 1, 1), (4, 15, 15)])
def test_addresses_and_scripts_agree_with_embit(network: Network, seed: int, threshold: int, key_count: int) -> None:
    descriptor = example_quorum(seed, network, threshold, key_count).descriptor
    other = EmbitDescriptor.from_string(descriptor.text())
    for branch, index in PLACES:
        derived = other.derive(index, branch_index=branch)
        assert descriptor.address(branch, index) == derived.address(EMBIT_NETWORKS[network])
        assert descriptor.witness_script(branch, index) == derived.witness_script().data
        assert descriptor.script(branch, index) == derived.script_pubkey().data


@pytest.mark.parametrize("seed", range(3))
def test_addresses_agree_with_bdk(seed: int) -> None:
    bdkpython = pytest.importorskip("bdkpython")
    descriptor = example_quorum(seed).descriptor
    for branch, index in PLACES:
        other = bdkpython.Descriptor(descriptor.text(branch), bdkpython.NetworkKind.TEST)
        expected = str(other.derive_address(index, bdkpython.Network.REGTEST))
        assert descriptor.address(branch, index) == expected


@pytest.mark.parametrize("network", Network)
def test_text_reads_back(network: Network) -> None:
    descriptor = example_quorum(5, network).descriptor
    assert QuorumDescriptor.parse(descriptor.text(), network) == descriptor
    assert format_path(account_path(network)) == f"/48h/{network.coin_type}h/0h/2h"


def test_apostrophes_read_as_hardened_and_are_written_as_h() -> None:
    head, keys = BODY.split("(2,")
    text = with_checksum(head + "(2," + keys.replace("h/", "'/").replace("2h]", "2']"))
    assert QuorumDescriptor.parse(text, Network.REGTEST) == DESCRIPTOR
    assert QuorumDescriptor.parse(text, Network.REGTEST).text() == DESCRIPTOR.text()


def test_text_of_one_branch_names_it() -> None:
    for branch in (0, 1):
        text = DESCRIPTOR.text(branch)
        assert text.count(f"/{branch}/*") == 3
        assert text == with_checksum(text.partition("#")[0])
        with pytest.raises(DescriptorError):
            QuorumDescriptor.parse(text, Network.REGTEST)


def test_public_keys_keep_the_order_of_the_cosigners() -> None:
    keys = DESCRIPTOR.public_keys(1, 3)
    expected = tuple(cosigner.xpub.child(1).child(3).public_key for cosigner in DESCRIPTOR.cosigners)
    assert keys == expected
    turned = replace(DESCRIPTOR, cosigners=DESCRIPTOR.cosigners[::-1])
    assert turned.public_keys(1, 3) == keys[::-1]
    assert turned.script(1, 3) == DESCRIPTOR.script(1, 3)
    assert turned != DESCRIPTOR


@pytest.mark.parametrize("branch", [-1, 2, 7])
def test_attack_branch_that_is_neither_receive_nor_change_is_refused(branch: int) -> None:
    with pytest.raises(DescriptorError):
        DESCRIPTOR.script(branch, 0)
    with pytest.raises(DescriptorError):
        DESCRIPTOR.text(branch)


@pytest.mark.parametrize("index", [-1, 2**31])
def test_attack_hardened_index_is_refused(index: int) -> None:
    with pytest.raises(KeyFormatError):
        DESCRIPTOR.script(0, index)


FIRST, SECOND, THIRD = DESCRIPTOR.cosigners
FOREIGN = example_quorum(8, Network.MAINNET).descriptor.cosigners[0]


@pytest.mark.parametrize(
    ("name", "cosigners", "threshold"),
    [
        ("one key twice", (FIRST, SECOND, FIRST), 2),
        ("one key under two fingerprints", (FIRST, SECOND, replace(FIRST, fingerprint=bytes(4))), 2),
        ("two keys with one fingerprint", (FIRST, replace(SECOND, fingerprint=FIRST.fingerprint)), 2),
        ("threshold 0", (FIRST, SECOND), 0),
        ("threshold above the keys", (FIRST, SECOND), 3),
        ("no keys", (), 0),
        ("another network", (FIRST, FOREIGN), 2),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_attack_impossible_quorum_is_refused(name: str, cosigners: tuple[CosignerKey, ...], threshold: int) -> None:
    with pytest.raises(DescriptorError):
        QuorumDescriptor(Network.REGTEST, threshold, cosigners)


def test_attack_same_key_with_altered_metadata_is_still_the_same_key() -> None:
    altered = replace(FIRST.xpub, parent_fingerprint=b"\x01\x02\x03\x04")
    twin = CosignerKey(b"\x05\x06\x07\x08", FIRST.path, altered)
    with pytest.raises(DescriptorError, match="twice"):
        QuorumDescriptor(Network.REGTEST, 2, (FIRST, SECOND, twin))


def test_attack_key_that_is_not_where_its_path_says_is_refused() -> None:
    path = account_path(Network.REGTEST)
    for bad in ((), path[:3], (*path, 0), (*path[:3], 1 | HARDENED)):
        with pytest.raises(DescriptorError, match="not where"):
            CosignerKey(FIRST.fingerprint, bad, FIRST.xpub)
    with pytest.raises(DescriptorError, match="fingerprint"):
        CosignerKey(b"abc", path, FIRST.xpub)


def test_attack_key_of_another_account_is_refused() -> None:
    path = (48 | HARDENED, 1 | HARDENED, 5 | HARDENED, 2 | HARDENED)
    master = QUORUM.masters[0]
    xpub = ExtendedPublicKey.parse(master.derive(list(path)).to_public().to_base58(), Network.REGTEST)
    with pytest.raises(DescriptorError, match="path"):
        QuorumDescriptor(Network.REGTEST, 2, (CosignerKey(FIRST.fingerprint, path, xpub), SECOND))


KEY = FIRST.text()
BAD_BODIES = {
    "unsorted multi": BODY.replace("sortedmulti", "multi"),
    "nested in p2sh": f"sh({BODY})",
    "not segwit": BODY.replace("wsh(", "sh("),
    "threshold with a leading zero": BODY.replace("(2,", "(02,"),
    "threshold 0": BODY.replace("(2,", "(0,"),
    "threshold 4": BODY.replace("(2,", "(4,"),
    "threshold not a number": BODY.replace("(2,", "(a,"),
    "one closing bracket short": BODY[:-1],
    "text behind": BODY + ")",
    "space inside": BODY.replace("(2,", "(2, "),
    "newline at the end": BODY + "\n",
    "one branch only": BODY.replace("<0;1>", "0"),
    "branches turned": BODY.replace("<0;1>", "<1;0>"),
    "hardened wildcard": BODY.replace("/*", "/*h"),
    "no wildcard": BODY.replace("/*", ""),
    "no origin": BODY.replace(KEY, KEY.partition("]")[2]),
    "key of another path": BODY.replace("48h", "49h"),
    "step not hardened": BODY.replace("/0h/2h", "/0/2h"),
    "step out of range": BODY.replace("/0h/2h", "/2147483648h/2h"),
    "upper-case fingerprint": BODY.replace(KEY[1:9], KEY[1:9].upper()),
    "one wrong character in a key": BODY.replace(KEY[-1] + "/<", ("x" if KEY[-1] != "x" else "y") + "/<", 1),
    "no key": "wsh(sortedmulti(2))",
    "empty key": BODY.replace("(2,", "(2,,"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_attack_any_other_descriptor_is_refused(name: str) -> None:
    assert BAD_BODIES[name] != BODY
    with pytest.raises((DescriptorError, KeyFormatError)):
        QuorumDescriptor.parse(
            with_checksum(BAD_BODIES[name].rstrip("\n")) + "\n" * name.count("newline"), Network.REGTEST
        )


@pytest.mark.parametrize("origin", VECTORS["bad_key_origins"])
def test_bad_key_origins_of_bip_380_are_refused(origin: str) -> None:
    body = BODY.replace(KEY, origin + KEY.partition("]")[2])
    with pytest.raises(DescriptorError):
        QuorumDescriptor.parse(with_checksum(body), Network.REGTEST)


def test_attack_one_changed_character_is_caught_by_the_checksum() -> None:
    text = DESCRIPTOR.text()
    for at in range(0, len(text), 7):
        wrong = text[:at] + ("a" if text[at] != "a" else "b") + text[at + 1 :]
        with pytest.raises(DescriptorError):
            QuorumDescriptor.parse(wrong, Network.REGTEST)


@given(st.text(max_size=60))
def test_random_text_is_refused_with_a_protocol_error(text: str) -> None:
    with pytest.raises(ProtocolError):
        QuorumDescriptor.parse(text, Network.REGTEST)


def test_attack_text_of_megabytes_is_refused_at_once() -> None:
    with pytest.raises(DescriptorError, match="too long"):
        QuorumDescriptor.parse(BODY * 5000, Network.REGTEST)


def test_private_key_in_a_descriptor_is_refused_and_never_quoted() -> None:
    secret: Any = QUORUM.masters[0].derive(list(account_path(Network.REGTEST))).to_base58()
    body = BODY.replace(FIRST.xpub.text(), secret)
    with pytest.raises(KeyFormatError, match="private") as caught:
        QuorumDescriptor.parse(with_checksum(body), Network.REGTEST)
    assert secret[4:12] not in str(caught.value)
