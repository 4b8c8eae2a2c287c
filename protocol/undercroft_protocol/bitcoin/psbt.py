"""Partially signed transactions, version 0 (BIP 174): written for other wallets, their signatures read back.

Only what a P2WSH multisig needs is known here. Whatever else a PSBT may carry is refused, not passed on.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from undercroft_protocol.bitcoin.descriptor import QuorumDescriptor
from undercroft_protocol.bitcoin.psbt_records import (
    IN_DERIVATION,
    IN_PARTIAL_SIGNATURE,
    IN_PREVIOUS,
    IN_WITNESS_SCRIPT,
    IN_WITNESS_UTXO,
    OUT_DERIVATION,
    OUT_WITNESS_SCRIPT,
    PsbtRecords,
    write_psbt,
)
from undercroft_protocol.bitcoin.script import multisig_parts, p2wsh_script
from undercroft_protocol.bitcoin.sighash import SegwitV0Sighash
from undercroft_protocol.bitcoin.signature import parse_der, remove_sighash_all, verify_ecdsa
from undercroft_protocol.bitcoin.transaction import Transaction, TxOutput
from undercroft_protocol.errors import ProtocolError, PsbtError, ScriptError, SignatureError


@dataclass(frozen=True, slots=True, order=True)
class KeyDerivation:
    """Where a public key (33 bytes) comes from: the master's fingerprint (4 bytes) and the path from it."""

    public_key: bytes
    fingerprint: bytes
    path: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.public_key) != 33 or len(self.fingerprint) != 4:
            raise PsbtError("a key or a fingerprint has the wrong length")
        if not all(0 <= step <= 0xFFFFFFFF for step in self.path):
            raise PsbtError("a step of a path does not fit 32 bits")


def key_derivations(descriptor: QuorumDescriptor, branch: int, index: int) -> tuple[KeyDerivation, ...]:
    """The derivations of the keys of one of the quorum's addresses, in cosigner order."""
    return tuple(
        KeyDerivation(public_key, cosigner.fingerprint, (*cosigner.path, branch, index))
        for cosigner, public_key in zip(descriptor.cosigners, descriptor.public_keys(branch, index), strict=True)
    )


@dataclass(frozen=True, slots=True)
class PsbtInput:
    """What a signer needs to know of an input, and the signatures (DER with sighash byte) it has by key."""

    previous: Transaction
    witness_script: bytes
    derivations: tuple[KeyDerivation, ...] = ()
    partial_signatures: Mapping[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "partial_signatures", MappingProxyType(dict(self.partial_signatures)))


@dataclass(frozen=True, slots=True)
class PsbtOutput:
    """What a signer needs to know to recognise an output as change; empty for any other."""

    witness_script: bytes = b""
    derivations: tuple[KeyDerivation, ...] = ()


