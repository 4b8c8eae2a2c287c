"""Statements: signed facts that are kept and passed on; each is a COSE_Sign1 object with a content type of its own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, TypeVar

from .. import cose
from ..bitcoin.hashes import tagged_hash
from ..codec import Value
from ..errors import MessageError
from ..fields import (
    Bytes4,
    Bytes16,
    Bytes32,
    DerSignature,
    KeyIndex,
    Line,
    Name,
    PositiveSats,
    Range,
    Sats,
    Script,
    Seconds,
    Size,
    UInt32,
    UnixTime,
    XpubBytes,
)
from .envelope import Envelope

S = TypeVar("S", bound=Value)

_PREFIX = "undercroft/1/statement/"


@dataclass(frozen=True, slots=True)
class Declaration(Value):
    """An owner's appliance has made a key. Signed by the new identity; ``possession`` is an ECDSA signature by the
    account key over ``possession_digest``: whoever declares an xpub holds its private key."""

    name: Name
    site: Name
    region: Name
    network: Name
    fingerprint: Bytes4
    xpub: XpubBytes
    identity: Bytes32
    possession: DerSignature
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Acceptance(Value):
    """An owner compared the quorum code and accepted; the envelope now has the quorum bound into it."""

    quorum_id: Bytes32
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class PolicyApproval(Value):
    """An owner read the policy on the appliance's screen and approved it, at ``time`` by that appliance's clock.

    ``time`` is 0 where no owner had confirmed the clock: before the first activation of a quorum.
    """

    quorum_id: Bytes32
    policy_hash: Bytes32
    version: UInt32
    time: UnixTime


@dataclass(frozen=True, slots=True)
class Clearance(Value):
    """The risk service's word for one withdrawal: this script, this amount, until then, by this set of rules."""

    quorum_id: Bytes32
    withdrawal_id: Name
    script: Script
    amount_sats: PositiveSats
    expires: UnixTime
    ruleset_hash: Bytes32


@dataclass(frozen=True, slots=True)
class ActivationRequest(Value):
    """An unlocked appliance asks to be armed: which activation, which rules, which firmware, where, for how long."""

    quorum_id: Bytes32
    activation_id: Bytes16
    policy_hash: Bytes32
    firmware_hash: Bytes32
    site: Name
    life_seconds: Seconds
    time: UnixTime


@dataclass(frozen=True, slots=True)
class Spent(Value):
    """What left the quorum in one signed transaction, fee included, how long ago on the granter's clock, and in which
    transaction: what two appliances both know is counted once. A fee bump that adds nothing has 0 sats."""

    age_seconds: Seconds
    amount_sats: Sats
    txid: Bytes32


@dataclass(frozen=True, slots=True)
class ActivationGrant(Value):
    """Another owner, at another site, arms exactly that activation.

    ``ledger`` is what the granting appliance knows was spent (None: it does not know, and windows start as spent).
    """

    quorum_id: Bytes32
    activation_id: Bytes16
    grantee: Bytes32
    policy_hash: Bytes32
    firmware_hash: Bytes32
    site: Name
    life_seconds: Seconds
    ledger: Annotated[tuple[Spent, ...], Size(0, 5000)] | None


@dataclass(frozen=True, slots=True)
class FreezeOrder(Value):
    """Stop signing at once; leaving this state takes a fresh activation."""

    quorum_id: Bytes32
    reason: Line
    time: UnixTime


@dataclass(frozen=True, slots=True)
class LogSeal(Value):
    """Where an appliance's log ended, and what it remembered: the next activation goes on from here.

    ``highest_change`` is the highest index of change that it has signed (None: no change yet). ``ledger`` is what it
    knew to be spent at ``time`` (None: no owner had confirmed the time). It brings back spending, and never the
    knowledge that there was no other: an older seal is not worth more to a host than none. ``height`` is the highest
    height that it heard of, ``policy_version`` and ``policy_hash`` the newest policy that it knew to be in force,
    ``total_sats`` all that it ever let leave, ``amounts`` what its last payments paid (sats), the oldest first.
    """

    quorum_id: Bytes32
    length: UInt32
    head: Bytes32
    highest_change: KeyIndex | None = None
    time: UnixTime | None = None
    ledger: Annotated[tuple[Spent, ...], Size(0, 5000)] | None = None
    height: UInt32 | None = None
    policy_version: UInt32 | None = None
    policy_hash: Bytes32 | None = None
    total_sats: Annotated[int, Range(0, (1 << 63) - 1)] = 0
    amounts: Annotated[tuple[PositiveSats, ...], Size(0, 200)] = ()

    def check(self) -> None:
        if (self.time is None) != (self.ledger is None):
            raise MessageError("LogSeal: a ledger and the time of its ages belong together")
        if (self.policy_version is None) != (self.policy_hash is None):
            raise MessageError("LogSeal: a policy's version and its hash belong together")


STATEMENTS: tuple[type[Value], ...] = (
    Declaration,
    Acceptance,
    PolicyApproval,
    Clearance,
    ActivationRequest,
    ActivationGrant,
    FreezeOrder,
    LogSeal,
)


def content_type(kind: type[Value]) -> str:
    """The COSE content type that separates this kind of statement from all others."""
    return _PREFIX + kind.__name__


def sign_statement(statement: Value, public_key: bytes, signer: cose.Signer) -> bytes:
    """The statement as a COSE_Sign1 object signed by ``signer``, whose Ed25519 key is ``public_key``."""
    return cose.sign(content_type(type(statement)), statement.to_bytes(), public_key, signer)


def open_statement(kind: type[S], data: bytes, signers: Collection[bytes]) -> tuple[S, bytes]:
    """Verify and read a statement: the value, and which of ``signers`` signed it.

    Raises CborError, CoseError, SignatureError, or MessageError.
    """
    signed = cose.read(data)
    payload = signed.verified_payload(content_type(kind), signers)
    return kind.from_bytes(payload), signed.signer


def possession_digest(identity: bytes, xpub: bytes) -> bytes:
    """The 32 bytes that the account key signs in a declaration (a BIP 340 style tagged hash)."""
    return tagged_hash("undercroft/1/possession", identity + xpub)
