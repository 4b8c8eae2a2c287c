"""What is fuzzed: each target takes bytes and fails by raising anything that the parser does not promise.

A target also says what must hold for bytes that are accepted: one meaning has one encoding, and nothing is proved that
the appliance did not derive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from appliance.builders import DESCRIPTOR, HEIGHT, QUORUM
from fuzz import corpus
from undercroft_appliance.keeper.addresses import AddressBook
from undercroft_appliance.keeper.prove import prove
from undercroft_appliance.keeper.psbt_door import prove_psbt
from undercroft_appliance.keeper.refusals import Refusal
from undercroft_protocol import cbor, cose
from undercroft_protocol.errors import CborError, CoseError, MessageError, ProtocolError
from undercroft_protocol.messages import BatchRequest, policy_from_toml
from undercroft_protocol.serial.frame import decode_frame

_BOOK: Final = AddressBook(DESCRIPTOR, None)
_GAP: Final = 20


def fuzz_cbor(data: bytes) -> None:
    """Only CborError; and what is read is written back byte for byte (RFC 8949, section 4.2)."""
    try:
        value = cbor.decode(data)
    except CborError:
        return
    if cbor.encode(value) != data:
        raise AssertionError("two encodings of one value")


def fuzz_cose(data: bytes) -> None:
    """Only CoseError and CborError; nothing is believed before its signature."""
    try:
        cose.read(data)
    except (CborError, CoseError):
        return


def fuzz_batch(data: bytes) -> None:
    """Only ProtocolError from reading and Refusal from proving; what is proved pays no more than comes in."""
    try:
        batch = BatchRequest.from_bytes(data)
    except (CborError, MessageError):
        return
    if batch.to_bytes() != data:
        raise AssertionError("two encodings of one batch")
    try:
        proven = prove(batch, QUORUM, _BOOK, change_gap=_GAP, change_signed=-1)
    except Refusal:
        return
    for one in proven.transactions:
        if one.fee_sats < 0 or any(own.script != DESCRIPTOR.script(own.branch, own.index) for own in one.own):
            raise AssertionError("proved what is not so")


def fuzz_psbt(data: bytes) -> None:
    """Only Refusal; what is proved spends our coins alone and gives back only to our scripts."""
    try:
        proven = prove_psbt(data, _BOOK, change_gap=_GAP, change_signed=-1, height=HEIGHT).proven
    except Refusal:
        return
    if proven.fee_sats < 0 or proven.in_sats - proven.paid_sats - proven.own_sats != proven.fee_sats:
        raise AssertionError("the sums are wrong")
    if any(own.script != DESCRIPTOR.script(own.branch, own.index) for own in proven.own):
        raise AssertionError("an output of ours is not ours")


def fuzz_policy(data: bytes) -> None:
    """Only MessageError."""
    try:
        policy_from_toml(data.decode("utf-8", "replace"), QUORUM.id, QUORUM.bitcoin_network)
    except MessageError:
        return


def fuzz_frame(data: bytes) -> None:
    """Only ProtocolError: what stands on the line between two delimiters."""
    try:
        decode_frame(data)
    except ProtocolError:
        return


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = MappingProxyType(
    {
        "batch": fuzz_batch,
        "cbor": fuzz_cbor,
        "cose": fuzz_cose,
        "frame": fuzz_frame,
        "policy": fuzz_policy,
        "psbt": fuzz_psbt,
    }
)


def seeds(target: str) -> list[bytes]:
    """Good inputs to begin with: mutations of these get further than noise."""
    return corpus.of(target)