@dataclass(frozen=True, slots=True)
class Psbt:
    """An unsigned transaction with what its signers need, and their signatures so far.

    Raises PsbtError when the parts contradict each other: another previous transaction, a script that
    does not hash to what is spent, a signature or a derivation for a key that is not in the script.
    """

    transaction: Transaction
    inputs: tuple[PsbtInput, ...]
    outputs: tuple[PsbtOutput, ...]

    def __post_init__(self) -> None:
        if self.transaction.has_witness or any(item.script_sig for item in self.transaction.inputs):
            raise PsbtError("the unsigned transaction is signed")
        if len(self.inputs) != len(self.transaction.inputs):
            raise PsbtError("there is not one map for each input")
        if len(self.outputs) != len(self.transaction.outputs):
            raise PsbtError("there is not one map for each output")
        for at in range(len(self.inputs)):
            self._check_input(at)
        for at in range(len(self.outputs)):
            self._check_output(at)

    def spent_output(self, input_index: int) -> TxOutput:
        """The output that an input spends, from the whole previous transaction. Raises PsbtError."""
        vout = self.transaction.inputs[self._checked(input_index)].outpoint.vout
        return self.inputs[input_index].previous.outputs[vout]

    def with_signatures(self, input_index: int, signatures: Mapping[bytes, bytes]) -> Psbt:
        """The same with these signatures added to an input. Raises PsbtError."""
        inputs = list(self.inputs)
        merged = {**inputs[self._checked(input_index)].partial_signatures, **signatures}
        inputs[input_index] = replace(inputs[input_index], partial_signatures=merged)
        return replace(self, inputs=tuple(inputs))

    def verified_signatures(self) -> tuple[Mapping[bytes, bytes], ...]:
        """The signatures of every input by key, each verified. Raises SignatureError."""
        sighash = SegwitV0Sighash(self.transaction)
        for at, known in enumerate(self.inputs):
            digest = sighash.digest(at, known.witness_script, self.spent_output(at).amount_sats)
            for public_key, signature in known.partial_signatures.items():
                verify_ecdsa(public_key, digest, remove_sighash_all(signature))
        return tuple(known.partial_signatures for known in self.inputs)

    def serialize(self) -> bytes:
        """The records in the order in which Bitcoin Core writes them."""
        inputs = [_input_records(known, self.spent_output(at)) for at, known in enumerate(self.inputs)]
        return write_psbt(self.transaction.serialize(), inputs, map(_output_records, self.outputs))

    def base64(self) -> str:
        """`serialize()` in base 64, as wallets exchange it."""
        return base64.b64encode(self.serialize()).decode("ascii")

    @classmethod
    def parse(cls, data: bytes) -> Psbt:
        """Read a PSBT strictly.

        Raises PsbtError for duplicate or unknown keys, trailing bytes, version 2, an input without its whole
        previous transaction, a sighash other than ALL, input that is already final.
        """
        try:
            return _parse(data)
        except PsbtError:
            raise
        except ProtocolError as error:
            raise PsbtError(error.detail) from None

    @classmethod
    def parse_base64(cls, text: str) -> Psbt:
        """As `parse`, from base 64 in its one canonical form."""
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError:
            raise PsbtError("not base 64") from None
        if base64.b64encode(data).decode("ascii") != text:
            raise PsbtError("not base 64 in its canonical form")
        return cls.parse(data)

    def _checked(self, input_index: int) -> int:
        if not 0 <= input_index < len(self.inputs):
            raise PsbtError(f"there is no input {input_index}")
        return input_index

    def _check_input(self, at: int) -> None:
        known, outpoint = self.inputs[at], self.transaction.inputs[at].outpoint
        # Attack: a previous transaction made up to lie about the amount (CVE-2020-14199).
        if known.previous.txid != outpoint.txid:
            raise PsbtError(f"the previous transaction of input {at} is another one")
        if outpoint.vout >= len(known.previous.outputs):
            raise PsbtError(f"the previous transaction of input {at} has no output {outpoint.vout}")
        if p2wsh_script(known.witness_script) != self.spent_output(at).script:
            raise PsbtError(f"the witness script of input {at} is not what it spends")
        _check_keys(f"input {at}", known.witness_script, known.derivations, known.partial_signatures)
        try:
            for signature in known.partial_signatures.values():
                parse_der(remove_sighash_all(signature))
        except SignatureError as error:
            raise PsbtError(f"a signature of input {at}: {error.detail}") from None

    def _check_output(self, at: int) -> None:
        known = self.outputs[at]
        if known == PsbtOutput():
            return
        # Attack: a foreign output dressed up as change by a script that it does not pay to.
        if p2wsh_script(known.witness_script) != self.transaction.outputs[at].script:
            raise PsbtError(f"the witness script of output {at} is not what it pays to")
        _check_keys(f"output {at}", known.witness_script, known.derivations, ())


