"""From signatures to a transaction that the network takes, and the same payment as a PSBT for other wallets."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.descriptor import QuorumDescriptor
from undercroft_protocol.bitcoin.finalize import finalize_multisig
from undercroft_protocol.bitcoin.psbt import Psbt, PsbtInput, PsbtOutput, key_derivations
from undercroft_protocol.bitcoin.sighash import SegwitV0Sighash
from undercroft_protocol.bitcoin.signature import add_sighash_all, verify_ecdsa
from undercroft_protocol.bitcoin.transaction import txid_to_hex
from undercroft_protocol.errors import SignatureError
from undercroft_protocol.messages import Quorum

from ..clock import Clock
from ..errors import PaymentState, PaymentTampered, SignaturesMissing
from ..store import audit
from ..store.tables import Payment, PaymentInput, Signature
from .addresses import CHANGE
from .payment_records import UNSIGNED_STATES, PaymentRecords, load_payment, previous_transaction


def finalise_payment(session: Session, payment_id: int, quorum: Quorum, *, clock: Clock) -> Payment:
    """Build the witnesses from the stored signatures and store the signed bytes; once done, nothing changes it.

    Every signature is verified again, against a script derived anew. Raises PaymentUnknown, PaymentState,
    SignaturesMissing (fewer keys than the threshold have signed some input), PaymentTampered.
    """
    records = load_payment(session, payment_id)
    payment = records.payment
    if payment.signed is not None:
        return payment
    if payment.state not in UNSIGNED_STATES:
        raise PaymentState(f"payment {payment_id} is {payment.state}")
    descriptor = _descriptor(records, quorum)
    scripts = [descriptor.witness_script(spent.branch, spent.index) for spent in records.inputs]
    signatures = _verified_signatures(session, records, quorum)
    for position, by_key in enumerate(signatures):
        # Attack: one owner's signature counted twice.
        if len(by_key) < descriptor.threshold:
            raise SignaturesMissing(
                f"payment {payment_id}: input {position} has {len(by_key)} of {descriptor.threshold}"
            )
    transaction = finalize_multisig(records.transaction, scripts, signatures)
    if transaction.txid != payment.txid:
        raise PaymentTampered(f"payment {payment_id}: signing has changed its txid")
    payment.signed, payment.state, payment.reason = transaction.serialize(), "signed", None
    session.flush()
    facts: dict[str, int | str | None] = {"txid": txid_to_hex(payment.txid), "vsize": transaction.vsize}
    audit.record(session, clock=clock, action="finalise-payment", subject=f"payment:{payment_id}", facts=facts)
    return payment


def payment_psbt(session: Session, payment_id: int, quorum: Quorum) -> Psbt:
    """The payment as a PSBT (BIP 174) with the signatures there are so far. Raises PaymentUnknown, PaymentTampered."""
    records = load_payment(session, payment_id)
    descriptor = _descriptor(records, quorum)
    inputs = tuple(
        PsbtInput(
            previous_transaction(session, spent),
            descriptor.witness_script(spent.branch, spent.index),
            key_derivations(descriptor, spent.branch, spent.index),
            by_key,
        )
        for spent, by_key in zip(records.inputs, _verified_signatures(session, records, quorum), strict=True)
    )
    outputs = tuple(
        PsbtOutput()
        if output.change_index is None
        else PsbtOutput(
            descriptor.witness_script(CHANGE, output.change_index),
            key_derivations(descriptor, CHANGE, output.change_index),
        )
        for output in records.outputs
    )
    return Psbt(records.transaction, inputs, outputs)


def input_digests(session: Session, records: PaymentRecords, quorum: Quorum) -> tuple[bytes, ...]:
    """What the signatures of each input are over (BIP 143, SIGHASH_ALL): 32 bytes for each.

    Raises PaymentTampered when an input's script is not the quorum's, or its amount not the chain's.
    """
    descriptor = _descriptor(records, quorum)
    sighash = SegwitV0Sighash(records.transaction)
    digests = []
    for spent in records.inputs:
        output = previous_transaction(session, spent).outputs[spent.vout]
        if output.script != descriptor.script(spent.branch, spent.index):
            raise PaymentTampered(f"payment {spent.payment}: input {spent.position} is not the quorum's")
        script = descriptor.witness_script(spent.branch, spent.index)
        digests.append(sighash.digest(spent.position, script, output.amount_sats))
    return tuple(digests)


def _verified_signatures(session: Session, records: PaymentRecords, quorum: Quorum) -> list[dict[bytes, bytes]]:
    """The stored signatures of every input by public key, each with its sighash byte."""
    digests = input_digests(session, records, quorum)
    descriptor = _descriptor(records, quorum)
    return [
        _of_input(session, spent, digest, descriptor.public_keys(spent.branch, spent.index))
        for spent, digest in zip(records.inputs, digests, strict=True)
    ]


def _of_input(
    session: Session, spent: PaymentInput, digest: bytes, public_keys: tuple[bytes, ...]
) -> dict[bytes, bytes]:
    rows = session.scalars(
        select(Signature).where(Signature.payment == spent.payment, Signature.position == spent.position)
    )
    found: dict[bytes, bytes] = {}
    for row in rows:
        # Attack: a signature put into the database by other hands, by a stranger's key or over something else.
        if row.public_key not in public_keys:
            raise PaymentTampered(f"payment {spent.payment}: input {spent.position} is signed by a stranger")
        try:
            verify_ecdsa(row.public_key, digest, row.der)
        except SignatureError as error:
            raise PaymentTampered(f"payment {spent.payment}, input {spent.position}: {error.detail}") from None
        found[row.public_key] = add_sighash_all(row.der)
    return found


def _descriptor(records: PaymentRecords, quorum: Quorum) -> QuorumDescriptor:
    if records.payment.quorum_id != quorum.id:
        raise PaymentTampered(f"payment {records.payment.id} belongs to another quorum")
    return quorum.descriptor()
