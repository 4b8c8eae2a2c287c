"""What a new policy loosens: every rule has its direction, and nothing passes that the policy before stopped."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import message_examples as examples
from undercroft_protocol.codec import fields_of
from undercroft_protocol.messages import Anomaly, Hours, Policy, Window, changed, loosened
from undercroft_protocol.messages.policy import DAY_MINUTES
from undercroft_protocol.messages.policy_change import ANOMALY, NAMING, RULES, WINDOW

ALICE, BOB = b"\x00\x14" + b"\x01" * 20, b"\x00\x14" + b"\x02" * 20
BASE = dataclasses.replace(
    examples.policy(bytes(32)),
    most_activation_sats=10**9,
    most_lifetime_sats=10**10,
    most_consolidation_feerate_sat_per_kvb=10_000,
    allowlist=(ALICE, BOB),
    unlisted="hold",
    uncleared="hold",
    least_self_ppm=1000,
    equal_payees=True,
    sweep_to="wsh(sortedmulti(2,[aaaaaaaa/48h/1h/0h/2h]tpubA/<0;1>/*,[bbbbbbbb/48h/1h/0h/2h]tpubB/<0;1>/*))",
    hours=Hours(480, 1080),
    anomaly=Anomaly(20, 10, 500_000),
)
SECOND = dataclasses.replace(BASE, version=2, replaces=BASE.hash)


def second(**rules: Any) -> Policy:
    return dataclasses.replace(SECOND, **rules)


def test_every_field_has_a_direction_or_rules_nothing() -> None:
    assert {one.name for one in fields_of(Policy)} == set(RULES) | NAMING
    assert not set(RULES) & NAMING
    assert {one.name for one in fields_of(Window)} == set(WINDOW)
    assert {one.name for one in fields_of(Anomaly)} == set(ANOMALY)


def test_the_same_rules_under_another_name_loosen_nothing() -> None:
    assert loosened(BASE, second(name="the same again")) == ()
    assert changed(BASE, second(name="the same again")) == ()


HOUR, DAY = BASE.windows
LOOSER: list[tuple[str, dict[str, Any]]] = [
    ("quorum_id", {"quorum_id": b"\x01" * 32}),
    ("hold_above_sats", {"hold_above_sats": BASE.hold_above_sats + 1}),
    ("refuse_above_sats", {"refuse_above_sats": BASE.refuse_above_sats + 1}),
    ("windows", {"windows": (HOUR,)}),
    ("windows", {"windows": (dataclasses.replace(HOUR, seconds=HOUR.seconds - 1), DAY)}),
    ("windows", {"windows": (dataclasses.replace(HOUR, seconds=HOUR.seconds + 1), DAY)}),
    ("windows", {"windows": (dataclasses.replace(HOUR, hold_above_sats=HOUR.hold_above_sats + 1), DAY)}),
    ("windows", {"windows": (HOUR, dataclasses.replace(DAY, refuse_above_sats=DAY.refuse_above_sats + 1))}),
    ("most_activation_sats", {"most_activation_sats": 10**9 + 1}),
    ("most_activation_sats", {"most_activation_sats": None}),
    ("most_lifetime_sats", {"most_lifetime_sats": None}),
    ("most_fee_sats", {"most_fee_sats": BASE.most_fee_sats + 1}),
    ("most_fee_ppm", {"most_fee_ppm": BASE.most_fee_ppm + 1}),
    ("most_feerate_sat_per_kvb", {"most_feerate_sat_per_kvb": BASE.most_feerate_sat_per_kvb + 1}),
    ("most_consolidation_feerate_sat_per_kvb", {"most_consolidation_feerate_sat_per_kvb": 10_001}),
    ("most_consolidation_feerate_sat_per_kvb", {"most_consolidation_feerate_sat_per_kvb": None}),
    ("most_inputs", {"most_inputs": BASE.most_inputs + 1}),
    ("most_payees", {"most_payees": BASE.most_payees + 1}),
    ("most_transactions", {"most_transactions": BASE.most_transactions + 1}),
    ("allowlist", {"allowlist": (ALICE, b"\x00\x14" + b"\x03" * 20)}),
    ("allowlist", {"allowlist": None}),
    ("least_self_ppm", {"least_self_ppm": 999}),
    ("least_self_ppm", {"least_self_ppm": None}),
    ("equal_payees", {"equal_payees": None}),
    ("sweep_to", {"sweep_to": None}),
    ("sweep_to", {"sweep_to": str(BASE.sweep_to).replace("tpubA", "tpubX")}),
    ("change_gap", {"change_gap": BASE.change_gap + 1}),
    ("most_height_step", {"most_height_step": BASE.most_height_step + 1}),
    ("activation_seconds", {"activation_seconds": BASE.activation_seconds + 1}),
    ("idle_seconds", {"idle_seconds": BASE.idle_seconds + 1}),
    ("idle_seconds", {"idle_seconds": 0}),
    ("hours", {"hours": None}),
    ("hours", {"hours": Hours(479, 1080)}),
    ("hours", {"hours": Hours(1080, 480)}),
    ("anomaly", {"anomaly": None}),
    ("anomaly", {"anomaly": Anomaly(21, 10, 500_000)}),
    ("anomaly", {"anomaly": Anomaly(20, 11, 500_000)}),
    ("anomaly", {"anomaly": Anomaly(20, 10, 500_001)}),
    ("loosening_seconds", {"loosening_seconds": BASE.loosening_seconds - 1}),
]


@pytest.mark.parametrize(("name", "rules"), LOOSER, ids=[f"{name}-{at}" for at, (name, _) in enumerate(LOOSER)])
def test_attack_a_loosening_passed_off_as_a_tightening(name: str, rules: dict[str, Any]) -> None:
    after = second(
        hold_above_sats=rules.get("hold_above_sats", 1), **{k: v for k, v in rules.items() if k != "hold_above_sats"}
    )
    assert loosened(BASE, after) == (name,)
    assert name in changed(BASE, after)


TIGHTER: list[dict[str, Any]] = [
    {"hold_above_sats": 1, "refuse_above_sats": 1},
    {"windows": (Window(60, 1, 1), dataclasses.replace(HOUR, hold_above_count=5, refuse_above_count=9), DAY)},
    {"most_activation_sats": 1, "most_lifetime_sats": 1},
    {"most_fee_sats": 1, "most_fee_ppm": 1, "most_feerate_sat_per_kvb": 10_000},
    {"most_consolidation_feerate_sat_per_kvb": 9_999},
    {"most_inputs": 1, "most_payees": 1, "most_transactions": 1},
    {"payee_types": ("p2wpkh",)},
    {"allowlist": (BOB,), "unlisted": "refuse", "uncleared": "refuse"},
    {"least_self_ppm": 1001},
    {"change_gap": 1, "most_height_step": 1},
    {"activation_seconds": 60, "idle_seconds": 60},
    {"hours": Hours(480, 481)},
    {"anomaly": Anomaly(19, 9, 499_999)},
    {"loosening_seconds": BASE.loosening_seconds + 1},
]


@pytest.mark.parametrize("rules", TIGHTER, ids=lambda rules: next(iter(rules)))
def test_a_tightening_loosens_nothing_and_its_way_back_does(rules: dict[str, Any]) -> None:
    after = second(**rules)
    assert loosened(BASE, after) == ()
    assert set(changed(BASE, after)) == set(rules)
    back = dataclasses.replace(BASE, version=3, replaces=after.hash)
    assert set(loosened(after, back)) == set(rules)


def test_what_was_not_ruled_at_all_may_be_ruled_by_one_owner() -> None:
    bare = examples.policy(bytes(32))
    ruled = dataclasses.replace(SECOND, allowlist=None, unlisted="refuse", most_consolidation_feerate_sat_per_kvb=1000)
    assert loosened(bare, ruled) == ()


def test_attack_a_first_allowlist_lets_its_payees_be_paid_without_a_clearance() -> None:
    bare = dataclasses.replace(BASE, allowlist=None)
    assert loosened(bare, second()) == ("allowlist",)


def test_attack_a_first_cap_for_consolidations_above_the_cap_of_all() -> None:
    bare = dataclasses.replace(BASE, most_consolidation_feerate_sat_per_kvb=None)
    above = second(most_consolidation_feerate_sat_per_kvb=bare.most_feerate_sat_per_kvb + 1)
    assert loosened(bare, above) == ("most_consolidation_feerate_sat_per_kvb",)


def test_stricter_answers_are_tighter() -> None:
    strict = dataclasses.replace(BASE, unlisted="refuse", uncleared="refuse")
    assert loosened(strict, second()) == ("unlisted", "uncleared")


# Whatever passes a policy that loosens nothing passes the one before: rule by rule, with numbers drawn at random.

_SATS = st.integers(1, 50)
_COUNT = st.none() | st.integers(1, 9)


@st.composite
def _windows(draw: st.DrawFn) -> tuple[Window, ...]:
    windows = []
    for seconds in sorted(draw(st.sets(st.sampled_from((60, 61, 3600)), min_size=1))):
        hold, refuse = sorted((draw(_SATS), draw(_SATS)))
        counts = draw(_COUNT), draw(_COUNT)
        held, refused = counts if None in counts else sorted(count for count in counts if count)
        windows.append(Window(seconds, hold, refuse, held, refused))
    return tuple(windows)


@st.composite
def _policies(draw: st.DrawFn, like: Policy | None = None) -> Policy:
    """Any policy; with ``like`` one that keeps many of its rules, so that some pairs loosen nothing."""
    hold, refuse = sorted((draw(_SATS), draw(_SATS)))
    drawn: dict[str, Any] = {
        "windows": draw(_windows()),
        "most_activation_sats": draw(st.none() | _SATS),
        "most_fee_sats": draw(_SATS),
        "most_fee_ppm": draw(_SATS),
        "most_feerate_sat_per_kvb": draw(st.integers(1000, 1005)),
        "most_consolidation_feerate_sat_per_kvb": draw(st.none() | st.integers(1000, 1005)),
        "most_inputs": draw(st.integers(1, 5)),
        "payee_types": tuple(sorted(draw(st.sets(st.sampled_from(BASE.payee_types), min_size=1)))),
        "allowlist": draw(st.none() | st.sampled_from([(ALICE,), (BOB,), (ALICE, BOB)])),
        "unlisted": draw(st.sampled_from(["hold", "refuse"])),
        "uncleared": draw(st.sampled_from(["hold", "refuse"])),
        "least_self_ppm": draw(st.none() | _SATS),
        "idle_seconds": draw(st.integers(0, 3)),
        "hours": draw(st.none() | st.builds(Hours, st.integers(0, 2), st.integers(3, 5))),
        "anomaly": draw(st.none() | st.builds(Anomaly, st.integers(3, 5), st.integers(2, 4), st.integers(1, 3))),
    }
    if like is not None:
        drawn = {name: value for name, value in drawn.items() if draw(st.booleans())}
        if draw(st.booleans()):
            hold, refuse = like.hold_above_sats, like.refuse_above_sats
    return dataclasses.replace(like or BASE, hold_above_sats=hold, refuse_above_sats=refuse, **drawn)


def _answer(policy: Policy, facts: dict[str, Any]) -> int:
    """0 signed, 1 held, 2 refused: each rule read literally, for one transaction with these numbers."""
    amount, script, cleared = facts["amount"], facts["script"], facts["cleared"]
    answers: list[int] = [0, 1 * (amount > policy.hold_above_sats), 2 * (amount > policy.refuse_above_sats)]
    for window in policy.windows:
        spent, count = facts["spent"][window.seconds]
        answers += [1 * (spent > window.hold_above_sats), 2 * (spent > window.refuse_above_sats)]
        answers.append(1 * (window.hold_above_count is not None and count > window.hold_above_count))
        answers.append(2 * (window.refuse_above_count is not None and count > window.refuse_above_count))
    strictness = {"hold": 1, "refuse": 2}
    listed = policy.allowlist is not None and script in policy.allowlist
    if policy.allowlist is not None and not listed:
        answers.append(strictness[policy.unlisted])
    if not cleared and not listed:
        answers.append(strictness[policy.uncleared])
    feerate = policy.most_feerate_sat_per_kvb
    if facts["consolidates"]:
        feerate = min(feerate, policy.most_consolidation_feerate_sat_per_kvb or feerate)
    refusals = (
        policy.most_activation_sats is not None and amount > policy.most_activation_sats,
        amount > policy.most_fee_sats,
        amount > policy.most_fee_ppm,
        facts["feerate"] > feerate,
        facts["inputs"] > policy.most_inputs,
        facts["kind"] not in policy.payee_types,
        policy.least_self_ppm is not None and amount < policy.least_self_ppm,
        policy.idle_seconds != 0 and facts["idle"] >= policy.idle_seconds,
        policy.hours is not None and not _within(policy.hours, facts["minute"]),
    )
    answers += [2 * refused for refused in refusals]
    rule = policy.anomaly
    if rule is not None and facts["known"] >= rule.least_sample:
        answers.append(1 * (amount > rule.median_factor or facts["new"] > rule.new_payees_ppm))
    return max(answers)


def _within(hours: Hours, minute: int) -> bool:
    if hours.from_minute < hours.until_minute:
        return hours.from_minute <= minute < hours.until_minute
    return minute >= hours.from_minute or minute < hours.until_minute


_FACTS = st.fixed_dictionaries(
    {
        "amount": st.integers(1, 60),
        "spent": st.fixed_dictionaries(
            {seconds: st.tuples(st.integers(1, 60), st.integers(0, 10)) for seconds in (60, 61, 3600)}
        ),
        "script": st.sampled_from([ALICE, BOB, b"\x00\x14" + b"\x03" * 20]),
        "cleared": st.booleans(),
        "consolidates": st.booleans(),
        "feerate": st.integers(1000, 1006),
        "inputs": st.integers(1, 6),
        "kind": st.sampled_from(BASE.payee_types),
        "idle": st.integers(0, 4),
        "minute": st.integers(0, 6) | st.integers(0, DAY_MINUTES - 1),
        "known": st.integers(0, 6),
        "new": st.integers(0, 4),
    }
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_passes_a_policy_that_loosens_nothing_passes_the_one_before(data: st.DataObject) -> None:
    before = data.draw(_policies())
    after = data.draw(_policies(before))
    facts = data.draw(_FACTS)
    if not loosened(before, after):
        assert _answer(after, facts) >= _answer(before, facts)
