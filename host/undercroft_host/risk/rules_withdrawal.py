"""The rules for withdrawals. Each is a function of the facts and its parameters, and says what it compared.

W02 address, W04 least amount, W05 largest single, W06 velocity of the account, W08 velocity of all, W28 balance,
W29 unit guard, W30 duplicates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from undercroft_protocol.bitcoin.address import parse_address
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import AddressError

from .findings import ALLOW, DELAY, DENY, Finding
from .ruleset import RuleSet


@dataclass(frozen=True, slots=True)
class WithdrawalFacts:
    """What the store knows of an order. Sums in sats, this order included.

    ``balance_sats`` is the account's after this and all other pending orders were debited; ``holdings_sats`` all our
    coins; ``median_sats`` that of the account's other orders (None without any), ``history`` their number;
    ``duplicates`` the ids of like orders in W30's window.
    """

    network: Network
    address: str
    script: bytes
    own_address: bool
    amount_sats: int
    account_window_sats: int
    global_window_sats: int
    balance_sats: int
    holdings_sats: int
    median_sats: int | None
    history: int
    duplicates: tuple[str, ...]


WithdrawalRule = Callable[[WithdrawalFacts, RuleSet], Finding]


def address_check(facts: WithdrawalFacts, _rules: RuleSet) -> Finding:
    """W02. An address of another network or with a changed script pays nobody, or a stranger; our own, ourselves."""
    problem = None
    try:
        script = parse_address(facts.address, facts.network)
    except AddressError as error:
        problem = error.detail
    else:
        # Between order and clearance the stored script could have been changed for a thief's.
        if script != facts.script:
            problem = "the stored script is not the address's"
        elif facts.own_address:
            problem = "the address is our own"
    return Finding(
        "W02",
        DENY if problem else ALLOW,
        {},
        {"address": facts.address, "network": facts.network.value, "own_address": facts.own_address},
        problem or "the address is good",
    )


def least_amount(facts: WithdrawalFacts, rules: RuleSet) -> Finding:
    """W04. A payment that costs more than it carries."""
    least = rules.W04.least_sats
    return Finding(
        "W04",
        ALLOW if facts.amount_sats >= least else DENY,
        {"least_sats": least},
        {"amount_sats": facts.amount_sats},
        f"{facts.amount_sats} sats, at least {least}",
    )


def largest_single(facts: WithdrawalFacts, rules: RuleSet) -> Finding:
    """W05. One stolen account must not empty the wallet with one order."""
    most = rules.W05.deny_above_sats
    return Finding(
        "W05",
        ALLOW if facts.amount_sats <= most else DENY,
        {"deny_above_sats": most},
        {"amount_sats": facts.amount_sats},
        f"{facts.amount_sats} sats, at most {most}",
    )


def velocity_account(facts: WithdrawalFacts, rules: RuleSet) -> Finding:
    """W06. Many small orders of one account are one large one."""
    rule = rules.W06
    return Finding(
        "W06",
        ALLOW if facts.account_window_sats <= rule.delay_above_sats else DELAY,
        {"window_seconds": rule.window_seconds, "delay_above_sats": rule.delay_above_sats},
        {"account_window_sats": facts.account_window_sats},
        f"{facts.account_window_sats} sats of this account in {rule.window_seconds} s, at most {rule.delay_above_sats}",
    )


def velocity_global(facts: WithdrawalFacts, rules: RuleSet) -> Finding:
    """W08. Many accounts that each stay below their limit can drain the wallet together."""
    rule = rules.W08
    return Finding(
        "W08",
        ALLOW if facts.global_window_sats <= rule.delay_above_sats else DELAY,
        {"window_seconds": rule.window_seconds, "delay_above_sats": rule.delay_above_sats},
        {"global_window_sats": facts.global_window_sats},
        f"{facts.global_window_sats} sats of all in {rule.window_seconds} s, at most {rule.delay_above_sats}",
    )


def balance(facts: WithdrawalFacts, _rules: RuleSet) -> Finding:
    """W28. Orders at the same instant each see a balance that is enough for one: all pending ones are debited."""
    return Finding(
        "W28",
        ALLOW if facts.balance_sats >= 0 else DENY,
        {},
        {"balance_sats": facts.balance_sats},
        f"balance after all pending orders: {facts.balance_sats} sats",
    )


def unit_guard(facts: WithdrawalFacts, rules: RuleSet) -> Finding:
    """W29. A factor of a hundred million between two units has emptied exchanges by mistake."""
    rule = rules.W29
    problem = None
    if facts.amount_sats > facts.holdings_sats:
        problem = "more than all our coins"
    elif (
        facts.median_sats is not None
        and facts.history >= rule.least_history
        and facts.amount_sats > rule.most_times_median * facts.median_sats
    ):
        problem = f"more than {rule.most_times_median} times the usual"
    return Finding(
        "W29",
        DELAY if problem else ALLOW,
        {"most_times_median": rule.most_times_median, "least_history": rule.least_history},
        {
            "amount_sats": facts.amount_sats,
            "holdings_sats": facts.holdings_sats,
            "median_sats": facts.median_sats,
            "history": facts.history,
        },
        problem or "the size is plausible",
    )


def duplicates(facts: WithdrawalFacts, rules: RuleSet) -> Finding:
    """W30. The same order under two ids is most often one order sent twice."""
    return Finding(
        "W30",
        DELAY if facts.duplicates else ALLOW,
        {"window_seconds": rules.W30.window_seconds},
        {"duplicates": ",".join(facts.duplicates)},
        f"like order {', '.join(facts.duplicates)}" if facts.duplicates else "no like order",
    )


WITHDRAWAL_RULES: Final[tuple[WithdrawalRule, ...]] = (
    address_check,
    least_amount,
    largest_single,
    velocity_account,
    velocity_global,
    balance,
    unit_guard,
    duplicates,
)
