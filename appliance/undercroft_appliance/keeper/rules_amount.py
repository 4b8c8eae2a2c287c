"""Rules over what leaves the quorum: in one transaction, in sliding windows, in one activation, ever.

Fees are in all of these numbers. One transaction is measured by all that leaves in it; windows and totals by what would
be debited, which is less only for a fee bump (see history.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from undercroft_protocol.messages import Window

from .findings import Finding, held, refused
from .refusals import (
    ACTIVATION_LIMIT,
    LIFETIME_LIMIT,
    TRANSACTION_HOLD,
    TRANSACTION_LIMIT,
    WINDOW_COUNT_HOLD,
    WINDOW_COUNT_LIMIT,
    WINDOW_HOLD,
    WINDOW_LIMIT,
    Refusal,
)
from .standing import Case


def amount(case: Case) -> Iterator[Finding]:
    """``hold_above_sats``, ``refuse_above_sats``."""
    leaves_sats, policy = case.proven.leaves_sats, case.policy
    # Attack: everything in one transaction. A fee bump gets no discount here.
    if leaves_sats > policy.refuse_above_sats:
        yield refused(TRANSACTION_LIMIT, f"{leaves_sats} > {policy.refuse_above_sats} sats")
    elif leaves_sats > policy.hold_above_sats:
        yield held(TRANSACTION_HOLD, f"{leaves_sats} > {policy.hold_above_sats} sats")


def windows(case: Case) -> Iterator[Finding]:
    """``[[windows]]``, each by itself, by amount and by count."""
    for window in case.policy.windows:
        try:
            spent_sats = case.standing.ledger.spent_sats(window.seconds, case.standing.now)
        except Refusal as refusal:
            # Attack: a restart to begin the window anew (signers.md 88).
            yield refused(refusal.code, refusal.detail)
            continue
        yield from _by_amount(case, window, spent_sats)
        yield from _by_count(case, window)


def totals(case: Case) -> Iterator[Finding]:
    """``most_activation_sats``, ``most_lifetime_sats``: above every window, and never opened again by time."""
    ledger, policy, debit_sats = case.standing.ledger, case.policy, case.debit_sats
    most_activation, most_lifetime = policy.most_activation_sats, policy.most_lifetime_sats
    # Attack: patience, window after window, while an armed appliance stands unwatched.
    if most_activation is not None and ledger.armed_sats + debit_sats > most_activation:
        yield refused(ACTIVATION_LIMIT, f"{ledger.armed_sats} + {debit_sats} > {most_activation} sats")
    # Attack: the same over many activations.
    if most_lifetime is not None and ledger.total_sats + debit_sats > most_lifetime:
        yield refused(LIFETIME_LIMIT, f"{ledger.total_sats} + {debit_sats} > {most_lifetime} sats")


def _by_amount(case: Case, window: Window, spent_sats: int) -> Iterator[Finding]:
    # Attack: many small transactions, each with the greatest fee (signers.md 12): fees are in both numbers.
    total = spent_sats + case.debit_sats
    numbers = f"{spent_sats} + {case.debit_sats} in {window.seconds} s"
    if total > window.refuse_above_sats:
        yield refused(WINDOW_LIMIT, f"{numbers} > {window.refuse_above_sats} sats")
    elif total > window.hold_above_sats:
        yield held(WINDOW_HOLD, f"{numbers} > {window.hold_above_sats} sats")


def _by_count(case: Case, window: Window) -> Iterator[Finding]:
    # Attack: a flood of payments too small for any amount to stop. A fee bump is one more.
    count = case.standing.ledger.spent_count(window.seconds, case.standing.now) + 1
    hold_above, refuse_above = window.hold_above_count, window.refuse_above_count
    numbers = f"{count} transactions in {window.seconds} s"
    if refuse_above is not None and count > refuse_above:
        yield refused(WINDOW_COUNT_LIMIT, f"{numbers} > {refuse_above}")
    elif hold_above is not None and count > hold_above:
        yield held(WINDOW_COUNT_HOLD, f"{numbers} > {hold_above}")
