"""The one reader of PSBTs: which field belongs where, by which error it is refused, in which order it is written."""

from __future__ import annotations

import random

import pytest

from bitcoin_examples import example_psbt, example_quorum, signed_by_embit
from undercroft_protocol.bitcoin.encoding import compact_size
from undercroft_protocol.bitcoin.hashes import hash160
from undercroft_protocol.bitcoin.psbt_map import SEPARATOR, read_map, record
from undercroft_protocol.bitcoin.psbt_records import MAX_INPUTS, MAX_OUTPUTS, PsbtRecords, write_psbt
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput
from undercroft_protocol.errors import (
    PsbtError,
    PsbtFieldError,
    PsbtFinalError,
    PsbtSighashError,
    PsbtVersionError,
    TransactionError,
)

QUORUM = example_quorum(1)
PSBT = example_psbt(QUORUM, 1)
DATA = PSBT.serialize()
GOOD = PsbtRecords.parse(DATA)
UNSIGNED = PSBT.transaction.serialize()

# Kinds of BIP 174 and its extensions (BIP 370, 371, 373, 174's registry) that are no part of a P2WSH multisig.
GLOBAL_FIELDS = dict.fromkeys((7, 8, 10, 250, 252), PsbtFieldError) | dict.fromkeys(range(2, 7), PsbtVersionError)
INPUT_FIELDS = (
    dict.fromkeys((4, *range(9, 14), *range(19, 30), 252, 255), PsbtFieldError)
    | dict.fromkeys((7, 8), PsbtFinalError)
    | dict.fromkeys(range(14, 19), PsbtVersionError)
)
OUTPUT_FIELDS = dict.fromkeys((0, *range(5, 11), 53, 252), PsbtFieldError) | dict.fromkeys((3, 4), PsbtVersionError)


def with_field(place: str, field: bytes) -> bytes:
    """The good PSBT with one record more."""
    globals_ = record(0, UNSIGNED) + (field if place == "global" else b"")
    inputs = [write_map(one) for one in GOOD.inputs]
    outputs = [write_map(one) for one in GOOD.outputs]
    for name, maps in (("input", inputs), ("output", outputs)):
        maps[1] += field if place == name else b""
    return b"psbt\xff" + b"".join(one + SEPARATOR for one in (globals_, *inputs, *outputs))


def write_map(records: object) -> bytes:
    assert isinstance(records, dict)
    return b"".join(record(key[0], value, key[1:]) for key, value in records.items())


FIELDS = [
    (place, kind, error)
    for place, kinds in (("global", GLOBAL_FIELDS), ("input", INPUT_FIELDS), ("output", OUTPUT_FIELDS))
    for kind, error in kinds.items()
]


@pytest.mark.parametrize(("place", "kind", "error"), FIELDS)
@pytest.mark.parametrize("key", [b"", b"\x02" + bytes(32)], ids=["plain", "by key"])
def test_attack_a_field_that_does_not_belong_there(place: str, kind: int, error: type[PsbtError], key: bytes) -> None:
    with pytest.raises(error) as caught:
        PsbtRecords.parse(with_field(place, record(kind, b"value", key)))
    assert type(caught.value) is error
    assert f"{kind:#04x}" in caught.value.detail


@pytest.mark.parametrize(
    ("place", "kind", "size"),
    [
        *(("input", kind, 2) for kind in (0, 1, 3, 5)),
        *(("input", kind, size) for kind in (2, 6) for size in (1, 33, 35, 66)),
        *(("output", 1, size) for size in (2, 34)),
        *(("output", 2, size) for size in (1, 33, 35, 66)),
        *(("global", 1, size) for size in (1, 78, 80)),
        *(("global", kind, 2) for kind in (0, 0xFB)),
    ],
)
def test_attack_a_key_of_the_wrong_length(place: str, kind: int, size: int) -> None:
    with pytest.raises(PsbtFieldError, match=f"{size} bytes"):
        PsbtRecords.parse(with_field(place, record(kind, b"value", bytes(size - 1))))


