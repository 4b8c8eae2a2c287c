"""Refusals and holds by the policy."""

from __future__ import annotations

from .table import COARSE_POLICY, refusal_code

# Judge: the policy.
NO_POLICY = refusal_code("no-policy", COARSE_POLICY, "No rules are loaded, and without rules nothing is signed.")
OTHER_POLICY = refusal_code(
    "other-policy", COARSE_POLICY, "The host works with another policy. Tell the operator which one is active here."
)
TOO_MANY_TRANSACTIONS = refusal_code(
    "too-many-transactions", COARSE_POLICY, "More transactions than the policy allows in one batch. Have it split."
)
HEIGHT_BACK = refusal_code(
    "height-back",
    COARSE_POLICY,
    "The host's chain went back. Lock if the operator cannot explain it by a reorganisation.",
)
HEIGHT_JUMP = refusal_code(
    "height-jump", COARSE_POLICY, "The host's chain is far ahead of its last message. Ask the operator which is right."
)
TOO_MANY_INPUTS = refusal_code("too-many-inputs", COARSE_POLICY, "More inputs than the policy allows. Have it split.")
TOO_MANY_PAYEES = refusal_code("too-many-payees", COARSE_POLICY, "More payees than the policy allows. Have it split.")
PAYEE_TYPE = refusal_code(
    "payee-type", COARSE_POLICY, "The policy does not allow this kind of address. Ask for another one."
)
UNLISTED_PAYEE = refusal_code(
    "unlisted-payee",
    COARSE_POLICY,
    "A payee is not on the policy's allowlist. If it is held, ask who is paid there before you approve.",
)
UNCLEARED_PAYEE = refusal_code(
    "uncleared-payee",
    COARSE_POLICY,
    "The risk service cleared nobody in a PSBT. Compare each address with the one you were given, by another way.",
)
SWEEP_ONLY = refusal_code(
    "sweep-only",
    COARSE_POLICY,
    "This policy pays addresses of one registered wallet only, and this is none. Lock if nobody can explain it.",
)
SELF_SHARE = refusal_code(
    "self-share", COARSE_POLICY, "Too little of what goes in comes back to the quorum. Have it built with other coins."
)
UNEQUAL_PAYEES = refusal_code(
    "unequal-payees", COARSE_POLICY, "Under this policy all payees of a transaction get the same. Have it split."
)
TRANSACTION_LIMIT = refusal_code(
    "transaction-limit", COARSE_POLICY, "More than any one transaction may move. Only a new policy could allow it."
)
TRANSACTION_HOLD = refusal_code("transaction-hold", COARSE_POLICY, "A large transaction waits for you. Type: held")
WINDOW_LIMIT = refusal_code(
    "window-limit", COARSE_POLICY, "The limit of this window is reached. It opens again as time passes."
)
WINDOW_HOLD = refusal_code(
    "window-hold", COARSE_POLICY, "Much has left in this window; this one waits for you. Type: held"
)
WINDOW_COUNT_LIMIT = refusal_code(
    "window-count-limit",
    COARSE_POLICY,
    "As many transactions as this window allows were signed. It opens again as time passes.",
)
WINDOW_COUNT_HOLD = refusal_code(
    "window-count-hold",
    COARSE_POLICY,
    "Many transactions were signed in this window; this one waits for you. Type: held",
)
ACTIVATION_LIMIT = refusal_code(
    "activation-limit",
    COARSE_POLICY,
    "All that may leave in one activation has left. Lock; a new activation, with another grant, begins a new count.",
)
LIFETIME_LIMIT = refusal_code(
    "lifetime-limit",
    COARSE_POLICY,
    "All that this appliance may ever let leave has left. Only a policy with a larger total goes on from here.",
)
OUT_OF_HOURS = refusal_code(
    "out-of-hours", COARSE_POLICY, "The policy signs only at certain hours (UTC). Have it sent again when they begin."
)
UNUSUAL_AMOUNT = refusal_code(
    "unusual-amount",
    COARSE_POLICY,
    "It pays far more than payments usually do. Ask for the reason by another way, then type: held",
)
NEW_PAYEES = refusal_code(
    "new-payees",
    COARSE_POLICY,
    "Much of it goes to addresses that were never paid here. Ask who they are by another way, then type: held",
)
WINDOW_UNKNOWN = refusal_code(
    "window-unknown",
    COARSE_POLICY,
    "What was spent before the activation is unknown, so the window counts as spent until it has passed once.",
)
FEE_LIMIT = refusal_code("fee-limit", COARSE_POLICY, "The fee is higher than the policy allows. Have it built again.")
FEE_SHARE = refusal_code(
    "fee-share", COARSE_POLICY, "The fee is too large a share of what is paid. Have it built again."
)
FEERATE = refusal_code("feerate", COARSE_POLICY, "The feerate is higher than the policy allows. Have it built again.")
CONSOLIDATION_FEERATE = refusal_code(
    "consolidation-feerate",
    COARSE_POLICY,
    "A transaction that pays nobody is never in a hurry. Have it built again with a lower feerate.",
)
CLEARANCE_EXPIRED = refusal_code(
    "clearance-expired", COARSE_POLICY, "The risk service's clearance has run out. It must judge the withdrawal again."
)
OUTPOINT_SIGNED = refusal_code(
    "outpoint-signed",
    COARSE_POLICY,
    "A coin was signed away before, and here a payee of then gets less or nothing. A fee bump must keep all of them.",
)
WITHDRAWAL_PAID = refusal_code(
    "withdrawal-paid",
    COARSE_POLICY,
    "A transaction that could confirm beside this one pays the same withdrawal already. Ask the operator.",
)
LEDGER_FULL = refusal_code(
    "ledger-full", COARSE_POLICY, "More transactions in the longest window than this appliance can remember. Wait."
)
HISTORY_FULL = refusal_code(
    "history-full",
    COARSE_POLICY,
    "This appliance remembers no more coins and payees. Lock, switch it off and on, and activate it anew.",
)
HELD_FULL = refusal_code("held-full", COARSE_POLICY, "Too many transactions wait for you already. Type: held")
