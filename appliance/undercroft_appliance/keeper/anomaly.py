"""Statistics over what was signed: what falls out of them waits for the owner. Integers only.

They know only what was signed: what was refused or declined teaches them nothing, so nobody trains them by asking.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .findings import Finding, held
from .refusals import NEW_PAYEES, UNUSUAL_AMOUNT
from .rules_shape import MILLION
from .standing import Case


def unusual_amount(case: Case) -> Iterator[Finding]:
    """``median_factor``: against the median of the last 200 payments, sealed ones of earlier activations among them."""
    rule, amounts = case.policy.anomaly, case.standing.history.amounts
    if rule is None or len(amounts) < rule.least_sample:
        return
    paid_sats, middle_sats = case.proven.paid_sats, median(amounts)
    # Attack: a payment inside every limit, and like none that went before.
    if paid_sats > rule.median_factor * middle_sats:
        numbers = f"{paid_sats} > {rule.median_factor} x {middle_sats} sats, the median of {len(amounts)}"
        yield held(UNUSUAL_AMOUNT, numbers)


def new_payees(case: Case) -> Iterator[Finding]:
    """``new_payees_ppm``: the share of what is paid that goes to scripts never paid since the appliance started."""
    rule, history = case.policy.anomaly, case.standing.history
    if rule is None or history.payments < rule.least_sample:
        return
    paid_sats = case.proven.paid_sats
    new_sats = sum(payee.amount_sats for payee in case.proven.payees if not history.has_paid(payee.script))
    # Attack: a host that was taken over pays its own addresses, and nobody else.
    if new_sats * MILLION > rule.new_payees_ppm * paid_sats:
        yield held(NEW_PAYEES, f"{new_sats} of {paid_sats} sats > {rule.new_payees_ppm} ppm")


def median(amounts: Sequence[int]) -> int:
    """The middle one, of an even number the lower of the two, so that doubt makes the rule stricter."""
    return sorted(amounts)[(len(amounts) - 1) // 2]
