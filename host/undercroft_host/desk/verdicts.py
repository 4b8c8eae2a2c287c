"""What an appliance says of a batch, taken apart: nothing of it is kept before every part of it is verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.signature import verify_ecdsa
from undercroft_protocol.bitcoin.transaction import txid_to_hex
from undercroft_protocol.errors import SignatureError
from undercroft_protocol.messages import (
    SIGNED,
    BatchReply,
    BatchRequest,
    Message,
    Owner,
    Quorum,
    ReplyHeader,
    Verdict,
)

from ..errors import IntegrityAlarm
from ..store.tables import Payment
from ..vault.finalise import input_digests
from ..vault.payment_records import load_payment


@dataclass(frozen=True, slots=True)
class VerifiedSignature:
    """One owner's signature (DER, without the sighash byte) for one input, verified with the owner's derived key."""

    payment: int
    position: int
    public_key: bytes
    der: bytes


def verify_reply(
    session: Session,
    reply: Message[ReplyHeader],
    batch: BatchRequest,
    payments: Sequence[Payment],
    quorum: Quorum,
    *,
    identity: bytes,
) -> tuple[tuple[Verdict, ...], list[VerifiedSignature]]:
    """The verdicts of an answer, one for each payment, and its signatures, all verified.

    Raises IntegrityAlarm, naming the owner, for an answer that is signed by another identity, belongs to another batch
    or policy, leaves a payment out, names another transaction, or holds one signature that does not verify.
    """
    owner = quorum.owner_of(identity)
    body = reply.body
    # Only an open appliance speaks with its identity; a key drawn at start says nothing about payments.
    if reply.sender != identity:
        raise IntegrityAlarm(f"{owner.name}: the answer to a batch is not signed by the owner's identity")
    if not isinstance(body, BatchReply) or body.batch_id != batch.batch_id:
        raise IntegrityAlarm(f"{owner.name}: the answer is not about this batch")
    # An appliance under other rules than the approved ones must not go unnoticed.
    if reply.header.policy_hash != batch.policy_hash or reply.header.quorum_id != quorum.id:
        raise IntegrityAlarm(f"{owner.name}: the answer was given under another policy or quorum")
    # A verdict left out would leave a payment that nobody knows the fate of.
    if len(body.verdicts) != len(payments):
        raise IntegrityAlarm(f"{owner.name}: {len(body.verdicts)} verdicts for {len(payments)} payments")
    signatures: list[VerifiedSignature] = []
    for verdict, payment in zip(body.verdicts, payments, strict=True):
        # Signatures for another transaction than the one that was built.
        if verdict.txid != payment.txid:
            raise IntegrityAlarm(
                f"{owner.name}: verdict on {txid_to_hex(verdict.txid)} where payment {payment.id} stands"
            )
        if verdict.verdict == SIGNED:
            signatures += _verified(session, payment, verdict.signatures, quorum, owner)
    return body.verdicts, signatures


def _verified(
    session: Session, payment: Payment, signatures: Sequence[bytes], quorum: Quorum, owner: Owner
) -> list[VerifiedSignature]:
    records = load_payment(session, payment.id)
    if len(signatures) != len(records.inputs):
        raise IntegrityAlarm(f"{owner.name}: {len(signatures)} signatures for {len(records.inputs)} inputs")
    descriptor = quorum.descriptor()
    place = quorum.owners.index(owner)
    found = []
    for spent, digest, der in zip(records.inputs, input_digests(session, records, quorum), signatures, strict=True):
        public_key = descriptor.public_keys(spent.branch, spent.index)[place]
        # A wrong signature stored now is a payment that fails at broadcast, with nobody to name.
        try:
            verify_ecdsa(public_key, digest, der)
        except SignatureError as error:
            raise IntegrityAlarm(
                f"{owner.name}: signature for input {spent.position} of payment {payment.id}: {error.detail}"
            ) from error
        found.append(VerifiedSignature(payment.id, spent.position, public_key, der))
    return found
