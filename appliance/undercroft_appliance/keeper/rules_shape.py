"""Rules over a transaction's shape: how many, how alike, how much of it comes back, at what time of the day."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .findings import Finding, refused
from .refusals import OUT_OF_HOURS, SELF_SHARE, TOO_MANY_INPUTS, TOO_MANY_PAYEES, UNEQUAL_PAYEES
from .standing import Case
from .text import minute_of_day

MILLION: Final = 1_000_000
_MINUTE: Final = 60
_DAY: Final = 86_400


def counts(case: Case) -> Iterator[Finding]:
    """``most_inputs``, ``most_payees``."""
    inputs, payees = len(case.proven.inputs), len(case.proven.payees)
    if inputs > case.policy.most_inputs:
        yield refused(TOO_MANY_INPUTS, f"{inputs} > {case.policy.most_inputs}")
    # Attack: so many payees that nobody looks at each (signers.md 82).
    if payees > case.policy.most_payees:
        yield refused(TOO_MANY_PAYEES, f"{payees} > {case.policy.most_payees}")


def self_share(case: Case) -> Iterator[Finding]:
    """``least_self_ppm``: of what the inputs hold, at least so much comes back."""
    least = case.policy.least_self_ppm
    own_sats, in_sats = case.proven.own_sats, case.proven.in_sats
    # Attack: outputs that merely claim to be ours fill the share (signers.md 1c); own_sats holds rebuilt scripts only.
    if least is not None and own_sats * MILLION < least * in_sats:
        yield refused(SELF_SHARE, f"{own_sats} of {in_sats} sats come back < {least} ppm")


def equal_payees(case: Case) -> Iterator[Finding]:
    """``equal_payees``: all get the same."""
    amounts = [payee.amount_sats for payee in case.proven.payees]
    # Attack: one large payee among many small ones of a known size.
    if case.policy.equal_payees is not None and len(set(amounts)) > 1:
        yield refused(UNEQUAL_PAYEES, f"from {min(amounts)} to {max(amounts)} sats")


def hours(case: Case) -> Iterator[Finding]:
    """``hours``: only in these minutes of the day, UTC as the owner confirmed it."""
    rule = case.policy.hours
    if rule is None:
        return
    minute = case.standing.utc % _DAY // _MINUTE
    if rule.from_minute < rule.until_minute:
        inside = rule.from_minute <= minute < rule.until_minute
    else:
        inside = minute >= rule.from_minute or minute < rule.until_minute
    # Attack: a host that was taken over works at night, when nobody looks.
    if not inside:
        span = f"{minute_of_day(rule.from_minute)} to {minute_of_day(rule.until_minute)}"
        yield refused(OUT_OF_HOURS, f"{minute_of_day(minute)} UTC is not within {span}")
