"""docs/policy.md is true: its examples load, it names every rule and code, and what its table points at is there."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from undercroft_appliance.keeper import refusals
from undercroft_appliance.keeper.refusals import CODES
from undercroft_appliance.keeper.sweep import check_sweep
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import Anomaly, Hours, Policy, Window
from undercroft_protocol.messages.policy_text import policy_from_toml

REPOSITORY: Final = Path(__file__).resolve().parents[3]
KEEPER: Final = REPOSITORY / "appliance" / "undercroft_appliance" / "keeper"
TEXT: Final = (REPOSITORY / "docs" / "policy.md").read_text(encoding="utf-8")
EXAMPLES: Final = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
RULE_ROWS: Final = re.findall(r"^\| (S\d\d) \|(.*)\|$", TEXT, re.MULTILINE)
PLACES: Final = re.findall(r"`([a-z_/]+\.py):(\w+)`", TEXT)


def read(example: str) -> Policy:
    return policy_from_toml(example, b"\x01" * 32, Network.REGTEST)


def test_the_examples_load_and_the_sweep_goes_somewhere() -> None:
    daily, sweep = (read(example) for example in EXAMPLES)
    assert daily.allowlist is not None
    assert sweep.sweep_to is not None
    check_sweep(sweep, Network.REGTEST)


def test_the_first_example_has_every_rule_but_sweep_only() -> None:
    written = set(tomllib.loads(EXAMPLES[0]))
    rules = {field.name for field in dataclasses.fields(Policy)}
    assert rules - written == {"quorum_id", "sweep_to"}
    policy = read(EXAMPLES[0])
    assert all(getattr(policy, name) is not None for name in written)


@pytest.mark.parametrize(
    "name",
    sorted(
        {field.name for kind in (Policy, Window, Hours, Anomaly) for field in dataclasses.fields(kind)} - {"quorum_id"}
    ),
)
def test_every_rule_is_in_the_table(name: str) -> None:
    assert re.search(rf"^\|.*`{name}`", TEXT, re.MULTILINE)


def test_the_codes_in_the_table_of_rules_are_refusals() -> None:
    named = {code for row in re.findall(r"^\| `.*\|$", TEXT, re.MULTILINE) for code in CODES if f"| `{code}` |" in row}
    cells = re.findall(r"^\| `.*?\|.*?\|.*?\| `([a-z-]+)` \|", TEXT, re.MULTILINE)
    assert set(cells) == named
    assert {refusals.UNUSUAL_AMOUNT.name, refusals.SWEEP_ONLY.name, refusals.LIFETIME_LIMIT.name} <= named


def test_all_26_rules_are_in_the_table_once() -> None:
    assert [number for number, _ in RULE_ROWS] == [f"S{number:02d}" for number in range(1, 27)]
    assert all(len(re.findall(r"`[a-z_/]+\.py:\w+`", row)) >= 2 for _, row in RULE_ROWS)


@pytest.mark.parametrize("place", sorted(set(PLACES)), ids=":".join)
def test_what_the_table_points_at_is_there(place: tuple[str, str]) -> None:
    file, name = place
    folder = Path(__file__).parent if file.startswith("test_") else KEEPER
    assert re.search(rf"^\s*(?:def|class) {name}\b", (folder / file).read_text(encoding="utf-8"), re.MULTILINE)
