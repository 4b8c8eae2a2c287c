"""Every reason for which the keeper says no, in one table.

The exact code is for the owner's screen and the log; the host learns its coarse class only, so that whoever took the
host over cannot feel its way along a limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

COARSE_MALFORMED: Final = "malformed"
COARSE_UNTRUSTED: Final = "untrusted"
COARSE_REPLAY: Final = "replay"
COARSE_EXPIRED: Final = "expired"
COARSE_STATE: Final = "state"
COARSE_BUSY: Final = "busy"
COARSE_OWNER: Final = "owner"
COARSE_UNPROVEN: Final = "unproven"
COARSE_POLICY: Final = "policy"

COUNTED: Final = frozenset({COARSE_MALFORMED, COARSE_UNTRUSTED, COARSE_REPLAY, COARSE_UNPROVEN, COARSE_POLICY})
"""Ten refusals of these classes by an armed appliance, and it wipes itself: somebody is trying."""


MOST_DETAIL: Final = 160
"""Characters."""


@dataclass(frozen=True, slots=True)
class RefusalCode:
    """A stable code; ``coarse`` is what the host gets; ``meaning`` tells the owner what it is and what to do next."""

    name: str
    coarse: str
    meaning: str


class Refusal(Exception):  # noqa: N818 - the field's word; it is an answer, not an error
    """What was asked is refused: why (``code``), and by which numbers (``detail``, no secret in it)."""

    def __init__(self, code: RefusalCode, detail: str = "") -> None:
        self.code = code
        # Attack: a content type of four megabytes comes back in the error text and floods screen and log.
        self.detail = detail[:MOST_DETAIL]
        super().__init__(f"{code.name}: {self.detail}" if detail else code.name)

    @property
    def lines(self) -> tuple[str, ...]:
        """For the owner's screen: code, numbers, and what to do next."""
        return (str(self), self.code.meaning)


_table: dict[str, RefusalCode] = {}


def _code(name: str, coarse: str, meaning: str) -> RefusalCode:
    if name in _table:
        raise ValueError(f"refusal {name} is there twice")
    _table[name] = code = RefusalCode(name, coarse, meaning)
    return code


# Parse: is this a message, from whom, for whom, and is it new?
MALFORMED_MESSAGE = _code(
    "malformed-message",
    COARSE_MALFORMED,
    "The bytes are no message of this protocol. If it recurs, stop the host and have its link software checked.",
)
UNTRUSTED_SIGNER = _code(
    "untrusted-signer",
    COARSE_UNTRUSTED,
    "The sender is not the vault of this quorum. Call the operator; lock if nobody can explain it.",
)
BAD_SIGNATURE = _code(
    "bad-signature",
    COARSE_UNTRUSTED,
    "The message was changed after it was signed. Check the line; lock if it recurs.",
)
OTHER_QUORUM = _code(
    "other-quorum",
    COARSE_STATE,
    "It was made for another quorum. Ask the operator which appliance was meant.",
)
OTHER_ACTIVATION = _code(
    "other-activation",
    COARSE_REPLAY,
    "It was made for an earlier activation. The host should ask for the status and make a new message.",
)
STALE_SEQUENCE = _code(
    "stale-sequence",
    COARSE_REPLAY,
    "An older or repeated message. Once is an accident of the line; again is an attack: lock.",
)
REQUEST_EXPIRED = _code(
    "request-expired",
    COARSE_EXPIRED,
    "It came too late. The host should send a new one; if they all expire, compare its clock with your watch.",
)

# State: not now.
BUSY = _code("busy", COARSE_BUSY, "A question is open on this screen. Answer it first.")
ALREADY_UNLOCKED = _code(
    "already-unlocked", COARSE_STATE, "A key is already unlocked here. Lock it first, then start again."
)
NOT_UNLOCKED = _code("not-unlocked", COARSE_STATE, "No key is unlocked here. Activate the appliance first.")
NOT_ACTIVATED = _code(
    "not-activated",
    COARSE_STATE,
    "The key was unlocked for the ceremony, without rules. Lock, then activate with an approved policy.",
)
NOT_ARMED = _code(
    "not-armed", COARSE_STATE, "Nothing is signed before another owner has armed this appliance. Ask for a grant."
)
ALREADY_ARMED = _code("already-armed", COARSE_STATE, "This appliance is armed. Lock it to begin a new activation.")
NO_QUORUM = _code("no-quorum", COARSE_STATE, "No quorum is loaded, so nothing here can be frozen: all is locked.")
FROZEN = _code(
    "frozen",
    COARSE_STATE,
    "This quorum was frozen. Only a fresh activation, with another owner's grant, goes on from here.",
)
INTERRUPTED = _code(
    "interrupted", COARSE_STATE, "The appliance was locked while it was asking. Nothing was done; start again."
)

