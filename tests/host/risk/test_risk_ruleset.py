"""The rule set: every rule is there, nothing else is, and its hash names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from undercroft_host.errors import ConfigurationProblem, NotFound
from undercroft_host.risk.ruleset import DEFAULT_RULES, RuleSet, load_rules, rules_from_toml
from undercroft_protocol import cbor


def test_the_default_rules_are_read_and_named_by_the_hash_of_their_canonical_form(tmp_path: Path) -> None:
    path = tmp_path / "risk.toml"
    path.write_text(DEFAULT_RULES)
    rules = load_rules(path)
    assert [tier.confirmations for tier in rules.D01.tiers] == [2, 3, 4, 6]
    assert RuleSet.from_bytes(rules.to_bytes()) == rules
    assert cbor.encode(cbor.decode(rules.to_bytes())) == rules.to_bytes()
    assert rules.hash == rules_from_toml("# another comment\n" + DEFAULT_RULES).hash


def test_another_parameter_is_another_rule_set() -> None:
    changed = rules_from_toml(DEFAULT_RULES.replace("least_sats = 1_000\n", "least_sats = 1_001\n"))
    assert changed.hash != rules_from_toml(DEFAULT_RULES).hash


def test_without_a_file_there_are_no_rules(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load_rules(tmp_path / "risk.toml")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("deny_above_sats", "deny_over_sats", "deny_above_sats is missing"),
        ("[clearance]\n", "[W99]\nx = 1\n[clearance]\n", "W99 is not a rule"),
        ("least_history = 5", "least_history = 5\nmore = 1", "more is not a rule or parameter"),
        ("[W05]  # largest single withdrawal\ndeny_above_sats = 5_000_000_000\n", "", "W05 is missing"),
        ("least_sats = 10_000", "least_sats = 0.0001", "float where int belongs"),
        ("least_sats = 10_000", "least_sats = true", "bool where int belongs"),
        ("least_sats = 10_000", "least_sats = -1", "is not within"),
        ("seconds = 86_400", "seconds = 1", "is not within"),
        ("confirmations = 3 }", "confirmations = 1 }", "tiers must rise"),
        ("below_sats = 100_000_000,", "below_sats = 1_000,", "tiers must rise"),
        ("otherwise = 12", "otherwise = 1", "tiers must rise"),
        ("{ below_sats = 10_000_000, confirmations = 2 }", "7", "must be a table"),
        ("[clearance]\nseconds = 86_400", "clearance = 7", "must be a table"),
        ("[D01]", "[D01", "rule set"),
    ],
)
def test_a_rule_set_with_one_wrong_entry_is_refused_by_name(old: str, new: str, says: str) -> None:
    assert old in DEFAULT_RULES
    text = DEFAULT_RULES.replace(old, new, 1)
    if new == "clearance = 7":
        text = new + "\n" + text.replace(new, "")
    with pytest.raises(ConfigurationProblem, match=says):
        rules_from_toml(text)


def test_a_rule_set_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "risk.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationProblem, match="UTF-8"):
        load_rules(path)
