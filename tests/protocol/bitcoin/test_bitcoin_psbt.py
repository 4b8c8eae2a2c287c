"""PSBTs: written for others, their signatures read back, and everything else refused."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from embit.psbt import PSBT as EmbitPsbt  # noqa: N811 - the class is named so
from hypothesis import given
from hypothesis import strategies as st

from bitcoin_examples import (
    example_previous,
    example_psbt,
    example_quorum,
    signed_by_bdk,
    signed_by_embit,
    vectors,
)
from undercroft_protocol.bitcoin.finalize import finalize_multisig
from undercroft_protocol.bitcoin.psbt import KeyDerivation, Psbt, PsbtInput, PsbtOutput, key_derivations
from undercroft_protocol.bitcoin.psbt_map import record
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput
from undercroft_protocol.errors import PsbtError, SignatureError

QUORUM = example_quorum(1)
GOOD = example_psbt(QUORUM, 1)


@pytest.mark.parametrize("seed", range(5))
def test_serialised_psbt_reads_back(seed: int) -> None:
    psbt = example_psbt(example_quorum(seed), seed, input_count=1 + seed)
    again = Psbt.parse(psbt.serialize())
    assert again.serialize() == psbt.serialize()
    assert again.transaction == psbt.transaction
    assert Psbt.parse_base64(psbt.base64()).base64() == psbt.base64()
    assert [set(one.derivations) for one in again.inputs] == [set(one.derivations) for one in psbt.inputs]


def test_embit_reads_the_same_amounts_scripts_and_paths() -> None:
    other = EmbitPsbt.parse(GOOD.serialize())
    assert other.tx.txid().hex() == GOOD.transaction.txid_hex
    for at, known in enumerate(GOOD.inputs):
        spent = GOOD.spent_output(at)
        assert other.inputs[at].witness_utxo.value == spent.amount_sats
        assert other.inputs[at].witness_utxo.script_pubkey.data == spent.script
        assert other.inputs[at].witness_script.data == known.witness_script
        paths = {
            key.sec(): (origin.fingerprint, tuple(origin.derivation))
            for key, origin in other.inputs[at].bip32_derivations.items()
        }
        assert paths == {one.public_key: (one.fingerprint, one.path) for one in known.derivations}
    assert other.outputs[1].witness_script.data == GOOD.outputs[1].witness_script
    assert not other.outputs[0].bip32_derivations


def test_signatures_by_embit_and_bdk_merge_into_a_final_transaction() -> None:
    by_embit = signed_by_embit(GOOD, QUORUM, 0)
    by_bdk = signed_by_bdk(GOOD, QUORUM, 1)
    merged = GOOD
    for at in range(len(GOOD.inputs)):
        for signed in (by_embit, by_bdk):
            merged = merged.with_signatures(at, signed.inputs[at].partial_signatures)
    signatures = merged.verified_signatures()
    assert [len(one) for one in signatures] == [2, 2]
    scripts = [known.witness_script for known in merged.inputs]
    final = finalize_multisig(merged.transaction, scripts, signatures)
    assert final.txid == GOOD.transaction.txid
    assert all(len(spent.witness) == 4 for spent in final.inputs)
    assert Psbt.parse(merged.serialize()).serialize() == merged.serialize()


def test_bdk_finalises_what_two_signers_signed_into_the_same_bytes() -> None:
    bdkpython = pytest.importorskip("bdkpython")
    first = signed_by_embit(GOOD, QUORUM, 0)
    both = signed_by_embit(first, QUORUM, 2)
    scripts = [known.witness_script for known in both.inputs]
    ours = finalize_multisig(both.transaction, scripts, both.verified_signatures())
    result = bdkpython.Psbt(both.base64()).finalize()
    assert result.could_finalize
    assert bytes(result.psbt.extract_tx_unchecked_fee_rate().serialize()) == ours.serialize()


@pytest.mark.parametrize("vector", vectors("bip174_invalid")["vectors"], ids=lambda v: v["case"])
def test_invalid_psbts_of_bip_174_are_refused(vector: dict[str, str]) -> None:
    with pytest.raises(PsbtError):
        Psbt.parse_base64(vector["base64"])


def test_attack_truncated_at_each_byte_is_refused() -> None:
    data = example_psbt(QUORUM, 2, input_count=1).serialize()
    for length in range(len(data)):
        with pytest.raises(PsbtError):
            Psbt.parse(data[:length])


def test_attack_trailing_byte_is_refused() -> None:
    with pytest.raises(PsbtError, match="trailing"):
        Psbt.parse(GOOD.serialize() + b"\x00")


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_attack_a_changed_byte_never_raises_anything_but_a_psbt_error(at: int, flip: int) -> None:
    data = bytearray(GOOD.serialize())
    data[at % len(data)] ^= flip
    try:
        Psbt.parse(bytes(data))
    except PsbtError:
        return
    assert Psbt.parse(bytes(data)).transaction.txid


@given(st.binary(max_size=100))
def test_random_bytes_are_refused_with_a_psbt_error(data: bytes) -> None:
    with pytest.raises(PsbtError):
        Psbt.parse(data)
    with pytest.raises(PsbtError):
        Psbt.parse(b"psbt\xff" + data)


class RawPsbt:
    """A PSBT as maps of records, to be put together wrongly."""

    def __init__(self, psbt: Psbt) -> None:
        known, change = psbt.inputs[0], psbt.outputs[1]
        self.magic = b"psbt\xff"
        self.globals = [record(0x00, psbt.transaction.serialize())]
        self.input = [
            record(0x00, known.previous.serialize(with_witness=False)),
            record(0x01, psbt.spent_output(0).serialize()),
            record(0x05, known.witness_script),
        ]
        self.outputs = [b"", record(0x01, change.witness_script)]
        self.tail = b""

    def serialize(self) -> bytes:
        maps = [b"".join(self.globals), b"".join(self.input), *self.outputs]
        return self.magic + b"".join(one + b"\x00" for one in maps) + self.tail


SINGLE = example_psbt(QUORUM, 3, input_count=1)
KEY = SINGLE.inputs[0].derivations[0].public_key
UNSIGNED = SINGLE.transaction
OTHER_KEY = QUORUM.descriptor.public_keys(0, 999)[0]
SIGNATURE = next(iter(signed_by_embit(SINGLE, QUORUM, 0).inputs[0].partial_signatures.values()))


def mutations() -> dict[str, Callable[[RawPsbt], object]]:
    spent = SINGLE.spent_output(0)
    known = SINGLE.inputs[0]
    cheaper = replace(spent, amount_sats=spent.amount_sats - 1)
    signed = replace(UNSIGNED, inputs=(replace(UNSIGNED.inputs[0], script_sig=b"\x51"),))
    witnessed = replace(UNSIGNED, inputs=(replace(UNSIGNED.inputs[0], witness=(b"\x01",)),))
    foreign = example_previous(random.Random(77), spent.script, spent.amount_sats, 0)
    other_script = QUORUM.descriptor.witness_script(0, 998)
    path = bytes(4) + b"\x01\x00\x00\x00"
    return {
        "wrong magic": lambda raw: setattr(raw, "magic", b"psbt\xfe"),
        "signed transaction": lambda raw: raw.globals.__setitem__(0, record(0, signed.serialize())),
        "transaction with witness": lambda raw: raw.globals.__setitem__(0, record(0, witnessed.serialize())),
        "transaction twice": lambda raw: raw.globals.append(raw.globals[0]),
        "no transaction": lambda raw: raw.globals.clear(),
        "transaction key too long": lambda raw: raw.globals.__setitem__(0, record(0, UNSIGNED.serialize(), b"\x00")),
        "version 2": lambda raw: raw.globals.append(record(0xFB, b"\x02\x00\x00\x00")),
        "version of the wrong length": lambda raw: raw.globals.append(record(0xFB, b"\x00")),
        "version 2 transaction version": lambda raw: raw.globals.append(record(0x02, bytes(4))),
        "global xpub": lambda raw: raw.globals.append(record(0x01, path, bytes(78))),
        "global proprietary": lambda raw: raw.globals.append(record(0xFC, b"x", b"\x01a")),
        "no previous transaction": lambda raw: raw.input.pop(0),
        "another previous transaction": lambda raw: raw.input.__setitem__(0, record(0, foreign.serialize())),
        "previous transaction cut off": lambda raw: raw.input.__setitem__(
            0, record(0, known.previous.serialize()[:-1])
        ),
        "previous transaction with a tail": lambda raw: raw.input.__setitem__(
            0, record(0, known.previous.serialize() + b"\x00")
        ),
        "witness UTXO with a lower amount": lambda raw: raw.input.__setitem__(1, record(1, cheaper.serialize())),
        "witness UTXO cut off": lambda raw: raw.input.__setitem__(1, record(1, spent.serialize()[:-1])),
        "witness UTXO twice": lambda raw: raw.input.append(raw.input[1]),
        "witness UTXO key too long": lambda raw: raw.input.__setitem__(1, record(1, spent.serialize(), b"\x00")),
        "no witness script": lambda raw: raw.input.pop(2),
        "another witness script": lambda raw: raw.input.__setitem__(2, record(5, other_script)),
        "sighash NONE": lambda raw: raw.input.append(record(3, b"\x02\x00\x00\x00")),
        "sighash SINGLE": lambda raw: raw.input.append(record(3, b"\x03\x00\x00\x00")),
        "sighash ALL|ANYONECANPAY": lambda raw: raw.input.append(record(3, b"\x81\x00\x00\x00")),
        "sighash with a fourth byte": lambda raw: raw.input.append(record(3, b"\x01\x00\x00\x01")),
        "sighash of the wrong length": lambda raw: raw.input.append(record(3, b"\x01")),
        "redeem script": lambda raw: raw.input.append(record(4, b"\x51")),
        "final script": lambda raw: raw.input.append(record(7, b"\x51")),
        "final witness": lambda raw: raw.input.append(record(8, b"\x00")),
        "version 2 outpoint": lambda raw: raw.input.append(record(0x0E, bytes(32))),
        "taproot signature": lambda raw: raw.input.append(record(0x13, bytes(64))),
        "signature by a foreign key": lambda raw: raw.input.append(record(2, SIGNATURE, OTHER_KEY)),
        "signature key too short": lambda raw: raw.input.append(record(2, SIGNATURE, KEY[:-1])),
        "signature key uncompressed": lambda raw: raw.input.append(record(2, SIGNATURE, b"\x04" + bytes(64))),
        "signature of garbage": lambda raw: raw.input.append(record(2, b"garbage\x01", KEY)),
        "signature with sighash NONE": lambda raw: raw.input.append(record(2, SIGNATURE[:-1] + b"\x02", KEY)),
        "signature without sighash": lambda raw: raw.input.append(record(2, SIGNATURE[:-1], KEY)),
        "derivation of a foreign key": lambda raw: raw.input.append(record(6, path, OTHER_KEY)),
        "derivation cut off": lambda raw: raw.input.append(record(6, path[:-1], KEY)),
        "derivation without a fingerprint": lambda raw: raw.input.append(record(6, b"", KEY)),
        "output script of another address": lambda raw: raw.outputs.__setitem__(1, record(1, other_script)),
        "output claims a foreign payment": lambda raw: raw.outputs.__setitem__(0, record(1, other_script)),
        "output derivation without script": lambda raw: raw.outputs.__setitem__(0, record(2, path, KEY)),
        "output redeem script": lambda raw: raw.outputs.__setitem__(0, record(0, b"\x51")),
        "one output map short": lambda raw: raw.outputs.pop(),
        "one output map too many": lambda raw: raw.outputs.append(b""),
        "key length not the shortest": lambda raw: raw.globals.__setitem__(0, b"\xfd\x01\x00" + raw.globals[0][1:]),
        "value of billions of bytes": lambda raw: setattr(raw, "outputs", [b"\x01\x05\xfe\xff\xff\xff\xff"]),
    }


MUTATIONS = mutations()


def test_the_good_psbt_that_is_mutated_below_is_accepted() -> None:
    raw = RawPsbt(SINGLE)
    assert Psbt.parse(raw.serialize()).transaction == UNSIGNED
    raw.globals.append(record(0xFB, bytes(4)))
    raw.input += [record(3, b"\x01\x00\x00\x00"), record(2, SIGNATURE, KEY)]
    assert Psbt.parse(raw.serialize()).inputs[0].partial_signatures == {KEY: SIGNATURE}


@pytest.mark.parametrize("name", MUTATIONS)
def test_attack_psbt_with_one_mutation_is_refused(name: str) -> None:
    raw = RawPsbt(SINGLE)
    MUTATIONS[name](raw)
    with pytest.raises(PsbtError):
        Psbt.parse(raw.serialize())


def test_version_2_is_refused_by_name() -> None:
    raw = RawPsbt(SINGLE)
    raw.globals = [record(0xFB, b"\x02\x00\x00\x00"), record(0x04, b"\x01"), record(0x05, b"\x02")]
    with pytest.raises(PsbtError, match="version 2 is not supported"):
        Psbt.parse(raw.serialize())


def test_attack_output_index_beyond_the_previous_transaction_is_refused() -> None:
    previous = SINGLE.inputs[0].previous
    spent = TxInput(Outpoint(previous.txid, len(previous.outputs)), 0xFFFFFFFD)
    with pytest.raises(PsbtError, match="no output"):
        replace(SINGLE, transaction=replace(UNSIGNED, inputs=(spent,)))


def test_attack_signature_that_does_not_verify_is_found() -> None:
    psbt = signed_by_embit(GOOD, QUORUM, 0)
    first, second = (psbt.inputs[at].partial_signatures for at in (0, 1))
    swapped = GOOD.with_signatures(0, dict(zip(first, second.values(), strict=True)))
    with pytest.raises(SignatureError):
        swapped.verified_signatures()


def test_an_input_that_is_not_there_is_refused() -> None:
    for index in (-1, 2):
        with pytest.raises(PsbtError):
            GOOD.spent_output(index)
        with pytest.raises(PsbtError):
            GOOD.with_signatures(index, {})


def test_signatures_of_an_input_cannot_be_changed_from_outside() -> None:
    signatures = {KEY: SIGNATURE}
    known = replace(SINGLE.inputs[0], partial_signatures=signatures)
    signatures.clear()
    assert known.partial_signatures == {KEY: SIGNATURE}
    with pytest.raises(TypeError):
        known.partial_signatures[KEY] = b""  # type: ignore[index]


def test_values_that_contradict_each_other_cannot_be_built() -> None:
    twice = replace(SINGLE.inputs[0], derivations=SINGLE.inputs[0].derivations * 2)
    with pytest.raises(PsbtError, match="twice"):
        replace(SINGLE, inputs=(twice,))
    with pytest.raises(PsbtError, match="each input"):
        replace(SINGLE, inputs=())
    with pytest.raises(PsbtError, match="each output"):
        replace(SINGLE, outputs=(PsbtOutput(),))
    for bad in ((b"\x02", bytes(4), ()), (KEY, bytes(3), ()), (KEY, bytes(4), (1 << 32,))):
        with pytest.raises(PsbtError):
            KeyDerivation(*bad)


def test_a_script_that_is_no_multisig_is_refused() -> None:
    previous = example_previous(random.Random(4), b"\x00\x20" + bytes(32), 1000, 0)
    transaction = Transaction(2, (TxInput(Outpoint(previous.txid, 0), 0),), UNSIGNED.outputs, 0)
    with pytest.raises(PsbtError):
        Psbt(transaction, (PsbtInput(previous, b"\x51"),), (PsbtOutput(), PsbtOutput()))


@pytest.mark.parametrize("text", ["", "cHNidP8", "cHNidP8=\n", " cHNidP8=", "cHNidP9=", "\u00fc", "cHNi-P8="])
def test_text_that_is_not_canonical_base_64_of_a_psbt_is_refused(text: str) -> None:
    with pytest.raises(PsbtError):
        Psbt.parse_base64(text)
    canonical = base64.b64encode(SINGLE.serialize()).decode()
    with pytest.raises(PsbtError):
        Psbt.parse_base64(canonical + "\n")


def test_derivations_name_every_cosigner_at_the_address() -> None:
    descriptor = QUORUM.descriptor
    derivations = key_derivations(descriptor, 1, 9)
    assert [one.public_key for one in derivations] == list(descriptor.public_keys(1, 9))
    for one, cosigner in zip(derivations, descriptor.cosigners, strict=True):
        assert (one.fingerprint, one.path) == (cosigner.fingerprint, (*cosigner.path, 1, 9))
