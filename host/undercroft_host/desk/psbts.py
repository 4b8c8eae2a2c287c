"""A PSBT to an owner's appliance and back: the same PSBT with that owner's signatures, or nothing."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.descriptor import account_path
from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.bitcoin.psbt_records import IN_DERIVATION, IN_PARTIAL_SIGNATURE, IN_PREVIOUS, PsbtRecords
from undercroft_protocol.bitcoin.sighash import SegwitV0Sighash
from undercroft_protocol.bitcoin.signature import remove_sighash_all, verify_ecdsa
from undercroft_protocol.bitcoin.transaction import Transaction, txid_to_hex
from undercroft_protocol.errors import ProtocolError, PsbtError
from undercroft_protocol.messages import ARMED, Owner, Quorum, grouped_code

from ..clock import Clock
from ..custody.freezes import check_not_frozen
from ..errors import ApplianceRefused, ApplianceState, Conflict, IntegrityAlarm, UsageProblem
from ..store import audit
from ..store.engine import Store
from ..store.tables import Coin
from .talk import ApplianceSession

_CODE_CHARACTERS: Final = 9
_PLACE: Final = struct.Struct("<II")
"""Branch and index, the last two steps of a derivation."""


def short_code(psbt: bytes) -> str:
    """Two groups of four hex digits of the SHA-256, as the owner's screen shows them: ``1a2b-3c4d``."""
    return grouped_code(sha256(psbt))[:_CODE_CHARACTERS]


def read_psbt(data: bytes) -> PsbtRecords:
    """A PSBT of version 0, read strictly. Raises UsageProblem."""
    try:
        return PsbtRecords.parse(data)
    except PsbtError as error:
        raise UsageProblem(str(error)) from error


def sign_psbt(
    store: Store, actor: str, talk: ApplianceSession, psbt: bytes, quorum: Quorum, *, clock: Clock, timeout: float
) -> bytes:
    """Send a PSBT to the appliance of an open session, wait for its owner, and return it signed and verified.

    Raises UsageProblem for bytes that are no PSBT, Frozen while a freeze order stands, Conflict when one of its coins
    is held for a payment of ours, ApplianceState unless the appliance is armed, ApplianceRefused when it or its owner
    refuses, IntegrityAlarm for an answer that is not what it must be.
    """
    records = read_psbt(psbt)
    if talk.report.state != ARMED or talk.identity is None:
        hint = f"activate it: undercroft activation open {talk.name}"
        raise ApplianceState(f"{talk.name} is {talk.report.state}", hint=hint)
    txid = records.transaction.txid
    # Written before it is sent: from here on a signature may exist, whatever dies now.
    with store.begin(actor) as session:
        # Attack: one owner stops everything, and the host goes on by another door.
        check_not_frozen(session, quorum)
        _check_coins(session, records)
        _note(session, clock, "send-psbt", txid, {"appliance": talk.name, "code": short_code(psbt)})
    try:
        signed = talk.deliver_psbt(psbt, txid, timeout=timeout)
    except ApplianceRefused as error:
        with store.begin(actor) as session:
            _note(session, clock, "psbt-refused", txid, {"appliance": talk.name, "why": error.detail})
        raise
    verify_signed(psbt, signed, quorum, quorum.owner_of(talk.identity))
    with store.begin(actor) as session:
        _note(session, clock, "psbt-signed", txid, {"appliance": talk.name, "inputs": len(records.inputs)})
    return signed


def verify_signed(sent: bytes, returned: bytes, quorum: Quorum, owner: Owner) -> None:
    """Raises IntegrityAlarm unless ``returned`` is ``sent`` with a good signature of this owner for each input."""
    try:
        _Returned(PsbtRecords.parse(sent), PsbtRecords.parse(returned), quorum, owner).verify()
    except (ProtocolError, IndexError) as error:
        raise IntegrityAlarm(f"{owner.name}: the PSBT that came back: {error}") from error


@dataclass(frozen=True, slots=True)
class _Returned:
    sent: PsbtRecords
    returned: PsbtRecords
    quorum: Quorum
    owner: Owner

    def verify(self) -> None:
        before, after = self.sent, self.returned
        # Another transaction, or another claim of what is change.
        if (after.transaction, after.xpubs, after.outputs) != (before.transaction, before.xpubs, before.outputs):
            raise PsbtError("it is another transaction, or other outputs")
        sighash = SegwitV0Sighash(after.transaction)
        for at, (old, new) in enumerate(zip(before.inputs, after.inputs, strict=True)):
            branch, index = self._place(at, old)
            descriptor = self.quorum.descriptor()
            public_key = descriptor.public_keys(branch, index)[self.quorum.owners.index(self.owner)]
            own = bytes([IN_PARTIAL_SIGNATURE]) + public_key
            # A signature by somebody else, or a changed record, slipped in beside ours.
            if own not in new or {**old, own: new[own]} != new:
                raise PsbtError(f"input {at} has something else than this owner's signature")
            digest = sighash.digest(at, descriptor.witness_script(branch, index), self._amount_sats(at))
            verify_ecdsa(public_key, digest, remove_sighash_all(new[own]))

    def _place(self, at: int, records: Mapping[bytes, bytes]) -> tuple[int, int]:
        """Branch and index of an input, as this owner's derivation says."""
        path = account_path(self.quorum.bitcoin_network)
        prefix = self.owner.fingerprint + struct.pack(f"<{len(path)}I", *path)
        for key, value in records.items():
            if key[0] == IN_DERIVATION and value.startswith(prefix) and len(value) == len(prefix) + _PLACE.size:
                branch, index = _PLACE.unpack_from(value, len(prefix))
                return branch, index
        raise PsbtError(f"input {at} names no key of this owner")

    def _amount_sats(self, at: int) -> int:
        previous = Transaction.parse(self.sent.inputs[at].get(bytes([IN_PREVIOUS]), b""))
        return previous.outputs[self.sent.transaction.inputs[at].outpoint.vout].amount_sats


def _check_coins(session: Session, records: PsbtRecords) -> None:
    for spent in records.transaction.inputs:
        coin = session.get(Coin, (spent.outpoint.txid, spent.outpoint.vout))
        # A coin that is promised twice: one of the two payments would never be made.
        if coin is not None and coin.payment is not None:
            raise Conflict(
                f"coin {spent.outpoint} is held for payment {coin.payment}",
                hint=f"take the payment back first: undercroft payment cancel {coin.payment}",
            )


def _note(session: Session, clock: Clock, action: str, txid: bytes, facts: Mapping[str, int | str | None]) -> None:
    audit.record(session, clock=clock, action=action, subject=f"psbt:{txid_to_hex(txid)}", facts=facts)
