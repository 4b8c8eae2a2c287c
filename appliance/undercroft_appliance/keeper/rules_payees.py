"""Rules over who is paid: kinds of script, clearances, the allowlist, sweep-only."""

from __future__ import annotations

from collections.abc import Iterator

from undercroft_protocol.bitcoin.script import classify

from .findings import Finding, refused
from .proven import Payee
from .refusals import CLEARANCE_EXPIRED, PAYEE_TYPE, SWEEP_ONLY, UNCLEARED_PAYEE, UNLISTED_PAYEE
from .standing import Case
from .sweep import SWEEP_INDEXES, sweep_scripts


def kinds(case: Case) -> Iterator[Finding]:
    """``payee_types``."""
    for payee in case.proven.payees:
        kind = classify(payee.script).value
        # Attack: OP_RETURN and unknown scripts burn or hide money (signers.md 54, 55).
        if kind not in case.policy.payee_types:
            yield refused(PAYEE_TYPE, f"{_who(payee)} gets {kind}")


def clearances(case: Case) -> Iterator[Finding]:
    """A clearance in time for each payee; ``uncleared`` for a payee of a PSBT who has none and is on no allowlist."""
    utc, allowlist = case.standing.utc, frozenset(case.policy.allowlist or ())
    for payee in case.proven.payees:
        # Attack: an old clearance is kept until the customer's account is empty.
        if payee.expires is not None and payee.expires < utc:
            yield refused(CLEARANCE_EXPIRED, f"{_who(payee)} by {utc - payee.expires} s")
        # Attack: the PSBT door as a way round the risk service.
        if payee.withdrawal_id is None and payee.script not in allowlist:
            yield Finding(UNCLEARED_PAYEE, case.policy.uncleared, f"{_who(payee)} gets {payee.amount_sats} sats")


def listed(case: Case) -> Iterator[Finding]:
    """``allowlist`` and ``unlisted``: scripts are compared byte by byte, so spelling plays no part (signers.md 87)."""
    if case.policy.allowlist is None:
        return
    allowlist = frozenset(case.policy.allowlist)
    for payee in case.proven.payees:
        # Attack: vault and risk service, both taken over, clear a stranger.
        if payee.script not in allowlist:
            numbers = f"{_who(payee)} gets {payee.amount_sats} sats, none of {len(allowlist)}"
            yield Finding(UNLISTED_PAYEE, case.policy.unlisted, numbers)


def sweeps(case: Case) -> Iterator[Finding]:
    """``sweep_to``: payees are addresses of the registered descriptor, on either branch below index 1000."""
    if case.policy.sweep_to is None:
        return
    registered = sweep_scripts(case.policy.sweep_to)
    for payee in case.proven.payees:
        # Attack: an address so far out in the right descriptor that nobody finds it again (signers.md 46).
        if payee.script not in registered:
            numbers = f"{_who(payee)} gets {payee.amount_sats} sats, not below index {SWEEP_INDEXES} of sweep_to"
            yield refused(SWEEP_ONLY, numbers)


def _who(payee: Payee) -> str:
    return f"script {payee.script.hex()}" if payee.withdrawal_id is None else f"withdrawal {payee.withdrawal_id}"
