"""Witnesses of the multisig, and the sizes that the coin selector counts on."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bitcoin_examples import example_psbt, example_quorum, signed_by_embit
from undercroft_protocol.bitcoin.finalize import (
    estimate_vsize,
    finalize_multisig,
    multisig_input_weight,
    multisig_witness,
)
from undercroft_protocol.bitcoin.script import multisig_parts
from undercroft_protocol.errors import ScriptError, SignatureError, TransactionError

QUORUM = example_quorum(1)
PSBT = signed_by_embit(example_psbt(QUORUM, 1), QUORUM, 0, 1, 2)
SCRIPT = PSBT.inputs[0].witness_script
SIGNATURES: Mapping[bytes, bytes] = PSBT.inputs[0].partial_signatures
KEYS = multisig_parts(SCRIPT)[1]


def test_witness_has_a_dummy_then_signatures_in_key_order_then_the_script() -> None:
    chosen = {KEYS[2]: SIGNATURES[KEYS[2]], KEYS[0]: SIGNATURES[KEYS[0]]}
    assert multisig_witness(2, SCRIPT, chosen) == (b"", SIGNATURES[KEYS[0]], SIGNATURES[KEYS[2]], SCRIPT)


def test_more_signatures_than_the_threshold_leave_the_last_keys_out() -> None:
    expected = (b"", SIGNATURES[KEYS[0]], SIGNATURES[KEYS[1]], SCRIPT)
    assert multisig_witness(2, SCRIPT, SIGNATURES) == expected


def test_attack_too_few_signatures_are_refused() -> None:
    with pytest.raises(SignatureError, match="1 of 2"):
        multisig_witness(2, SCRIPT, {KEYS[1]: SIGNATURES[KEYS[1]]})


def test_attack_signature_by_a_foreign_key_is_refused() -> None:
    foreign = example_quorum(2).descriptor.public_keys(0, 0)[0]
    with pytest.raises(ScriptError, match="not in the script"):
        multisig_witness(2, SCRIPT, {**SIGNATURES, foreign: SIGNATURES[KEYS[0]]})


def test_attack_lower_threshold_than_the_scripts_is_refused() -> None:
    with pytest.raises(ScriptError, match="wants 2"):
        multisig_witness(1, SCRIPT, SIGNATURES)


@pytest.mark.parametrize("bad", [b"", b"\x01", b"garbage\x01"])
def test_attack_malformed_signature_is_refused(bad: bytes) -> None:
    with pytest.raises(SignatureError):
        multisig_witness(2, SCRIPT, {**SIGNATURES, KEYS[0]: bad})


def test_attack_signature_with_another_sighash_is_refused() -> None:
    with pytest.raises(SignatureError):
        multisig_witness(2, SCRIPT, {**SIGNATURES, KEYS[0]: SIGNATURES[KEYS[0]][:-1] + b"\x83"})


def test_numbers_of_scripts_and_signatures_must_agree_with_the_inputs() -> None:
    scripts = [known.witness_script for known in PSBT.inputs]
    signatures = [known.partial_signatures for known in PSBT.inputs]
    with pytest.raises(TransactionError):
        finalize_multisig(PSBT.transaction, scripts[:1], signatures)
    with pytest.raises(TransactionError):
        finalize_multisig(PSBT.transaction, scripts, signatures[:1])
    assert finalize_multisig(PSBT.transaction, scripts, signatures).txid == PSBT.transaction.txid


@pytest.mark.parametrize(
    ("threshold", "key_count", "input_count"), [(1, 1, 1), (2, 3, 1), (2, 3, 7), (3, 5, 2), (5, 15, 2)]
)
def test_estimates_are_never_below_and_at_most_four_units_a_signature_above(
    threshold: int, key_count: int, input_count: int
) -> None:
    quorum = example_quorum(1, threshold=threshold, key_count=key_count)
    psbt = signed_by_embit(example_psbt(quorum, 5, input_count), quorum, *range(key_count))
    scripts = [known.witness_script for known in psbt.inputs]
    final = finalize_multisig(psbt.transaction, scripts, psbt.verified_signatures())
    output_scripts = [output.script for output in final.outputs]
    estimate = estimate_vsize(input_count, output_scripts, threshold, key_count)
    assert 0 <= estimate - final.vsize <= threshold * input_count
    without_inputs = final.weight - sum(
        4 * len(spent.serialize()) + len(spent.serialize_witness()) for spent in final.inputs
    )
    limit = without_inputs + input_count * multisig_input_weight(threshold, key_count)
    assert final.weight <= limit


def test_two_of_three_input_weighs_what_is_known_for_it() -> None:
    assert multisig_input_weight(2, 3) == 4 * 41 + (1 + 1 + 2 * 72 + 1 + 105)
