"""Extended public keys: BIP 32's vectors, embit's derivation, and everything malformed refused."""

from __future__ import annotations

from typing import Any

import coincurve
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitcoin_examples import example_quorum, vectors
from undercroft_protocol.bitcoin import base58
from undercroft_protocol.bitcoin.extended_key import HARDENED, ExtendedPublicKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import KeyFormatError

BIP32 = vectors("bip32")
XPUB: str = BIP32["children"][0]["parent"]
DATA = base58.decode_check(XPUB)


@pytest.mark.parametrize("vector", BIP32["children"], ids=lambda v: str(v["index"]))
def test_public_derivation_is_that_of_bip_32(vector: dict[str, Any]) -> None:
    parent = ExtendedPublicKey.parse(vector["parent"], Network.MAINNET)
    child = parent.child(vector["index"])
    assert child.text() == vector["child"]
    assert child == ExtendedPublicKey.parse(vector["child"], Network.MAINNET)
    assert child.parent_fingerprint == parent.fingerprint
    assert parent.child_public_key(vector["index"]) == child.public_key


@pytest.mark.parametrize("text", [XPUB, BIP32["leading_zeros"]])
def test_text_and_bytes_read_back(text: str) -> None:
    key = ExtendedPublicKey.parse(text, Network.MAINNET)
    assert key.text() == text
    assert ExtendedPublicKey.from_bytes(key.serialize(), Network.MAINNET) == key


@given(st.integers(0, HARDENED - 1))
def test_tweak_added_to_the_private_key_gives_the_childs(index: int) -> None:
    master = example_quorum(3).masters[0]
    key = ExtendedPublicKey.parse(master.to_public().to_base58(), Network.REGTEST)
    private = coincurve.PrivateKey(master.key.secret).add(key.child_tweak(index))
    assert private.public_key.format() == key.child_public_key(index)
    assert master.derive([index]).to_public().key.sec() == key.child_public_key(index)


@pytest.mark.parametrize("index", [-1, HARDENED, HARDENED + 5, 1 << 32])
def test_hardened_children_cannot_be_derived(index: int) -> None:
    key = ExtendedPublicKey.parse(XPUB, Network.MAINNET)
    with pytest.raises(KeyFormatError):
        key.child(index)
    with pytest.raises(KeyFormatError):
        key.child_tweak(index)


def test_key_at_depth_255_has_no_children() -> None:
    deepest = ExtendedPublicKey.from_bytes(DATA[:4] + b"\xff" + DATA[5:], Network.MAINNET)
    with pytest.raises(KeyFormatError, match="depth 255"):
        deepest.child(0)


def test_attack_key_of_another_network_is_refused_by_name() -> None:
    with pytest.raises(KeyFormatError, match="belongs to mainnet, not to regtest"):
        ExtendedPublicKey.parse(XPUB, Network.REGTEST)
    with pytest.raises(KeyFormatError, match="testnet or signet or regtest, not to mainnet"):
        ExtendedPublicKey.parse(example_quorum(1).descriptor.cosigners[0].xpub.text(), Network.MAINNET)


@pytest.mark.parametrize("text", BIP32["private"])
def test_private_key_is_refused_and_never_quoted(text: str) -> None:
    with pytest.raises(KeyFormatError, match="private") as caught:
        ExtendedPublicKey.parse(text, Network.MAINNET)
    assert text[4:12] not in str(caught.value)
    assert caught.value.__cause__ is None


MASTER = base58.decode_check(BIP32["leading_zeros"])


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("empty", b""),
        ("one byte short", DATA[:-1]),
        ("one byte long", DATA + b"\x00"),
        ("unknown version", b"\x04\x88\xb2\x1f" + DATA[4:]),
        ("uncompressed prefix", DATA[:45] + b"\x04" + DATA[46:]),
        ("private key behind a public version", DATA[:45] + b"\x00" + DATA[46:]),
        ("x is not on the curve", DATA[:46] + b"\x00" * 31 + b"\x05"),
        ("x beyond the field", DATA[:46] + b"\xff" * 32),
        ("master with a child number", MASTER[:9] + b"\x00\x00\x00\x01" + MASTER[13:]),
        ("master with a parent", MASTER[:5] + b"\x00\x00\x00\x01" + MASTER[9:]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_attack_malformed_key_is_refused(name: str, bad: bytes) -> None:
    with pytest.raises(KeyFormatError):
        ExtendedPublicKey.from_bytes(bad, Network.MAINNET)
    with pytest.raises(KeyFormatError):
        ExtendedPublicKey.parse(base58.encode_check(bad), Network.MAINNET)


@given(st.text(max_size=120))
def test_random_text_is_refused_with_a_key_format_error(text: str) -> None:
    with pytest.raises(KeyFormatError):
        ExtendedPublicKey.parse(text, Network.MAINNET)


def test_fields_of_the_wrong_size_are_refused() -> None:
    key = ExtendedPublicKey.parse(XPUB, Network.MAINNET)
    good = (key.version, key.depth, key.parent_fingerprint, key.child_number, key.chain_code, key.public_key)
    bad: list[tuple[int, Any]] = [(0, b""), (1, 256), (2, bytes(5)), (3, 1 << 32), (4, bytes(31))]
    for at, value in bad:
        with pytest.raises(KeyFormatError):
            ExtendedPublicKey(*(*good[:at], value, *good[at + 1 :]))