# Owner: a person said no, or nothing.
OWNER_DECLINED = _code("owner-declined", COARSE_OWNER, "You declined. Nothing was done.")
OWNER_TIMEOUT = _code("owner-timeout", COARSE_OWNER, "Nobody answered in time. Have the request sent again.")
PASSPHRASE_FAILED = _code(
    "passphrase-failed",
    COARSE_OWNER,
    "The passphrase was wrong, too short, or not typed the same way twice. Start again, slowly.",
)
TIME_DENIED = _code(
    "time-denied", COARSE_OWNER, "The host's clock is wrong. Have the operator set it before you activate."
)

# Ceremony and activation: what the host brought does not fit together.
OTHER_NETWORK = _code(
    "other-network", COARSE_UNPROVEN, "It is meant for another Bitcoin network than this appliance was started for."
)
NOT_IN_QUORUM = _code(
    "not-in-quorum",
    COARSE_UNPROVEN,
    "The envelope's key is none of the three in this quorum. Do not go on; call the others.",
)
QUORUM_UNUSABLE = _code(
    "quorum-unusable",
    COARSE_UNPROVEN,
    "No script can be made of the three keys of this quorum. Do not go on; have the quorum formed again.",
)
ENVELOPE_UNUSABLE = _code(
    "envelope-unusable",
    COARSE_UNPROVEN,
    "This envelope does not belong here. Ask the operator for yours, for this quorum; else use your key card.",
)
POLICY_OTHER_QUORUM = _code(
    "policy-other-quorum",
    COARSE_UNPROVEN,
    "The policy was written for another quorum. Ask the operator for the right one.",
)
APPROVALS_INSUFFICIENT = _code(
    "approvals-insufficient",
    COARSE_UNPROVEN,
    "Two different owners must have approved exactly this policy. Ask which approvals are missing.",
)
LOG_SEAL = _code(
    "log-seal",
    COARSE_UNPROVEN,
    "The log's last position was not signed by this key. Ask the operator for the last seal of this appliance.",
)
FREEZE_UNTRUSTED = _code(
    "freeze-untrusted", COARSE_UNTRUSTED, "The freeze order is by nobody of this quorum. To stop, type: lock"
)

# Grants: who may arm whom.
GRANT_UNTRUSTED = _code(
    "grant-untrusted", COARSE_UNTRUSTED, "It is not signed by an owner of this quorum. Do not go on; call the others."
)
GRANT_SAME_OWNER = _code(
    "grant-same-owner", COARSE_UNPROVEN, "Nobody arms their own appliance. Another owner must grant this."
)
GRANT_SAME_SITE = _code(
    "grant-same-site", COARSE_UNPROVEN, "Both appliances are at the same site. One owner must go to another site."
)
GRANT_OTHER_POLICY = _code(
    "grant-other-policy",
    COARSE_UNPROVEN,
    "The two appliances have different rules. Activate both with the same policy.",
)
GRANT_OTHER_FIRMWARE = _code(
    "grant-other-firmware",
    COARSE_UNPROVEN,
    "The two appliances run different software. Start both from the same card image.",
)
GRANT_OTHER_ACTIVATION = _code(
    "grant-other-activation", COARSE_UNPROVEN, "The grant is for another activation. Ask the other owner for a new one."
)
GRANT_OTHER_GRANTEE = _code(
    "grant-other-grantee",
    COARSE_UNPROVEN,
    "The grant is for another owner's appliance. Ask for one for this appliance.",
)
GRANT_LIFE = _code(
    "grant-life",
    COARSE_UNPROVEN,
    "It asks for a longer life than the policy allows. Do not go on; call the other owner.",
)

