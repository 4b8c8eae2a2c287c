"""Addresses: the text for a locking script, and back; each the exact inverse of the other."""

from __future__ import annotations

from undercroft_protocol.bitcoin import base58, bech32
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.script import ScriptType, classify, witness_program
from undercroft_protocol.errors import AddressError

_HASH_BYTES = 20


def parse_address(text: str, network: Network) -> bytes:
    """The locking script that an address of this network stands for (BIP 13, 173, 350).

    Raises AddressError for an address of another network (naming it), mixed case, a wrong checksum or one of
    the wrong kind, and for witness programs without known spending rules: funds there could be anyone's.
    """
    lowered = text.lower()
    segwit_networks = [one for one in Network if lowered.startswith(one.bech32_prefix + "1")]
    if segwit_networks:
        return _parse_segwit(text, network, segwit_networks)
    return _parse_base58(text, network)


def address_of(script: bytes, network: Network) -> str:
    """The address of a locking script; AddressError when it has none (bare, OP_RETURN, unknown version)."""
    kind = classify(script)
    if kind is ScriptType.P2PKH:
        return base58.encode_check(network.p2pkh_version + script[3:23])
    if kind is ScriptType.P2SH:
        return base58.encode_check(network.p2sh_version + script[2:22])
    program = witness_program(script)
    if program is None or kind is ScriptType.UNKNOWN:
        raise AddressError("this script has no address")
    return bech32.encode_witness_program(network.bech32_prefix, *program)


def _parse_segwit(text: str, network: Network, networks: list[Network]) -> bytes:
    prefix, version, program = bech32.decode_witness_program(text)
    _check_network(network, [one for one in networks if one.bech32_prefix == prefix])
    opcode = version + 0x50 if version else 0
    script = bytes([opcode, len(program)]) + program
    if classify(script) is ScriptType.UNKNOWN:
        raise AddressError(f"witness version {version} with {len(program)} bytes is not known")
    return script


def _parse_base58(text: str, network: Network) -> bytes:
    payload = base58.decode_check(text)
    version, key_or_script_hash = payload[:1], payload[1:]
    if len(key_or_script_hash) != _HASH_BYTES:
        raise AddressError("neither a segwit address nor the 21 bytes of an older one")
    _check_network(network, [one for one in Network if version in (one.p2pkh_version, one.p2sh_version)])
    if version == network.p2pkh_version:
        return b"\x76\xa9\x14" + key_or_script_hash + b"\x88\xac"
    return b"\xa9\x14" + key_or_script_hash + b"\x87"


def _check_network(network: Network, networks: list[Network]) -> None:
    if network not in networks:
        names = " or ".join(one.value for one in networks) or "an unknown network"
        raise AddressError(f"it belongs to {names}, not to {network.value}")
