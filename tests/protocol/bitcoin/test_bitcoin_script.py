"""Scripts: the quorum's multisig (BIP 67) and the standard kinds."""

from __future__ import annotations

from typing import Any

import pytest
from embit.ec import PublicKey as EmbitPublicKey
from embit.script import multisig as embit_multisig

from bitcoin_examples import example_quorum, vectors
from undercroft_protocol.bitcoin.address import address_of
from undercroft_protocol.bitcoin.hashes import hash160
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.script import (
    ScriptType,
    classify,
    multisig_parts,
    multisig_script,
    p2wsh_script,
    witness_program,
)
from undercroft_protocol.errors import ScriptError

KEYS = example_quorum(1).descriptor.public_keys(0, 0)
SCRIPT = multisig_script(2, KEYS)


@pytest.mark.parametrize("vector", vectors("bip67")["vectors"], ids=lambda v: v["address"][:8])
def test_keys_are_sorted_as_bip_67_says(vector: dict[str, Any]) -> None:
    script = multisig_script(2, [bytes.fromhex(key) for key in vector["keys"]])
    assert script == bytes.fromhex(vector["script"])
    p2sh = b"\xa9\x14" + hash160(script) + b"\x87"
    assert address_of(p2sh, Network.MAINNET) == vector["address"]


@pytest.mark.parametrize(("threshold", "key_count"), [(1, 1), (2, 3), (3, 5), (15, 15)])
def test_multisig_scripts_agree_with_embit_and_read_back(threshold: int, key_count: int) -> None:
    keys = sorted(example_quorum(key_count, key_count=key_count, threshold=1).descriptor.public_keys(0, 5))
    script = multisig_script(threshold, reversed(keys))
    assert script == embit_multisig(threshold, [EmbitPublicKey.parse(key) for key in keys]).data
    assert multisig_parts(script) == (threshold, tuple(keys))


@pytest.mark.parametrize("threshold", [-1, 0, 4])
def test_attack_impossible_threshold_is_refused(threshold: int) -> None:
    with pytest.raises(ScriptError):
        multisig_script(threshold, KEYS)


def test_attack_no_keys_or_sixteen_are_refused() -> None:
    with pytest.raises(ScriptError):
        multisig_script(0, [])
    with pytest.raises(ScriptError):
        multisig_script(1, [b"\x02" + bytes([at]) * 32 for at in range(16)])


def test_attack_a_key_counted_twice_is_refused() -> None:
    with pytest.raises(ScriptError, match="twice"):
        multisig_script(2, [KEYS[0], KEYS[1], KEYS[0]])


@pytest.mark.parametrize("bad", [b"\x04" + bytes(64), b"\x04" + bytes(32), b"\x02" + bytes(31), b""])
def test_attack_a_key_that_is_not_compressed_is_refused(bad: bytes) -> None:
    with pytest.raises(ScriptError):
        multisig_script(2, [KEYS[0], KEYS[1], bad])


def test_attack_a_script_with_unsorted_keys_is_refused() -> None:
    first, second, third = sorted(KEYS)
    pushes = b"".join(b"\x21" + key for key in (second, first, third))
    with pytest.raises(ScriptError):
        multisig_parts(b"\x52" + pushes + b"\x53\xae")


def test_attack_a_script_changed_in_any_framing_byte_is_refused() -> None:
    for at in (0, 1, 35, 69, len(SCRIPT) - 2, len(SCRIPT) - 1):
        with pytest.raises(ScriptError):
            multisig_parts(SCRIPT[:at] + bytes([SCRIPT[at] ^ 0x04]) + SCRIPT[at + 1 :])


def test_attack_a_script_of_another_length_is_refused() -> None:
    for bad in (b"", b"\x51", SCRIPT[:-1], SCRIPT + b"\x00"):
        with pytest.raises(ScriptError):
            multisig_parts(bad)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("76a914" + "00" * 20 + "88ac", ScriptType.P2PKH),
        ("a914" + "00" * 20 + "87", ScriptType.P2SH),
        ("0014" + "00" * 20, ScriptType.P2WPKH),
        ("0020" + "00" * 32, ScriptType.P2WSH),
        ("5120" + "00" * 32, ScriptType.P2TR),
        ("6a", ScriptType.NULL_DATA),
        ("6a0468656c6c", ScriptType.NULL_DATA),
        ("6a4c0468656c6c", ScriptType.NULL_DATA),
        ("6a0468656c6cac", ScriptType.UNKNOWN),
        ("6a0568656c6c", ScriptType.UNKNOWN),
        ("6a4c", ScriptType.UNKNOWN),
        ("6a4d0100", ScriptType.UNKNOWN),
        ("", ScriptType.UNKNOWN),
        ("0015" + "00" * 21, ScriptType.UNKNOWN),
        ("5220" + "00" * 32, ScriptType.UNKNOWN),
        ("51024e73", ScriptType.UNKNOWN),
        ("76a914" + "00" * 20 + "88ad", ScriptType.UNKNOWN),
        ("21" + "02" * 33 + "ac", ScriptType.UNKNOWN),
    ],
)
def test_only_exact_forms_have_a_kind(script: str, kind: ScriptType) -> None:
    assert classify(bytes.fromhex(script)) is kind


def test_p2wsh_pays_to_the_hash_of_the_script() -> None:
    assert witness_program(p2wsh_script(SCRIPT)) == (0, p2wsh_script(SCRIPT)[2:])
    assert witness_program(b"\x00\x20" + bytes(31)) is None
    assert witness_program(b"\x61\x20" + bytes(32)) is None