# Prove: what the host says about coins and payees is not what the appliance finds.
PREVIOUS_MALFORMED = _code(
    "previous-malformed", COARSE_UNPROVEN, "A previous transaction cannot be read. The host's data are damaged."
)
PREVIOUS_REPEATED = _code(
    "previous-repeated", COARSE_UNPROVEN, "A previous transaction is there twice. The host builds batches wrongly."
)
PREVIOUS_UNUSED = _code(
    "previous-unused", COARSE_UNPROVEN, "A previous transaction serves no input. The host builds batches wrongly."
)
PREVIOUS_MISSING = _code(
    "previous-missing",
    COARSE_UNPROVEN,
    "An input's previous transaction is not there. The host builds batches wrongly.",
)
OUTPUT_MISSING = _code(
    "output-missing", COARSE_UNPROVEN, "An input spends an output that does not exist. Lock and have the host examined."
)
FOREIGN_COIN = _code(
    "foreign-coin",
    COARSE_UNPROVEN,
    "An input is not a coin of this quorum at that index. Lock and have the host examined.",
)
OUTPOINT_REPEATED = _code(
    "outpoint-repeated", COARSE_UNPROVEN, "One coin is spent twice in the batch. The host's coin locks do not work."
)
CLEARANCE_MALFORMED = _code(
    "clearance-malformed", COARSE_UNPROVEN, "A clearance cannot be read. Ask the risk service's operator."
)
CLEARANCE_UNTRUSTED = _code(
    "clearance-untrusted",
    COARSE_UNPROVEN,
    "A payee was not cleared by the risk service of this quorum. Lock and have the host examined.",
)
CLEARANCE_OTHER_QUORUM = _code(
    "clearance-other-quorum", COARSE_UNPROVEN, "A payee was cleared for another quorum. Ask the operator."
)
WITHDRAWAL_REPEATED = _code(
    "withdrawal-repeated",
    COARSE_UNPROVEN,
    "One withdrawal is paid twice in the batch. Lock and have the host examined.",
)
COIN_INDEX = _code(
    "coin-index",
    COARSE_UNPROVEN,
    "A coin lies further out than this quorum ever goes (it could raise the bound for change). Ask the operator.",
)
CHANGE_INDEX = _code(
    "change-index",
    COARSE_UNPROVEN,
    "The change would go where it is hard to find again (a ransom attack). Lock and have the host examined.",
)
CHANGE_COUNT = _code(
    "change-count", COARSE_UNPROVEN, "A transaction has more than one change output. The host builds batches wrongly."
)
DUST = _code("dust", COARSE_UNPROVEN, "An output is too small to be relayed. The host builds batches wrongly.")
AMOUNT_RANGE = _code(
    "amount-range",
    COARSE_UNPROVEN,
    "The amounts add up to more than there can ever be. Lock and have the host examined.",
)
OUTPUTS_EXCEED_INPUTS = _code(
    "outputs-exceed-inputs", COARSE_UNPROVEN, "More goes out than comes in. The host's amounts are wrong."
)
SEQUENCE_NUMBER = _code(
    "sequence-number",
    COARSE_UNPROVEN,
    "The inputs' sequence number is not one that is used here. Check the host's version.",
)
LOCKTIME = _code("locktime", COARSE_UNPROVEN, "The transaction could not be mined now. Check the host's chain height.")

# Judge: the policy.
NO_POLICY = _code("no-policy", COARSE_POLICY, "No rules are loaded, and without rules nothing is signed.")
OTHER_POLICY = _code(
    "other-policy", COARSE_POLICY, "The host works with another policy. Tell the operator which one is active here."
)
TOO_MANY_TRANSACTIONS = _code(
    "too-many-transactions", COARSE_POLICY, "More transactions than the policy allows in one batch. Have it split."
)
HEIGHT_BACK = _code(
    "height-back",
    COARSE_POLICY,
    "The host's chain went back. Lock if the operator cannot explain it by a reorganisation.",
)
HEIGHT_JUMP = _code(
    "height-jump", COARSE_POLICY, "The host's chain is far ahead of its last message. Ask the operator which is right."
)
TOO_MANY_INPUTS = _code("too-many-inputs", COARSE_POLICY, "More inputs than the policy allows. Have it split.")
TOO_MANY_PAYEES = _code("too-many-payees", COARSE_POLICY, "More payees than the policy allows. Have it split.")
PAYEE_TYPE = _code("payee-type", COARSE_POLICY, "The policy does not allow this kind of address. Ask for another one.")
TRANSACTION_LIMIT = _code(
    "transaction-limit", COARSE_POLICY, "More than any one transaction may move. Only a new policy could allow it."
)
TRANSACTION_HOLD = _code("transaction-hold", COARSE_POLICY, "A large transaction waits for you. Type: held")
WINDOW_LIMIT = _code(
    "window-limit", COARSE_POLICY, "The limit of this window is reached. It opens again as time passes."
)
WINDOW_HOLD = _code("window-hold", COARSE_POLICY, "Much has left in this window; this one waits for you. Type: held")
WINDOW_UNKNOWN = _code(
    "window-unknown",
    COARSE_POLICY,
    "What was spent before the activation is unknown, so the window counts as spent until it has passed once.",
)
FEE_LIMIT = _code("fee-limit", COARSE_POLICY, "The fee is higher than the policy allows. Have it built again.")
FEE_SHARE = _code("fee-share", COARSE_POLICY, "The fee is too large a share of what is paid. Have it built again.")
FEERATE = _code("feerate", COARSE_POLICY, "The feerate is higher than the policy allows. Have it built again.")
CLEARANCE_EXPIRED = _code(
    "clearance-expired", COARSE_POLICY, "The risk service's clearance has run out. It must judge the withdrawal again."
)
OUTPOINT_SIGNED = _code(
    "outpoint-signed",
    COARSE_POLICY,
    "This coin was already signed away in another transaction, since the appliance was switched on.",
)
WITHDRAWAL_PAID = _code(
    "withdrawal-paid", COARSE_POLICY, "This withdrawal was already paid by another transaction. Ask the operator."
)
LEDGER_FULL = _code(
    "ledger-full", COARSE_POLICY, "More transactions in the longest window than this appliance can remember. Wait."
)
HELD_FULL = _code("held-full", COARSE_POLICY, "Too many transactions wait for you already. Type: held")

CODES: Final[Mapping[str, RefusalCode]] = MappingProxyType(_table)
