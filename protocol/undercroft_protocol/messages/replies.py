"""What an appliance answers; signed by its identity key, or by a key drawn at start while it has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from ..codec import Value
from ..fields import Bytes16, Bytes32, Line, Name, SignedObject, Size, UInt32
from .batch import Verdict
from .log import LogEntry

EMPTY: Final = "empty"
SEALED: Final = "sealed"
UNLOCKED: Final = "unlocked"
ARMED: Final = "armed"
STATES: Final = (EMPTY, SEALED, UNLOCKED, ARMED)


@dataclass(frozen=True, slots=True)
class ReplyHeader(Value):
    """Binds a reply to the very bytes it answers (SHA-256), and says by which rules and after which log entry."""

    quorum_id: Bytes32 | None
    activation_id: Bytes16
    sequence: UInt32
    in_reply_to: Bytes32
    policy_hash: Bytes32 | None
    log_head: Bytes32


@dataclass(frozen=True, slots=True)
class StatusReport(Value):
    """State, owner, site, and seconds left while armed; ``held`` transactions wait for the owner.

    ``freeze_order`` is the FreezeOrder by which this appliance was stopped last, to be passed on to the others; it is
    gone when the appliance is armed again.
    """

    state: Name
    owner: Name | None
    site: Name | None
    firmware_hash: Bytes32
    armed_seconds: UInt32
    held: UInt32
    memory: Name
    freeze_order: SignedObject | None = None


@dataclass(frozen=True, slots=True)
class StatementReply(Value):
    """The statement that the request asked for: a declaration, acceptance, approval, activation request, or grant."""

    statement: SignedObject


@dataclass(frozen=True, slots=True)
class Done(Value):
    """What was asked is done."""

    state: Name


@dataclass(frozen=True, slots=True)
class BatchReply(Value):
    """A verdict for each transaction of the batch, in its order."""

    batch_id: Bytes16
    verdicts: Annotated[tuple[Verdict, ...], Size(1, 100)]


@dataclass(frozen=True, slots=True)
class LogReply(Value):
    """Log entries in order, and the signed place where the log ends now."""

    entries: Annotated[tuple[LogEntry, ...], Size(0, 2000)]
    seal: SignedObject


@dataclass(frozen=True, slots=True)
class RefusalReply(Value):
    """The request was not done.

    ``code`` is coarse on purpose: the exact reason stands on the owner's screen and in the log.
    """

    code: Name
    message: Line


REPLIES: tuple[type[Value], ...] = (
    StatusReport,
    StatementReply,
    Done,
    BatchReply,
    LogReply,
    RefusalReply,
)
