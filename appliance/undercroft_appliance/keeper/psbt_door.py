"""The PSBT door of stage 2: a PSBT of some other coordinator becomes the same proven value as a batch's transaction.

It is a container and nothing more. Amounts come from whole previous transactions, own scripts are rebuilt from the
registered quorum at the place that the derivations of all cosigners name; what else it says is compared with that, and
whatever differs is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from undercroft_protocol.bitcoin.finalize import estimate_vsize
from undercroft_protocol.bitcoin.previous import PreviousTransaction
from undercroft_protocol.bitcoin.psbt_records import (
    IN_DERIVATION,
    IN_PARTIAL_SIGNATURE,
    IN_PREVIOUS,
    IN_WITNESS_SCRIPT,
    IN_WITNESS_UTXO,
    OUT_DERIVATION,
    OUT_WITNESS_SCRIPT,
    PsbtRecords,
)
from undercroft_protocol.bitcoin.script import ScriptType, classify
from undercroft_protocol.bitcoin.signature import add_sighash_all, remove_sighash_all, verify_ecdsa
from undercroft_protocol.bitcoin.transaction import Outpoint, TxInput, TxOutput
from undercroft_protocol.errors import (
    PsbtError,
    PsbtFieldError,
    PsbtFinalError,
    PsbtSighashError,
    PsbtVersionError,
    SignatureError,
    TransactionError,
)

from . import prove_rules as rules
from .addresses import Address, AddressBook
from .proven import OwnOutput, Payee, ProvenInput, ProvenTransaction
from .refusals import (
    CHANGE_FRAUD,
    DERIVATION,
    FOREIGN_COIN,
    OUTPUT_MISSING,
    OUTPUT_TYPE,
    PREVIOUS_MALFORMED,
    PREVIOUS_MISMATCH,
    PREVIOUS_MISSING,
    PSBT_FIELD,
    PSBT_FINAL,
    PSBT_MALFORMED,
    PSBT_SIGHASH,
    PSBT_SIGNATURE,
    PSBT_VERSION,
    PSBT_XPUB,
    SCRIPT_MISMATCH,
    TRANSACTION_VERSION,
    UTXO_MISMATCH,
    Refusal,
    RefusalCode,
)
from .sign import digests_of

DEFAULT_CHANGE_GAP: Final = 200
"""How far out change may lie where no policy says."""

_SpentOutput: TypeAlias = tuple[bytes, int, bytes]
"""An output that is spent, as `PreviousTransaction.output` gives it."""

_CODES: Final[Mapping[type[PsbtError], RefusalCode]] = {
    PsbtVersionError: PSBT_VERSION,
    PsbtFieldError: PSBT_FIELD,
    PsbtSighashError: PSBT_SIGHASH,
    PsbtFinalError: PSBT_FINAL,
}
_PREVIOUS: Final = bytes([IN_PREVIOUS])
_DERIVATION: Final = bytes([OUT_DERIVATION])
_WITNESS_UTXO: Final = bytes([IN_WITNESS_UTXO])
_IN_SCRIPT: Final = bytes([IN_WITNESS_SCRIPT])
_OUT_SCRIPT: Final = bytes([OUT_WITNESS_SCRIPT])


@dataclass(frozen=True, slots=True)
class ProvenPsbt:
    """A PSBT whose transaction is proved, and the records that our signatures go back with."""

    proven: ProvenTransaction
    _records: PsbtRecords
    _own_keys: tuple[bytes | None, ...]

    def with_signatures(self, signatures: Sequence[bytes]) -> bytes:
        """The PSBT with our DER signature (no sighash byte) for each input, in order, as Bitcoin Core writes it.

        A signature of ours that was there already (and verified) stays as it is. Raises PsbtError when there is not
        one for each input, or when no key is ours.
        """
        if len(signatures) != len(self._own_keys):
            raise PsbtError(f"{len(signatures)} signatures for {len(self._own_keys)} inputs")
        own_keys = [key for key in self._own_keys if key is not None]
        if len(own_keys) != len(signatures):
            raise PsbtError("no key is ours")
        return self._records.with_signatures(zip(own_keys, map(add_sighash_all, signatures), strict=True))


def prove_psbt(
    data: bytes, book: AddressBook, *, change_gap: int, change_signed: int, height: int | None
) -> ProvenPsbt:
    """The transaction in a PSBT, proved. Raises Refusal, and nothing else whatever the bytes are.

    ``change_signed`` and ``change_gap`` bound change as in ``prove``; ``height`` is the chain's, None if unknown. At
    most one address is derived for each input and output, and memory is bounded by 20 times the size and 200 kB.
    """
    try:
        records = PsbtRecords.parse(data)
    except PsbtError as error:
        raise Refusal(_CODES.get(type(error), PSBT_MALFORMED), error.detail) from error
    return _Door(records, book).prove(change_gap, change_signed, height)


class _Door:
    """One PSBT on its way; ``book`` knows our addresses."""

    def __init__(self, records: PsbtRecords, book: AddressBook) -> None:
        self._records = records
        self._book = book
        self._places = book.places
        self._previous: dict[bytes, PreviousTransaction] = {}
        self._names = [f"input {at}" for at in range(len(records.inputs))]

    def prove(self, change_gap: int, change_signed: int, height: int | None) -> ProvenPsbt:
        transaction = self._records.transaction
        self._check_shape(height)
        spent = self._spent_outputs()
        addresses = self._addresses()
        coins = zip(self._names, transaction.inputs, spent, self._records.inputs, addresses, strict=True)
        inputs = tuple([self._coin(*coin) for coin in coins])
        highest = rules.highest_change(inputs, change_signed, change_gap)
        outputs = tuple(
            self._output(f"output {at}", output, records, highest)
            for at, (output, records) in enumerate(zip(transaction.outputs, self._records.outputs, strict=True))
        )
        rules.check_own_count(outputs, "transaction")
        fee_sats = rules.proven_fee(inputs, outputs, "transaction")
        descriptor = self._book.descriptor
        scripts = [output.script for output in outputs]
        vsize = estimate_vsize(len(inputs), scripts, descriptor.threshold, len(descriptor.cosigners))
        proven = ProvenTransaction(transaction, inputs, outputs, fee_sats, vsize)
        self._check_signatures(proven, addresses)
        own_keys = tuple([address.own_public_key for address in addresses])
        return ProvenPsbt(proven, self._completed(spent), own_keys)

    def _completed(self, spent: Sequence[_SpentOutput]) -> PsbtRecords:
        """The records with the spent output in every input's map: Bitcoin Core adds it where it is missing."""
        inputs = self._records.inputs
        if all(_WITNESS_UTXO in records for records in inputs):
            return self._records
        completed = [{**records, _WITNESS_UTXO: raw} for records, (raw, _, _) in zip(inputs, spent, strict=True)]
        return replace(self._records, inputs=tuple(completed))

    def _check_shape(self, height: int | None) -> None:
        transaction = self._records.transaction
        for xpub, origin in self._records.xpubs.items():
            # Attack: a coordinator that has other cosigners registered than the owners have (signers.md 41).
            if self._places.origins.get(xpub) != origin:
                raise Refusal(PSBT_XPUB, f"{origin[:4].hex()} {xpub[-33:].hex()}")
        if transaction.version != rules.VERSION:
            raise Refusal(TRANSACTION_VERSION, f"version {transaction.version}")
        rules.check_locktime(transaction.locktime, height, "transaction")
        rules.check_once(item.outpoint for item in transaction.inputs)

    def _spent_outputs(self) -> list[_SpentOutput]:
        """The outputs that the inputs spend."""
        spent = []
        inputs = zip(self._names, self._records.transaction.inputs, self._records.inputs, strict=True)
        for where, item, records in inputs:
            rules.check_sequence(item.sequence, where)
            spent.append(self._spent_output(where, item.outpoint, records))
        return spent

    def _addresses(self) -> list[Address]:
        """The address that each input's derivations are those of. What pays to it is for `_coin` to check."""
        named = []
        for where, records in zip(self._names, self._records.inputs, strict=True):
            derivations = {key: value for key, value in records.items() if key[0] == IN_DERIVATION}
            if not derivations:
                # Attack: an input of somebody else, whose amount would be ours to believe (signers.md 13, 39).
                raise Refusal(FOREIGN_COIN, f"{where}: no derivation")
            branch, index = self._places.named(derivations, where)
            rules.check_coin_index(index, where)
            named.append((branch, index, derivations))
        # All in one go: the curve's tables then stay in the processor's cache.
        addresses = [self._book.at(branch, index) for branch, index, _ in named]
        for where, address, (branch, index, derivations) in zip(self._names, addresses, named, strict=True):
            # Attack: our key beside strangers', another path, another index for some owners, another quorum, or one of
            # its cosigners replaced, with everything else consistent (signers.md 26-28, 30).
            if derivations != address.derivations:
                raise Refusal(DERIVATION, f"{where}: not the derivations of all owners' keys at {branch}/{index}")
        return addresses

    def _coin(
        self, where: str, item: TxInput, spent: _SpentOutput, records: Mapping[bytes, bytes], address: Address
    ) -> ProvenInput:
        """The coin, when what is spent pays to this address."""
        _, amount_sats, script = spent
        branch, index, witness_script, own_script, _, own = address
        rules.check_own_script(script, own_script, (branch, index), where)
        if records.get(_IN_SCRIPT) != witness_script:
            raise Refusal(SCRIPT_MISMATCH, f"{where}: another witness script than ours at {branch}/{index}")
        return ProvenInput(
            item.outpoint, amount_sats, branch, index, witness_script, None if own is None else own.tweak
        )

    def _spent_output(self, where: str, outpoint: Outpoint, records: Mapping[bytes, bytes]) -> _SpentOutput:
        raw = records.get(_PREVIOUS)
        # Attack: an amount that nobody can check, so that the fee is a lie (CVE-2020-14199; signers.md 1-5).
        if raw is None:
            raise Refusal(PREVIOUS_MISSING, where)
        txid, vout = outpoint.txid, outpoint.vout
        try:
            previous = self._parsed(raw)
            if previous.txid != txid:
                raise Refusal(PREVIOUS_MISMATCH, where)
            if vout >= previous.output_count:
                raise Refusal(OUTPUT_MISSING, f"{where}: output {vout} of {previous.output_count}")
            output = previous.output(vout)
        except TransactionError as error:
            raise Refusal(PREVIOUS_MALFORMED, f"{where}: {error.detail}") from error
        # Attack: an amount beside the previous transaction that contradicts it; neither is preferred (signers.md 2).
        if records.get(_WITNESS_UTXO, output[0]) != output[0]:
            raise Refusal(UTXO_MISMATCH, where)
        return output

    def _parsed(self, raw: bytes) -> PreviousTransaction:
        """Inputs that spend one transaction bring it once each: it is read once."""
        known = self._previous.get(raw)
        if known is None:
            known = self._previous[raw] = PreviousTransaction.parse(raw)
        return known

    def _output(self, where: str, output: TxOutput, records: Mapping[bytes, bytes], highest: int) -> Payee | OwnOutput:
        rules.check_dust(output.script, output.amount_sats, where)
        derivations = {key: value for key, value in records.items() if key[0] == OUT_DERIVATION}
        if derivations:
            return self._own_output(where, output, records, derivations, highest)
        # Attack: a script that makes an output look like ours, at a place that is not said.
        if _OUT_SCRIPT in records:
            raise Refusal(DERIVATION, f"{where}: a script, and no derivation")
        # Attack: OP_RETURN and unknown scripts burn or hide money (signers.md 54, 55).
        if classify(output.script) in (ScriptType.NULL_DATA, ScriptType.UNKNOWN):
            raise Refusal(OUTPUT_TYPE, f"{where}: {output.script.hex()}")
        # An output of ours whose place is not said is paid like any other: the safe side (signers.md 50).
        return Payee(output.script, output.amount_sats)

    def _own_output(
        self,
        where: str,
        output: TxOutput,
        records: Mapping[bytes, bytes],
        derivations: Mapping[bytes, bytes],
        highest: int,
    ) -> OwnOutput:
        place = branch, index = self._places.named(derivations, where)
        self._places.check_origins(derivations, place, where)
        rules.check_change_index(index, highest, where)
        address = self._book.at(branch, index)
        # Attack: change to a stranger, or to a quorum in which only our key is the same (signers.md 42, 43, 44).
        if (
            output.script != address.script
            or records.get(_OUT_SCRIPT, address.witness_script) != address.witness_script
            or derivations != _output_derivations(address)
        ):
            raise Refusal(CHANGE_FRAUD, f"{where}: it is not ours at {branch}/{index}")
        return OwnOutput(output.script, output.amount_sats, branch, index)

    def _check_signatures(self, proven: ProvenTransaction, addresses: Sequence[Address]) -> None:
        """Every signature that is there is good. Raises Refusal."""
        digests: tuple[bytes, ...] = ()
        for at, (records, address) in enumerate(zip(self._records.inputs, addresses, strict=True)):
            for key in [key for key in records if key[0] == IN_PARTIAL_SIGNATURE]:
                # Attack: a signature by a key outside the script (signers.md 19).
                if key[1:] not in address.public_keys:
                    raise Refusal(PSBT_SIGNATURE, f"input {at}: by a key that is not in its script")
                digests = digests or digests_of(proven)
                try:
                    # Attack: garbage in place of a cosigner's signature (signers.md 18).
                    verify_ecdsa(key[1:], digests[at], remove_sighash_all(records[key]))
                except SignatureError as error:
                    raise Refusal(PSBT_SIGNATURE, f"input {at}: {error.detail}") from error


def _output_derivations(address: Address) -> Mapping[bytes, bytes]:
    return {_DERIVATION + key[1:]: value for key, value in address.derivations.items()}
