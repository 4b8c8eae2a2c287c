"""The digest of BIP 143 and the signatures over it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import coincurve
import pytest
from embit.script import Script as EmbitScript
from embit.transaction import Transaction as EmbitTransaction
from hypothesis import given
from hypothesis import strategies as st

from bitcoin_examples import example_psbt, example_quorum, vectors
from undercroft_protocol.bitcoin.script import p2wpkh_script_code
from undercroft_protocol.bitcoin.sighash import SegwitV0Sighash
from undercroft_protocol.bitcoin.signature import (
    CURVE_ORDER,
    add_sighash_all,
    is_low_r,
    parse_der,
    remove_sighash_all,
    verify_ecdsa,
)
from undercroft_protocol.bitcoin.transaction import Transaction, TxOutput
from undercroft_protocol.errors import SignatureError, TransactionError

BIP143 = vectors("bip143")["vectors"]
EXAMPLE: dict[str, Any] = BIP143[0]
PUBLIC_KEY = bytes.fromhex(EXAMPLE["public_key"])
DIGEST = bytes.fromhex(EXAMPLE["digest"])
SIGNATURE = bytes.fromhex(EXAMPLE["signature"])
R, S = parse_der(SIGNATURE)


@pytest.mark.parametrize("vector", BIP143, ids=lambda v: v["name"])
def test_digest_and_signature_are_those_of_bip_143(vector: dict[str, Any]) -> None:
    sighash = SegwitV0Sighash(Transaction.parse(bytes.fromhex(vector["transaction"])))
    script_code = bytes.fromhex(vector["script_code"])
    digest = sighash.digest(vector["input"], script_code, vector["amount_sats"])
    assert digest.hex() == vector["digest"]
    if "key_hash" in vector:
        assert p2wpkh_script_code(bytes.fromhex(vector["key_hash"])) == script_code
    verify_ecdsa(bytes.fromhex(vector["public_key"]), digest, bytes.fromhex(vector["signature"]))


@pytest.mark.parametrize("seed", range(4))
def test_digests_agree_with_embit(seed: int) -> None:
    psbt = example_psbt(example_quorum(seed), seed, input_count=3)
    other = EmbitTransaction.parse(psbt.transaction.serialize())
    sighash = SegwitV0Sighash(psbt.transaction)
    for at, known in enumerate(psbt.inputs):
        amount_sats = psbt.spent_output(at).amount_sats
        expected = other.sighash_segwit(at, EmbitScript(known.witness_script), amount_sats)
        assert sighash.digest(at, known.witness_script, amount_sats) == expected


def test_attack_anything_changed_in_the_transaction_changes_the_digest() -> None:
    psbt = example_psbt(example_quorum(9), 9)
    transaction, script = psbt.transaction, psbt.inputs[0].witness_script
    amount_sats = psbt.spent_output(0).amount_sats
    first, second = transaction.outputs
    changed = [
        replace(transaction, version=1),
        replace(transaction, locktime=1),
        replace(transaction, outputs=(second, first)),
        replace(transaction, outputs=(TxOutput(first.amount_sats + 1, first.script), second)),
        replace(transaction, inputs=transaction.inputs[::-1]),
        replace(transaction, inputs=(replace(transaction.inputs[0], sequence=0), transaction.inputs[1])),
        replace(transaction, inputs=transaction.inputs[:1]),
    ]
    digests = {SegwitV0Sighash(one).digest(0, script, amount_sats) for one in [transaction, *changed]}
    digests.add(SegwitV0Sighash(transaction).digest(0, script, amount_sats - 1))
    digests.add(SegwitV0Sighash(transaction).digest(0, script[:-1], amount_sats))
    digests.add(SegwitV0Sighash(transaction).digest(1, script, amount_sats))
    assert len(digests) == len(changed) + 4


@pytest.mark.parametrize("index", [-1, 2])
def test_an_input_that_is_not_there_is_refused(index: int) -> None:
    psbt = example_psbt(example_quorum(2), 2)
    with pytest.raises(TransactionError):
        SegwitV0Sighash(psbt.transaction).digest(index, b"\x51", 1000)


def der(r: int, s: int) -> bytes:
    """A DER signature of two numbers, in the shortest form."""

    def number(value: int) -> bytes:
        data = value.to_bytes(value.bit_length() // 8 + 1, "big")
        return b"\x02" + bytes([len(data)]) + data

    body = number(r) + number(s)
    return b"\x30" + bytes([len(body)]) + body


@given(st.integers(1, CURVE_ORDER - 1), st.integers(1, CURVE_ORDER // 2))
def test_every_canonical_signature_reads_back(r: int, s: int) -> None:
    assert parse_der(der(r, s)) == (r, s)
    assert is_low_r(der(r, s)) == (r < 1 << 255)


R_BYTES, S_BYTES = SIGNATURE[4:36], SIGNATURE[38:70]


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("empty", b""),
        ("high S", der(R, CURVE_ORDER - S)),
        ("R zero", der(0, S)),
        ("S zero", der(R, 0)),
        ("R the order", der(CURVE_ORDER, S)),
        ("R beyond the order", der(CURVE_ORDER + R, S)),
        ("trailing byte", SIGNATURE + b"\x01"),
        ("trailing byte inside", b"\x30\x45" + SIGNATURE[2:] + b"\x00"),
        ("wrong length", b"\x30\x45" + SIGNATURE[2:]),
        ("long-form length", b"\x30\x81\x44" + SIGNATURE[2:]),
        ("wrong sequence tag", b"\x31" + SIGNATURE[1:]),
        ("wrong R tag", SIGNATURE[:2] + b"\x03" + SIGNATURE[3:]),
        ("wrong S tag", SIGNATURE[:36] + b"\x03" + SIGNATURE[37:]),
        ("padded R", b"\x30\x45\x02\x21\x00" + R_BYTES + b"\x02\x20" + S_BYTES),
        ("padded S", b"\x30\x45\x02\x20" + R_BYTES + b"\x02\x21\x00" + S_BYTES),
        ("negative R", b"\x30\x44\x02\x20" + b"\x80" + R_BYTES[1:] + b"\x02\x20" + S_BYTES),
        ("empty R", b"\x30\x24\x02\x00\x02\x20" + S_BYTES),
        ("R runs over the end", b"\x30\x44\x02\x7f" + SIGNATURE[4:]),
        ("compact form", R_BYTES + S_BYTES),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_attack_signature_in_another_encoding_is_refused(name: str, bad: bytes) -> None:
    with pytest.raises(SignatureError):
        verify_ecdsa(PUBLIC_KEY, DIGEST, bad)


@given(st.integers(0, len(SIGNATURE) - 1), st.integers(1, 255))
def test_attack_a_changed_byte_never_verifies_and_never_raises_anything_else(at: int, flip: int) -> None:
    bad = SIGNATURE[:at] + bytes([SIGNATURE[at] ^ flip]) + SIGNATURE[at + 1 :]
    with pytest.raises(SignatureError):
        verify_ecdsa(PUBLIC_KEY, DIGEST, bad)


def test_attack_signature_by_another_key_or_over_another_digest_is_refused() -> None:
    other_key = coincurve.PrivateKey(bytes([7]) * 32).public_key.format()
    with pytest.raises(SignatureError):
        verify_ecdsa(other_key, DIGEST, SIGNATURE)
    with pytest.raises(SignatureError):
        verify_ecdsa(PUBLIC_KEY, bytes(32), SIGNATURE)
    with pytest.raises(SignatureError):
        verify_ecdsa(PUBLIC_KEY, DIGEST[:31], SIGNATURE)
    for bad_key in (b"", b"\x02" + b"\xff" * 32, PUBLIC_KEY[1:]):
        with pytest.raises(SignatureError):
            verify_ecdsa(bad_key, DIGEST, SIGNATURE)


def test_attack_another_sighash_byte_is_refused() -> None:
    assert remove_sighash_all(add_sighash_all(SIGNATURE)) == SIGNATURE
    for sighash in (0x00, 0x02, 0x03, 0x41, 0x81, 0x82, 0x83):
        with pytest.raises(SignatureError):
            remove_sighash_all(SIGNATURE + bytes([sighash]))
    with pytest.raises(SignatureError):
        remove_sighash_all(b"")
