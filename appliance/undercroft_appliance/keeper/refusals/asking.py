"""Refusals of a request as such: by its bytes, its sender, its time, the keeper's state, and the person asked."""

from __future__ import annotations

from .table import (
    COARSE_BUSY,
    COARSE_EXPIRED,
    COARSE_MALFORMED,
    COARSE_OWNER,
    COARSE_REPLAY,
    COARSE_STATE,
    COARSE_UNTRUSTED,
    refusal_code,
)

# Parse: is this a message, from whom, for whom, and is it new?
MALFORMED_MESSAGE = refusal_code(
    "malformed-message",
    COARSE_MALFORMED,
    "The bytes are no message of this protocol. If it recurs, stop the host and have its link software checked.",
)
UNTRUSTED_SIGNER = refusal_code(
    "untrusted-signer",
    COARSE_UNTRUSTED,
    "The sender is not the vault of this quorum. Call the operator; lock if nobody can explain it.",
)
BAD_SIGNATURE = refusal_code(
    "bad-signature",
    COARSE_UNTRUSTED,
    "The message was changed after it was signed. Check the line; lock if it recurs.",
)
OTHER_QUORUM = refusal_code(
    "other-quorum",
    COARSE_STATE,
    "It was made for another quorum. Ask the operator which appliance was meant.",
)
OTHER_ACTIVATION = refusal_code(
    "other-activation",
    COARSE_REPLAY,
    "It was made for an earlier activation. The host should ask for the status and make a new message.",
)
STALE_SEQUENCE = refusal_code(
    "stale-sequence",
    COARSE_REPLAY,
    "An older or repeated message. Once is an accident of the line; again is an attack: lock.",
)
REQUEST_EXPIRED = refusal_code(
    "request-expired",
    COARSE_EXPIRED,
    "It came too late. The host should send a new one; if they all expire, compare its clock with your watch.",
)

# State: not now.
BUSY = refusal_code("busy", COARSE_BUSY, "A question is open on this screen. Answer it first.")
ALREADY_UNLOCKED = refusal_code(
    "already-unlocked", COARSE_STATE, "A key is already unlocked here. Lock it first, then start again."
)
NOT_UNLOCKED = refusal_code("not-unlocked", COARSE_STATE, "No key is unlocked here. Activate the appliance first.")
NOT_ACTIVATED = refusal_code(
    "not-activated",
    COARSE_STATE,
    "The key was unlocked for the ceremony, without rules. Lock, then activate with an approved policy.",
)
NOT_ARMED = refusal_code(
    "not-armed", COARSE_STATE, "Nothing is signed before another owner has armed this appliance. Ask for a grant."
)
ALREADY_ARMED = refusal_code(
    "already-armed", COARSE_STATE, "This appliance is armed. Lock it to begin a new activation."
)
NO_QUORUM = refusal_code(
    "no-quorum", COARSE_STATE, "No quorum is loaded, so nothing here can be frozen: all is locked."
)
FROZEN = refusal_code(
    "frozen",
    COARSE_STATE,
    "This quorum was frozen. Only a fresh activation, with another owner's grant, goes on from here.",
)
INTERRUPTED = refusal_code(
    "interrupted", COARSE_STATE, "The appliance was locked while it was asking. Nothing was done; start again."
)

# Owner: a person said no, or nothing.
OWNER_DECLINED = refusal_code("owner-declined", COARSE_OWNER, "You declined. Nothing was done.")
OWNER_TIMEOUT = refusal_code("owner-timeout", COARSE_OWNER, "Nobody answered in time. Have the request sent again.")
PASSPHRASE_FAILED = refusal_code(
    "passphrase-failed",
    COARSE_OWNER,
    "The passphrase was wrong, too short, or not typed the same way twice. Start again, slowly.",
)
ENTROPY_FAILED = refusal_code(
    "entropy-failed",
    COARSE_OWNER,
    "What you typed for the key was too uniform, or not typed. Start again, with dice or with keys hit at random.",
)
TIME_DENIED = refusal_code(
    "time-denied", COARSE_OWNER, "The host's clock is wrong. Have the operator set it before you activate."
)
