"""Addresses: BIP 173 and BIP 350, the older ones, and the networks kept apart."""

from __future__ import annotations

import random

import pytest
from embit.script import Script as EmbitScript
from embit.script import address_to_scriptpubkey
from hypothesis import given
from hypothesis import strategies as st

from bitcoin_examples import EMBIT_NETWORKS, vectors
from undercroft_protocol.bitcoin import base58, bech32
from undercroft_protocol.bitcoin.address import address_of, parse_address
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import AddressError

SEGWIT = vectors("segwit_addresses")

STANDARD_SCRIPTS = [
    b"\x76\xa9\x14" + bytes(range(20)) + b"\x88\xac",
    b"\xa9\x14" + bytes(range(20)) + b"\x87",
    b"\x00\x14" + bytes(range(20)),
    b"\x00\x20" + bytes(range(32)),
    b"\x51\x20" + bytes(range(32)),
]


@pytest.mark.parametrize("text", SEGWIT["valid_bech32m"])
def test_bip_350_valid_texts_decode(text: str) -> None:
    prefix, _, is_bech32m = bech32.decode(text)
    assert is_bech32m
    assert text.lower().startswith(prefix + "1")


@pytest.mark.parametrize("vector", SEGWIT["invalid"], ids=lambda v: v["reason"])
def test_invalid_bech32_texts_are_refused(vector: dict[str, str]) -> None:
    with pytest.raises(AddressError):
        bech32.decode(vector["text"])


@pytest.mark.parametrize("vector", SEGWIT["valid_programs"], ids=lambda v: v["address"][:12])
def test_valid_segwit_addresses_stand_for_their_program(vector: dict[str, str]) -> None:
    prefix, version, program = bech32.decode_witness_program(vector["address"])
    opcode = version + 0x50 if version else 0
    assert bytes([opcode, len(program)]) + program == bytes.fromhex(vector["script"])
    assert bech32.encode_witness_program(prefix, version, program) == vector["address"].lower()


@pytest.mark.parametrize("vector", SEGWIT["invalid_addresses"], ids=lambda v: v["reason"])
def test_attack_invalid_segwit_addresses_are_refused_on_every_network(vector: dict[str, str]) -> None:
    for network in Network:
        with pytest.raises(AddressError):
            parse_address(vector["address"], network)


@pytest.mark.parametrize("network", Network)
@pytest.mark.parametrize("script", STANDARD_SCRIPTS, ids=lambda script: f"{len(script)} bytes")
def test_every_standard_script_has_an_address_that_embit_agrees_with(network: Network, script: bytes) -> None:
    address = address_of(script, network)
    assert parse_address(address, network) == script
    assert EmbitScript(script).address(EMBIT_NETWORKS[network]) == address
    assert address_to_scriptpubkey(address).data == script


@pytest.mark.parametrize("script", STANDARD_SCRIPTS, ids=lambda script: f"{len(script)} bytes")
def test_attack_address_of_another_network_is_refused_by_name(script: bytes) -> None:
    with pytest.raises(AddressError, match="belongs to mainnet, not to regtest"):
        parse_address(address_of(script, Network.MAINNET), Network.REGTEST)
    with pytest.raises(AddressError, match=r"regtest.*, not to mainnet"):
        parse_address(address_of(script, Network.REGTEST), Network.MAINNET)


def test_segwit_addresses_of_regtest_are_refused_on_testnet() -> None:
    with pytest.raises(AddressError, match="belongs to regtest, not to testnet"):
        parse_address(address_of(STANDARD_SCRIPTS[3], Network.REGTEST), Network.TESTNET)


def test_attack_mixed_case_is_refused_and_upper_case_read() -> None:
    address = address_of(STANDARD_SCRIPTS[3], Network.REGTEST)
    assert parse_address(address.upper(), Network.REGTEST) == STANDARD_SCRIPTS[3]
    with pytest.raises(AddressError, match="mixed"):
        parse_address(
            address[:-1] + address[-1].upper() if address[-1].isalpha() else "B" + address[1:], Network.REGTEST
        )


@pytest.mark.parametrize("version", range(2, 17))
def test_attack_address_with_unknown_spending_rules_is_refused(version: int) -> None:
    address = bech32.encode_witness_program("bc", version, bytes(32))
    with pytest.raises(AddressError, match="not known"):
        parse_address(address, Network.MAINNET)


def test_scripts_without_an_address_are_refused() -> None:
    for script in (b"", b"\x6a\x01a", b"\x52\x20" + bytes(32), b"\x51\x02\x4e\x73", b"\x51"):
        with pytest.raises(AddressError):
            address_of(script, Network.MAINNET)


@given(st.text(max_size=120))
def test_random_text_is_refused_with_an_address_error(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text, Network.MAINNET)


def test_attack_one_wrong_character_is_refused_everywhere() -> None:
    rng = random.Random(5)
    for script in STANDARD_SCRIPTS:
        address = address_of(script, Network.MAINNET)
        for at in range(len(address)):
            wrong = rng.choice([c for c in "qpzry9x8gf2tvdw0s3jn54khce6mua7l" if c != address[at]])
            with pytest.raises(AddressError):
                parse_address(address[:at] + wrong + address[at + 1 :], Network.MAINNET)


def test_attack_text_of_megabytes_is_refused_at_once() -> None:
    for text in ("1" * 5_000_000, "bc1" + "q" * 5_000_000):
        with pytest.raises(AddressError, match="too long"):
            parse_address(text, Network.MAINNET)


@given(st.binary(max_size=78))
def test_base58check_reads_back(payload: bytes) -> None:
    assert base58.decode_check(base58.encode_check(payload)) == payload


@pytest.mark.parametrize("bad", ["", "1", "1111", "0OIl", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3"])
def test_attack_base58_with_a_wrong_character_or_checksum_is_refused(bad: str) -> None:
    with pytest.raises(AddressError):
        base58.decode_check(bad)


def test_base58_payload_of_another_length_or_version_is_no_address() -> None:
    for payload in (bytes(20), bytes(22), b"\x80" + bytes(32), b"\x30" + bytes(20), b""):
        with pytest.raises(AddressError):
            parse_address(base58.encode_check(payload), Network.MAINNET)


@given(st.integers(0, 16), st.binary(max_size=45))
def test_programs_that_bip_141_does_not_allow_have_no_address(version: int, program: bytes) -> None:
    allowed = len(program) in (20, 32) if version == 0 else 2 <= len(program) <= 40
    if allowed:
        text = bech32.encode_witness_program("tb", version, program)
        assert bech32.decode_witness_program(text) == ("tb", version, program)
    else:
        with pytest.raises(AddressError):
            bech32.encode_witness_program("tb", version, program)