def _check_keys(
    place: str, witness_script: bytes, derivations: tuple[KeyDerivation, ...], signers: Iterable[bytes]
) -> None:
    try:
        _, keys = multisig_parts(witness_script)
    except ScriptError as error:
        raise PsbtError(f"{place}: {error.detail}") from None
    derived = [one.public_key for one in derivations]
    if len(set(derived)) != len(derived):
        raise PsbtError(f"{place} names a key twice")
    # Attack: a signature or a claim of ownership for a key that has no say in the script.
    if not {*derived, *signers} <= set(keys):
        raise PsbtError(f"{place} names a key that is not in its script")


def _input_records(known: PsbtInput, spent: TxOutput) -> dict[bytes, bytes]:
    return {
        bytes([IN_PREVIOUS]): known.previous.serialize(with_witness=False),
        bytes([IN_WITNESS_UTXO]): spent.serialize(),
        **{bytes([IN_PARTIAL_SIGNATURE]) + key: signature for key, signature in known.partial_signatures.items()},
        bytes([IN_WITNESS_SCRIPT]): known.witness_script,
        **_derivation_records(IN_DERIVATION, known.derivations),
    }


def _output_records(output: PsbtOutput) -> dict[bytes, bytes]:
    script = {bytes([OUT_WITNESS_SCRIPT]): output.witness_script} if output.witness_script else {}
    return {**script, **_derivation_records(OUT_DERIVATION, output.derivations)}


def _derivation_records(kind: int, derivations: tuple[KeyDerivation, ...]) -> dict[bytes, bytes]:
    return {
        bytes([kind]) + one.public_key: one.fingerprint + struct.pack(f"<{len(one.path)}I", *one.path)
        for one in derivations
    }


def _parse(data: bytes) -> Psbt:
    records = PsbtRecords.parse(data)
    # What is not known here would not be passed on either.
    if records.xpubs:
        raise PsbtError("extended public keys are not expected in the global map")
    spent = [item.outpoint.vout for item in records.transaction.inputs]
    inputs = tuple(_read_input(known, vout) for known, vout in zip(records.inputs, spent, strict=True))
    outputs = tuple(
        PsbtOutput(known.get(bytes([OUT_WITNESS_SCRIPT]), b""), _read_derivations(known, OUT_DERIVATION))
        for known in records.outputs
    )
    return Psbt(records.transaction, inputs, outputs)


def _read_input(records: Mapping[bytes, bytes], vout: int) -> PsbtInput:
    previous_bytes = records.get(bytes([IN_PREVIOUS]))
    # Attack: an amount without its transaction, which the signature of another input does not cover.
    if previous_bytes is None:
        raise PsbtError("an input comes without its whole previous transaction")
    previous = Transaction.parse(previous_bytes)
    witness_utxo = records.get(bytes([IN_WITNESS_UTXO]))
    # Attack: an amount beside the previous transaction that contradicts it.
    spent = [output.serialize() for output in previous.outputs[vout : vout + 1]]
    if witness_utxo is not None and spent != [witness_utxo]:
        raise PsbtError("the witness UTXO contradicts the previous transaction")
    witness_script = records.get(bytes([IN_WITNESS_SCRIPT]))
    if witness_script is None:
        raise PsbtError("an input comes without its witness script")
    signatures = {key[1:]: value for key, value in records.items() if key[0] == IN_PARTIAL_SIGNATURE}
    return PsbtInput(previous, witness_script, _read_derivations(records, IN_DERIVATION), signatures)


def _read_derivations(records: Mapping[bytes, bytes], kind: int) -> tuple[KeyDerivation, ...]:
    found = []
    for key, value in records.items():
        if key[0] != kind or len(key) == 1:
            continue
        if len(value) < 4 or len(value) % 4:
            raise PsbtError("a derivation is not a fingerprint and whole steps")
        path = struct.unpack(f"<{len(value) // 4 - 1}I", value[4:])
        found.append(KeyDerivation(key[1:], value[:4], path))
    return tuple(found)
