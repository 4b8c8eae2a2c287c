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
from fuzz.camera_targets import fuzz_y4m
from fuzz.code_targets import fuzz_bbqr, fuzz_collector, fuzz_texts
from fuzz.eye_targets import fuzz_eye
from fuzz.fast_targets import fuzz_fast
from fuzz.serial_targets import fuzz_frame, fuzz_link, fuzz_unsqueeze
from fuzz.ur_targets import fuzz_bytewords, fuzz_registry, fuzz_ur_part, fuzz_ur_text
from undercroft_appliance.keeper.addresses import AddressBook
from undercroft_appliance.keeper.prove import prove
from undercroft_appliance.keeper.psbt_door import prove_psbt
from undercroft_appliance.keeper.refusals import Refusal
from undercroft_protocol import cbor, cose
from undercroft_protocol.errors import CborError, CoseError, MessageError
from undercroft_protocol.messages import BatchRequest
from undercroft_protocol.messages.policy_text import policy_from_toml

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


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = MappingProxyType(
    {
        "batch": fuzz_batch,
        "bbqr": fuzz_bbqr,
        "cbor": fuzz_cbor,
        "collector": fuzz_collector,
        "cose": fuzz_cose,
        "eye": fuzz_eye,
        "fast": fuzz_fast,
        "frame": fuzz_frame,
        "link": fuzz_link,
        "policy": fuzz_policy,
        "psbt": fuzz_psbt,
        "texts": fuzz_texts,
        "unsqueeze": fuzz_unsqueeze,
        "ur-bytewords": fuzz_bytewords,
        "ur-part": fuzz_ur_part,
        "ur-registry": fuzz_registry,
        "ur-text": fuzz_ur_text,
        "y4m": fuzz_y4m,
    }
)


def seeds(target: str) -> list[bytes]:
    """Good inputs to begin with: mutations of these get further than noise."""
    return corpus.of(target)
