"""Vectors for the PSBT door: transactions of another shape, and PSBTs in another form than the strict one."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from typing import Any

from appliance.builders import DESCRIPTOR, POLICY
from appliance.keeper.psbt_damages import (
    GOOD,
    PREVIOUS,
    put_global,
    put_out,
)
from appliance.keeper.psbt_support import Damage, RawPsbt
from bad_inputs import Vector, packed
from undercroft_protocol.bitcoin.psbt_records import MAX_INPUTS
from undercroft_protocol.bitcoin.transaction import TxOutput
from vectors.bad_psbts import known, out, psbt, spends

MALFORMED = "psbt-malformed"
FIELD = "psbt-field"
TYPE = "output-type"


def all_psbt_forms() -> Iterator[Vector]:
    yield from _shape()
    yield from _framing()


def version_of(version: int) -> Damage:
    return lambda raw: raw.change_transaction(version=version)


def sequence_of(sequence: int) -> Damage:
    return lambda raw: raw.change_input(sequence=sequence)


def locktime_of(locktime: int) -> Damage:
    return lambda raw: raw.change_transaction(locktime=locktime)


def one_coin_twice(raw: RawPsbt) -> None:
    inputs = raw.transaction.inputs
    raw.change_transaction(inputs=(*inputs[:-1], inputs[-2]))
    raw.inputs[-1] = raw.inputs[-2]


def twice(value: bytes) -> bytes:
    """The good PSBT with the record of this value written twice."""
    data = GOOD.serialize()
    at = data.rindex(value)
    start = at - (3 if len(value) < 0xFD else 5)
    return data[: at + len(value)] + data[start : at + len(value)] + data[at + len(value) :]


def repeated(before: bytes, unit: bytes, times: int, after: bytes = b"") -> dict[str, Any]:
    return {"repeat": {"before": packed(before), "unit": packed(unit), "times": times, "after": packed(after)}}


def ten_thousand_inputs() -> dict[str, Any]:
    """An unsigned transaction that says 10,000 inputs and has them."""
    one = bytes(32) + bytes(4) + b"\x00" + b"\xfd\xff\xff\xff"
    count = 10 * MAX_INPUTS
    head, tail = struct.pack("<I", 2) + b"\xfd" + struct.pack("<H", count), b"\x00" + bytes(4)
    size = len(head) + len(one) * count + len(tail)
    return repeated(b"psbt\xff\x01\x00\xfe" + struct.pack("<I", size) + head, one, count, tail + b"\x00")


def _shape() -> Iterator[Vector]:
    yield psbt(
        "051-one-coin-twice", "One coin stands in the transaction twice.", "outpoint-repeated", one_coin_twice, 2
    )
    unsigned = GOOD.transaction.serialize()
    spent, paid = unsigned[4:46], unsigned[46:-4]
    for name, parts in (("outputs", spent + b"\x00"), ("inputs", b"\x00" + paid)):
        bare = unsigned[:4] + parts + unsigned[-4:]
        data = b"psbt\xff\x01\x00" + bytes([len(bare)]) + bare + bytes(3)
        yield psbt(f"052-no-{name}", f"A transaction without {name}.", MALFORMED, data)
    for version, name in ((0, "0"), (1, "1"), (3, "3"), (0xFFFFFFFF, "minus-1")):
        yield psbt(
            f"053-version-{name}",
            "A transaction version that is not the one that is signed.",
            "transaction-version",
            version_of(version),
        )
    for sequence, name in ((0, "zero"), (1, "relative-lock"), (0xFFFFFFFF, "final")):
        yield psbt(
            f"053-sequence-{name}",
            "A sequence number that adds a lock, or puts the locktime out of force.",
            "sequence-number",
            sequence_of(sequence),
        )
    for locktime, name in ((902, "two-blocks-ahead"), (499_999_999, "far-future"), (1_600_000_000, "as-a-time")):
        yield psbt(
            f"053-locktime-{name}",
            "A locktime that lets the signature become valid much later, or at a time.",
            "locktime",
            locktime_of(locktime),
        )
    for name, script, sats in (
        ("plain", b"\x6a\x04burn", 0),
        ("not-minimal", b"\x6a\x4c\x04burn", 0),
        ("trailing", b"\x6a\x01x\x51", 0),
        ("84-bytes", b"\x6a\x4c\x54" + b"x" * 84, 0),
        ("with-value", b"\x6a\x04burn", 100_000),
    ):
        attack = "An OP_RETURN output, which hides data or burns money."
        yield psbt(f"054-op-return-{name}", attack, TYPE, out(0, script=script, amount_sats=sats))
    for name, script in (
        ("witness-v2", b"\x52\x20" + bytes(32)),
        ("witness-v16", b"\x60\x02\x01\x02"),
        ("bare-multisig", DESCRIPTOR.witness_script(0, 0)),
        ("p2pk", b"\x21\x02" + b"\x11" * 32 + b"\xac"),
        ("anyone", b"\x51"),
        ("empty", b""),
    ):
        attack = "A script that has no address, or may be spent by rules that are not known yet."
        yield psbt(f"055-{name}", attack, TYPE, out(0, script=script))
    yield psbt(
        "056-taproot-input",
        "A P2TR coin that this device cannot sign for; it is refused, not skipped.",
        "foreign-coin",
        spends(b"\x51\x20" + b"\x77" * 32),
        2,
    )
    yield known("056-taproot-field", "An input has taproot fields.", "taproot derivation")


def _framing() -> Iterator[Vector]:
    for value, name in (
        (GOOD.transaction.serialize(), "unsigned-transaction"),
        (PREVIOUS, "previous"),
        (GOOD.inputs[0][b"\x01"], "utxo"),
        (DESCRIPTOR.witness_script(1, 0), "change-script"),
    ):
        yield psbt(f"059-duplicate-{name}", "One key stands twice in a map.", MALFORMED, twice(value))
    yield known("059-key-too-long", "A key longer than its type.", "previous transaction with a longer key")
    yield known("059-value-wrong-length", "A value of a wrong length.", "sighash of one byte")
    yield known("059-xpub-wrong-length", "A global xpub of 77 bytes.", "xpub of a wrong length")
    yield known("060-version-2", "A PSBT of version 2.", "version 2")
    yield known("060-v2-global-in-v0", "A global field of version 2 in version 0.", "global field of version 2")
    yield known("060-v2-input-in-v0", "An input field of version 2 in version 0.", "input field of version 2")
    yield known("060-v2-output-in-v0", "An output field of version 2 in version 0.", "output field of version 2")
    yield psbt(
        "060-version-2-without-outpoint",
        "Version 2 by its rules, without an outpoint.",
        "psbt-version",
        b"psbt\xff\x01\xfb\x04" + struct.pack("<I", 2) + b"\x01\x04\x01\x01\x01\x05\x01\x01\x00\x00\x00",
    )
    yield psbt(
        "060-count-2-64",
        "The unsigned transaction announces 2^64-1 inputs.",
        MALFORMED,
        b"psbt\xff\x01\x00\x0d\x02\x00\x00\x00\xff" + b"\xff" * 8 + b"\x00",
    )
    yield known("060-one-map-too-many", "There are more maps than outputs.", "one map too many")
    yield known("060-one-map-too-few", "There are fewer maps than outputs.", "one map too few")
    good = GOOD.serialize()
    script = DESCRIPTOR.witness_script(0, 0)
    at = good.index(script)
    yield known("061-trailing-byte", "A byte follows the last map.", "trailing byte")
    yield psbt("061-cut-at-each-byte", "Cut off, at every byte there is.", MALFORMED, good, cut_at_each_byte=True)
    yield psbt(
        "061-size-not-minimal",
        "A size of one byte, written in three.",
        MALFORMED,
        good[: at - 1] + b"\xfd\x69\x00" + good[at:],
    )
    yield psbt("061-size-overflows", "A size of 2^64-1.", MALFORMED, b"psbt\xff\x01\x00\xff" + b"\xff" * 8)
    yield psbt("061-empty-maps", "Maps without a record.", MALFORMED, b"psbt\xff\x00\x00\x00")
    yield psbt("061-wrong-magic", "Another magic.", MALFORMED, b"psbu\xff" + good[5:])
    yield psbt("061-nothing", "No bytes at all.", MALFORMED, b"")
    yield known("062-script-in-unsigned", "The unsigned transaction carries a script.", "script in an input")
    yield known("062-witness-in-unsigned", "The unsigned transaction carries a witness.", "witness in an input")
    yield known("063-unknown-field", "An unknown field in an input.", "unknown field")
    yield known("063-proprietary-field", "A proprietary field in an input.", "proprietary field")
    yield psbt("063-unknown-global-large", "An unknown global field of 3 kB.", FIELD, put_global(b"\x77", bytes(3000)))
    yield psbt(
        "063-proprietary-output", "A proprietary field in an output.", FIELD, put_out(0, b"\xfc\x02ae\x00", b"x")
    )
    attack = "The unsigned transaction says 10,000 inputs, and has them."
    yield Vector("064-ten-thousand-inputs", attack, "psbt", MALFORMED, ten_thousand_inputs())
    attack = "A good PSBT, and five megabytes behind it."
    yield Vector("064-larger-than-any-message", attack, "psbt", MALFORMED, repeated(good, bytes(1 << 10), 5 << 10))
    challenge = RawPsbt.good()
    challenge.change_transaction(version=0, locktime=0, outputs=(TxOutput(0, b"\x6a"),))
    challenge.change_input(sequence=0)
    challenge.outputs = [{}]
    yield psbt(
        "083-bip-322-as-a-psbt",
        "The transaction of a signed message (BIP 322) is passed off as a payment.",
        "transaction-version",
        challenge,
    )
    held = dataclasses.replace(POLICY, uncleared="refuse")
    yield psbt(
        "code-uncleared-payee",
        "A PSBT as a way round the risk service, under a policy that refuses what was not cleared.",
        "uncleared-payee",
        GOOD,
        policy=packed(held.to_bytes()),
    )
