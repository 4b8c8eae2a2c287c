"""Every rule on both sides of its limit; the strictest word of all holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from exchange import OUTSIDER
from undercroft_host.risk.findings import ALLOW, DELAY, DENY, FLAG, Finding, reason, strictest
from undercroft_host.risk.rules_deposit import DEPOSIT_RULES, DepositFacts
from undercroft_host.risk.rules_withdrawal import WITHDRAWAL_RULES, WithdrawalFacts
from undercroft_host.risk.ruleset import DEFAULT_RULES, rules_from_toml
from undercroft_protocol.bitcoin.address import parse_address
from undercroft_protocol.bitcoin.network import Network

RULES = rules_from_toml(DEFAULT_RULES)

GOOD_DEPOSIT = DepositFacts(
    account="alice",
    amount_sats=1_000_000,
    chain_amount_sats=1_000_000,
    confirmations=2,
    conflicted=False,
    address_branch=0,
    address_account="alice",
    own_payment=None,
    spender_known=True,
)

GOOD_WITHDRAWAL = WithdrawalFacts(
    network=Network.REGTEST,
    address=OUTSIDER,
    script=parse_address(OUTSIDER, Network.REGTEST),
    own_address=False,
    amount_sats=1_000_000,
    account_window_sats=1_000_000,
    global_window_sats=1_000_000,
    balance_sats=0,
    holdings_sats=10_000_000,
    median_sats=None,
    history=0,
    duplicates=(),
)


def deposit_outcomes(**changes: Any) -> dict[str, str]:
    facts = dataclasses.replace(GOOD_DEPOSIT, **changes)
    return {found.rule: found.outcome for found in (rule(facts, RULES) for rule in DEPOSIT_RULES)}


def withdrawal_outcomes(**changes: Any) -> dict[str, str]:
    facts = dataclasses.replace(GOOD_WITHDRAWAL, **changes)
    return {found.rule: found.outcome for found in (rule(facts, RULES) for rule in WITHDRAWAL_RULES)}


def others(outcomes: Mapping[str, str], rule: str) -> set[str]:
    """What all other rules said."""
    return {outcome for name, outcome in outcomes.items() if name != rule}


def test_a_good_deposit_and_a_good_withdrawal_pass_every_rule() -> None:
    assert set(deposit_outcomes().values()) == {ALLOW}
    assert set(withdrawal_outcomes().values()) == {ALLOW}


@pytest.mark.parametrize(
    ("amount_sats", "confirmations", "expected"),
    [
        (9_999_999, 1, DELAY),
        (9_999_999, 2, ALLOW),
        (10_000_000, 2, DELAY),
        (10_000_000, 3, ALLOW),
        (99_999_999, 3, ALLOW),
        (100_000_000, 3, DELAY),
        (999_999_999, 4, ALLOW),
        (1_000_000_000, 5, DELAY),
        (9_999_999_999, 6, ALLOW),
        (10_000_000_000, 11, DELAY),
        (10_000_000_000, 12, ALLOW),
        (1_000_000, 0, DELAY),
    ],
)
def test_d01_larger_deposits_need_more_confirmations(amount_sats: int, confirmations: int, expected: str) -> None:
    outcomes = deposit_outcomes(amount_sats=amount_sats, chain_amount_sats=amount_sats, confirmations=confirmations)
    assert outcomes["D01"] == expected
    assert others(outcomes, "D01") == {ALLOW}


@pytest.mark.parametrize(
    ("rule", "changes", "expected"),
    [
        ("D04", {"address_account": "bob"}, DELAY),
        ("D04", {"address_account": None}, DELAY),
        ("D04", {"address_branch": 1}, DELAY),
        ("D04", {"address_branch": None}, DELAY),
        ("D07", {"amount_sats": 999, "chain_amount_sats": 999}, DENY),
        ("D07", {"amount_sats": 1000, "chain_amount_sats": 1000}, ALLOW),
        ("D17", {"chain_amount_sats": 999_999}, DELAY),
        ("D17", {"chain_amount_sats": None}, DELAY),
        ("D17", {"conflicted": True}, DELAY),
        ("D17", {"spender_known": False}, DELAY),
        ("D21", {"own_payment": 7}, FLAG),
    ],
)
def test_each_deposit_rule_speaks_for_itself(rule: str, changes: dict[str, Any], expected: str) -> None:
    outcomes = deposit_outcomes(**changes)
    assert outcomes[rule] == expected
    assert others(outcomes, rule) == {ALLOW}


@pytest.mark.parametrize(
    ("rule", "changes", "expected"),
    [
        ("W02", {"address": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}, DENY),
        ("W02", {"address": OUTSIDER[:-1] + "q"}, DENY),
        ("W02", {"script": b"\x00\x14" + bytes(20)}, DENY),
        ("W02", {"own_address": True}, DENY),
        ("W04", {"amount_sats": 9_999}, DENY),
        ("W04", {"amount_sats": 10_000}, ALLOW),
        ("W05", {"amount_sats": 5_000_000_001, "holdings_sats": 10**11}, DENY),
        ("W05", {"amount_sats": 5_000_000_000, "holdings_sats": 10**11}, ALLOW),
        ("W06", {"account_window_sats": 1_000_000_001}, DELAY),
        ("W06", {"account_window_sats": 1_000_000_000}, ALLOW),
        ("W08", {"global_window_sats": 10_000_000_001}, DELAY),
        ("W08", {"global_window_sats": 10_000_000_000}, ALLOW),
        ("W28", {"balance_sats": -1}, DENY),
        ("W29", {"holdings_sats": 999_999}, DELAY),
        ("W29", {"holdings_sats": 1_000_000}, ALLOW),
        ("W29", {"median_sats": 99, "history": 5}, DELAY),
        ("W29", {"median_sats": 100, "history": 5}, ALLOW),
        ("W29", {"median_sats": 1, "history": 4}, ALLOW),
        ("W30", {"duplicates": ("w0",)}, DELAY),
    ],
)
def test_each_withdrawal_rule_speaks_for_itself(rule: str, changes: dict[str, Any], expected: str) -> None:
    outcomes = withdrawal_outcomes(**changes)
    assert outcomes[rule] == expected
    assert others(outcomes, rule) == {ALLOW}


def test_a_finding_records_the_rule_its_parameters_and_the_numbers_compared() -> None:
    facts = dataclasses.replace(GOOD_WITHDRAWAL, amount_sats=9_999)
    record = next(rule(facts, RULES).record() for rule in WITHDRAWAL_RULES if rule(facts, RULES).rule == "W04")
    assert record == {
        "rule": "W04",
        "outcome": "deny",
        "parameters": {"least_sats": 10_000},
        "compared": {"amount_sats": 9_999},
        "text": "9999 sats, at least 10000",
    }


def finding(outcome: str, text: str = "because") -> Finding:
    return Finding("R", outcome, {}, {}, text)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([ALLOW, ALLOW], ALLOW),
        ([ALLOW, FLAG], FLAG),
        ([FLAG, DELAY, ALLOW], DELAY),
        ([DELAY, DENY, ALLOW], DENY),
        ([], DENY),
    ],
)
def test_the_strictest_finding_decides_and_no_rule_at_all_denies(outcomes: list[str], expected: str) -> None:
    assert strictest([finding(outcome) for outcome in outcomes]) == expected


def test_the_reason_names_only_what_stands_in_the_way_and_stays_short() -> None:
    assert reason([finding(ALLOW), finding(FLAG)]) is None
    assert reason([finding(ALLOW), finding(DELAY), finding(DENY, "no")]) == "R: because; R: no"
    assert len(reason([finding(DENY, "x" * 500)]) or "") == 200
