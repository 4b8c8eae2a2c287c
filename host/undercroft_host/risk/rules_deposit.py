"""The rules for deposits. Each is a function of the facts and its parameters, and says what it compared.

D01 confirmations by amount, D04 own address, D07 dust, D17 funds valid, D21 own output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .findings import ALLOW, DELAY, DENY, FLAG, Finding
from .ruleset import RuleSet


@dataclass(frozen=True, slots=True)
class DepositFacts:
    """What the store knows of a deposit.

    ``confirmations`` is 0 outside the active chain; ``chain_amount_sats`` what the transaction itself pays (None: there
    is no such output); ``address_account`` whom the address belongs to; ``own_payment`` is a payment of ours that made
    it; ``spender_known`` says that what spends the coin, if anything, is a payment of ours.
    """

    account: str
    amount_sats: int
    chain_amount_sats: int | None
    confirmations: int
    conflicted: bool
    address_branch: int | None
    address_account: str | None
    own_payment: int | None
    spender_known: bool


DepositRule = Callable[[DepositFacts, RuleSet], Finding]


def confirmations_by_amount(facts: DepositFacts, rules: RuleSet) -> Finding:
    """D01. A block can be reorganised away; the more it is worth to somebody, the deeper it must lie."""
    tiers = rules.D01.tiers
    needed = next((t.confirmations for t in tiers if facts.amount_sats < t.below_sats), rules.D01.otherwise)
    return Finding(
        "D01",
        ALLOW if facts.confirmations >= needed else DELAY,
        {"confirmations": needed},
        {"amount_sats": facts.amount_sats, "confirmations": facts.confirmations},
        f"{facts.confirmations} of {needed} confirmations",
    )


def own_address(facts: DepositFacts, _rules: RuleSet) -> Finding:
    """D04. Money credited to an account whose address it did not reach is somebody else's."""
    assigned = facts.address_branch == 0 and facts.address_account == facts.account
    return Finding(
        "D04",
        ALLOW if assigned else DELAY,
        {},
        {"branch": facts.address_branch, "address_account": facts.address_account, "account": facts.account},
        "address is assigned to the account" if assigned else "address is not assigned to the account",
    )


def dust(facts: DepositFacts, rules: RuleSet) -> Finding:
    """D07. Dust costs more to spend than it brings and links our coins to each other."""
    least = rules.D07.least_sats
    return Finding(
        "D07",
        ALLOW if facts.amount_sats >= least else DENY,
        {"least_sats": least},
        {"amount_sats": facts.amount_sats},
        f"{facts.amount_sats} sats, at least {least}",
    )


def funds_valid(facts: DepositFacts, _rules: RuleSet) -> Finding:
    """D17. A transaction replaced, conflicted, or spent by a stranger is no money, whatever was recorded once."""
    problems = []
    if facts.chain_amount_sats != facts.amount_sats:
        problems.append("the transaction pays another amount")
    if facts.conflicted:
        problems.append("the transaction is conflicted")
    if not facts.spender_known:
        problems.append("the coin was spent by a transaction that is not ours")
    return Finding(
        "D17",
        DELAY if problems else ALLOW,
        {},
        {
            "amount_sats": facts.amount_sats,
            "chain_amount_sats": facts.chain_amount_sats,
            "conflicted": facts.conflicted,
            "spender_known": facts.spender_known,
        },
        "; ".join(problems) or "the funds are there",
    )


def own_output(facts: DepositFacts, _rules: RuleSet) -> Finding:
    """D21. A withdrawal to one of our own addresses is credited once, like any deposit, but somebody should look."""
    return Finding(
        "D21",
        ALLOW if facts.own_payment is None else FLAG,
        {},
        {"own_payment": facts.own_payment},
        "from outside" if facts.own_payment is None else f"paid by our own payment {facts.own_payment}",
    )


DEPOSIT_RULES: Final[tuple[DepositRule, ...]] = (
    confirmations_by_amount,
    own_address,
    dust,
    funds_valid,
    own_output,
)
