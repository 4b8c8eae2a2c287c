"""The complete witness of a multisig input, and how large transactions become with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from undercroft_protocol.bitcoin.encoding import compact_size, with_size
from undercroft_protocol.bitcoin.script import multisig_parts
from undercroft_protocol.bitcoin.signature import parse_der, remove_sighash_all
from undercroft_protocol.bitcoin.transaction import Transaction
from undercroft_protocol.errors import ScriptError, SignatureError, TransactionError

_INPUT_BYTES = 32 + 4 + 1 + 4  # outpoint, empty script_sig, sequence
_SIGNATURE_BYTES = 71  # DER of low R and low S is at most 70, and the sighash byte


def multisig_witness(threshold: int, witness_script: bytes, signatures: Mapping[bytes, bytes]) -> tuple[bytes, ...]:
    """The witness that spends a P2WSH multisig: an empty item, signatures in key order, the script.

    `signatures` maps public keys to DER signatures with their sighash byte; beyond the threshold the first in
    key order are taken. That they verify is the caller's to check (`signature.verify_ecdsa`). Raises
    ScriptError for a script of another threshold or a key that is not in it, SignatureError for too few or
    badly encoded signatures.
    """
    script_threshold, keys = multisig_parts(witness_script)
    if script_threshold != threshold:
        raise ScriptError(f"the script wants {script_threshold} signatures, not {threshold}")
    if not signatures.keys() <= set(keys):
        raise ScriptError("a signature is by a key that is not in the script")
    for signature in signatures.values():
        parse_der(remove_sighash_all(signature))
    chosen = [signatures[key] for key in keys if key in signatures][:threshold]
    if len(chosen) < threshold:
        raise SignatureError(f"{len(chosen)} of {threshold} signatures are there")
    return (b"", *chosen, witness_script)


def finalize_multisig(
    transaction: Transaction,
    witness_scripts: Sequence[bytes],
    signatures: Sequence[Mapping[bytes, bytes]],
) -> Transaction:
    """The transaction with the witness of every input, one script and one mapping of signatures for each.

    Signatures and errors as in `multisig_witness`; TransactionError when the numbers do not agree.
    """
    if not len(transaction.inputs) == len(witness_scripts) == len(signatures):
        raise TransactionError("there is not one script and one set of signatures for each input")
    inputs = tuple(
        replace(spent, witness=multisig_witness(multisig_parts(script)[0], script, by_key))
        for spent, script, by_key in zip(transaction.inputs, witness_scripts, signatures, strict=True)
    )
    return replace(transaction, inputs=inputs)


def multisig_input_weight(threshold: int, key_count: int) -> int:
    """Weight units of a signed multisig input at most, if every signature has low R."""
    script_bytes = 3 + 34 * key_count
    witness_bytes = (
        len(compact_size(threshold + 2))
        + 1
        + threshold * (1 + _SIGNATURE_BYTES)
        + len(compact_size(script_bytes))
        + script_bytes
    )
    return 4 * _INPUT_BYTES + witness_bytes


def estimate_vsize(input_count: int, output_scripts: Iterable[bytes], threshold: int, key_count: int) -> int:
    """Virtual bytes at most of a transaction with so many multisig inputs and outputs to these scripts."""
    outputs = [8 + len(with_size(script)) for script in output_scripts]
    base_bytes = 4 + len(compact_size(input_count)) + len(compact_size(len(outputs))) + sum(outputs) + 4
    weight = 4 * base_bytes + 2 + input_count * multisig_input_weight(threshold, key_count)
    return -(-weight // 4)