@pytest.mark.parametrize("value", [b"", b"\x01", b"\x02\x00\x00\x00", b"\x81\x00\x00\x00", b"\x01\x00\x00\x00\x00"])
def test_attack_another_sighash_than_all(value: bytes) -> None:
    with pytest.raises(PsbtSighashError):
        PsbtRecords.parse(with_field("input", record(3, value)))
    PsbtRecords.parse(with_field("input", record(3, b"\x01\x00\x00\x00")))


@pytest.mark.parametrize("version", [1, 2, 0xFFFFFFFF])
def test_another_version_is_refused_by_its_number(version: int) -> None:
    with pytest.raises(PsbtVersionError, match=f"version {version} "):
        PsbtRecords.parse(with_field("global", record(0xFB, version.to_bytes(4, "little"))))


def test_global_xpubs_are_read_and_written_by_fingerprint() -> None:
    origins = {bytes([at]) * 78: bytes([9 - at]) * 4 + bytes(16) for at in range(3)}
    fields = b"".join(record(1, origin, xpub) for xpub, origin in origins.items())
    records = PsbtRecords.parse(with_field("global", fields))
    assert records.xpubs == origins
    written = write_psbt(records.unsigned, records.inputs, records.outputs, records.xpubs)
    assert list(PsbtRecords.parse(written).xpubs.values()) == sorted(origins.values())


def test_what_was_read_is_written_again_byte_for_byte() -> None:
    both = signed_by_embit(PSBT, QUORUM, 0, 1).serialize()
    for data in (DATA, both):
        records = PsbtRecords.parse(data)
        assert write_psbt(records.unsigned, records.inputs, records.outputs) == data
        assert records.transaction.serialize() == records.unsigned


def test_records_are_written_by_kind_and_key_and_signatures_by_the_hash_of_their_key() -> None:
    rng = random.Random(4)
    keys = [b"\x02" + rng.randbytes(32) for _ in range(3)]
    records = {bytes([kind]) + key: key for kind in (6, 2) for key in keys} | {b"\x05": b"s", b"\x00": b"p"}
    written, _ = read_map(write_psbt(b"", [records], []), 5 + len(record(0, b"")) + 1)
    assert list(written) == [
        b"\x00",
        *(b"\x02" + key for key in sorted(keys, key=hash160)),
        b"\x05",
        *(b"\x06" + key for key in sorted(keys)),
    ]


@pytest.mark.parametrize(("inputs", "outputs"), [(MAX_INPUTS + 1, 1), (1, MAX_OUTPUTS + 1)])
def test_attack_more_inputs_or_outputs_than_anybody_needs(inputs: int, outputs: int) -> None:
    transaction = Transaction(
        2,
        tuple(TxInput(Outpoint(bytes(32), at), 0) for at in range(inputs)),
        tuple(TxOutput(1, b"") for _ in range(outputs)),
        0,
    )
    maps = b"\x00" * (inputs + outputs)
    with pytest.raises(PsbtError, match="1000 are the most"):
        PsbtRecords.parse(b"psbt\xff" + record(0, transaction.serialize()) + b"\x00" + maps)


def test_unsigned_transactions_are_read_as_the_strict_parser_reads_them() -> None:
    assert Transaction.parse_unsigned(UNSIGNED, 2, 2) == Transaction.parse(UNSIGNED)
    with pytest.raises(TransactionError, match="has a script"):
        Transaction.parse_unsigned(UNSIGNED[:41] + b"\x01\x51" + UNSIGNED[42:], 2, 2)
    for length in range(len(UNSIGNED)):
        with pytest.raises(TransactionError):
            Transaction.parse_unsigned(UNSIGNED[:length], 2, 2)
    with pytest.raises(TransactionError, match="trailing"):
        Transaction.parse_unsigned(UNSIGNED + b"\x00", 2, 2)
    with pytest.raises(TransactionError, match="most"):
        Transaction.parse_unsigned(UNSIGNED[:4] + compact_size(1 << 63) + UNSIGNED[5:], 2, 2)
