"""Every message and value of the protocol, immutable and typed, with one encoding each."""

from .batch import (
    HELD,
    REFUSED,
    SIGNED,
    BatchRequest,
    Change,
    Coin,
    Output,
    TransactionRequest,
    Verdict,
)
from .codec import Value
from .envelope import Envelope
from .policy import APPROVALS_NEEDED, Policy, Window, policy_from_toml
from .quorum import Owner, Quorum, grouped_code
from .replies import (
    ARMED,
    EMPTY,
    SEALED,
    UNLOCKED,
    BatchReply,
    Done,
    LogEntry,
    LogReply,
    RefusalReply,
    ReplyHeader,
    StatementReply,
    StatusReport,
)
from .requests import (
    ActivateRequest,
    ArmRequest,
    DeclareRequest,
    FreezeRequest,
    GrantRequest,
    LockRequest,
    LogRequest,
    PolicyOffer,
    QuorumOffer,
    RequestHeader,
    StatusRequest,
)
from .statements import (
    Acceptance,
    ActivationGrant,
    ActivationRequest,
    Clearance,
    Declaration,
    FreezeOrder,
    LogSeal,
    PolicyApproval,
    Spent,
    open_statement,
    possession_digest,
    sign_statement,
)
from .wire import Message, open_reply, open_request, request_kind, seal_reply, seal_request

__all__ = [name for name in dir() if not name.startswith("_")]
