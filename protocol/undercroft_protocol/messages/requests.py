"""What the host says to an appliance; every request carries a header and is signed by the vault's key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..codec import Value
from ..fields import Bytes16, Bytes32, Name, SignedObject, Size, UInt32, UnixTime
from .batch import BatchRequest
from .envelope import Envelope
from .policy import Policy
from .quorum import Quorum


@dataclass(frozen=True, slots=True)
class RequestHeader(Value):
    """Binds a request to one quorum and one activation of one appliance, in order, for a time.

    ``activation_id`` is the random id that the appliance drew when it last started or locked; ``sequence`` rises
    strictly.
    """

    quorum_id: Bytes32 | None
    activation_id: Bytes16
    sequence: UInt32
    expires: UnixTime


@dataclass(frozen=True, slots=True)
class StatusRequest(Value):
    """How are you? The only request whose activation id may be all zeros: it is how the host learns it."""


@dataclass(frozen=True, slots=True)
class DeclareRequest(Value):
    """Make a key for a new quorum on this network."""

    network: Name


@dataclass(frozen=True, slots=True)
class QuorumOffer(Value):
    """The quorum that the host formed, and this appliance's own draft envelope."""

    quorum: Quorum
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class PolicyOffer(Value):
    """A policy for the owner to read and approve."""

    policy: Policy


@dataclass(frozen=True, slots=True)
class ApprovedPolicy(Value):
    """A policy with its owners' approvals, as signed."""

    policy: Policy
    approvals: Annotated[tuple[SignedObject, ...], Size(1, 3)]


@dataclass(frozen=True, slots=True)
class ActivateRequest(Value):
    """All that an empty appliance needs: envelope, quorum, approved policy, the time, where its log ended.

    ``lineage`` are the policies that led to this one, the oldest first, each replaced by the next: what a policy
    loosens, and what one owner alone may tighten, is seen by comparing it with the one before.
    """

    quorum: Quorum
    envelope: Envelope
    policy: Policy
    approvals: Annotated[tuple[SignedObject, ...], Size(1, 3)]
    time: UnixTime
    log_seal: SignedObject | None
    lineage: Annotated[tuple[ApprovedPolicy, ...], Size(0, 32)] = ()


@dataclass(frozen=True, slots=True)
class GrantRequest(Value):
    """Another appliance's signed ActivationRequest, for this owner to grant."""

    request: SignedObject


@dataclass(frozen=True, slots=True)
class ArmRequest(Value):
    """Another owner's signed ActivationGrant for this activation."""

    grant: SignedObject


@dataclass(frozen=True, slots=True)
class LockRequest(Value):
    """Wipe all secrets."""


@dataclass(frozen=True, slots=True)
class FreezeRequest(Value):
    """A signed FreezeOrder, by any owner or by the vault."""

    order: SignedObject


@dataclass(frozen=True, slots=True)
class LogRequest(Value):
    """Send the log's entries from this number on."""

    start: UInt32


REQUESTS: tuple[type[Value], ...] = (
    StatusRequest,
    DeclareRequest,
    QuorumOffer,
    PolicyOffer,
    ActivateRequest,
    GrantRequest,
    ArmRequest,
    BatchRequest,
    LockRequest,
    FreezeRequest,
    LogRequest,
)
