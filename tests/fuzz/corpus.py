"""The good inputs that fuzzing begins with, made by the tests' builders."""

from __future__ import annotations

from typing import Final

import message_examples as examples
from appliance.builders import ALICE, DESCRIPTOR, HEIGHT, QUORUM, RISK, good_batch, public, stated
from fuzz.camera_targets import camera_corpus
from fuzz.code_corpus import code_corpus
from fuzz.eye_targets import eye_corpus
from fuzz.fast_targets import fast_corpus
from fuzz.serial_corpus import serial_corpus
from fuzz.ur_corpus import ur_corpus
from undercroft_protocol import cbor
from undercroft_protocol.bitcoin.psbt import Psbt, PsbtInput, PsbtOutput, key_derivations
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput
from undercroft_protocol.messages import Clearance

_COIN_SATS: Final = 10_000_000


def good_psbt(inputs: int = 1) -> Psbt:
    """Coins at 0/0 and on, one payee, change at 1/0."""
    previous = [
        Transaction(
            2, (TxInput(Outpoint(bytes([at + 1]) * 32, 0), 0xFFFFFFFD),),
            (TxOutput(_COIN_SATS, DESCRIPTOR.script(0, at)),), 0,
        )
        for at in range(inputs)
    ]  # fmt: skip
    outputs = (TxOutput(6_000_000, b"\x00\x14" + b"\x44" * 20), TxOutput(3_990_000, DESCRIPTOR.script(1, 0)))
    transaction = Transaction(2, tuple(TxInput(Outpoint(one.txid, 0), 0xFFFFFFFD) for one in previous), outputs, HEIGHT)
    known = tuple(
        PsbtInput(one, DESCRIPTOR.witness_script(0, at), key_derivations(DESCRIPTOR, 0, at))
        for at, one in enumerate(previous)
    )
    change = PsbtOutput(DESCRIPTOR.witness_script(1, 0), key_derivations(DESCRIPTOR, 1, 0))
    return Psbt(transaction, known, (PsbtOutput(), change))


def of(target: str) -> list[bytes]:
    """Good inputs of one target."""
    if target == "eye":
        return eye_corpus()
    if target == "fast":
        return fast_corpus()
    if target == "y4m":
        return camera_corpus()
    if target in ("bbqr", "collector", "texts"):
        return code_corpus(target)
    if target in ("frame", "link", "unsqueeze"):
        return serial_corpus(target)
    return ur_corpus(target) if target.startswith("ur-") else _messages(target)


def _messages(target: str) -> list[bytes]:
    statement = stated(Clearance(QUORUM.id, "w-1", b"\x00\x14" + bytes(20), 1000, 0, bytes(32)), RISK)
    match target:
        case "batch":
            return [good_batch(1).to_bytes(), good_batch(3).to_bytes()]
        case "cbor":
            return [cbor.encode({1: (1, "text", b"bytes", True)}), good_batch(1).to_bytes()]
        case "cose":
            return [statement, public(ALICE.identity)]
        case "policy":
            return [examples.POLICY_TEXT.format(version=1).encode()]
        case "psbt":
            return [good_psbt(1).serialize(), good_psbt(3).serialize()]
    raise ValueError(f"no target {target}")
