"""What an owner reads before approving a policy, and how much of it is used up: every rule, whole, in ASCII."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from appliance.builders import DESCRIPTOR, POLICY
from appliance.keeper.judge_support import script_of
from undercroft_appliance.keeper import show
from undercroft_appliance.keeper.ledger import Entry, Ledger
from undercroft_appliance.keeper.text import CONTINUED
from undercroft_protocol.bitcoin.address import address_of
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import Anomaly, Hours, Policy, Window

ALLOWLIST = tuple(sorted(script_of(number) for number in range(50)))
FULL = dataclasses.replace(
    POLICY,
    version=7,
    replaces=b"\x77" * 32,
    windows=(Window(3600, 101, 102, 103, 104), Window(86_400, 105, 106, 107, 108)),
    most_activation_sats=109,
    most_lifetime_sats=110,
    most_consolidation_feerate_sat_per_kvb=1111,
    allowlist=ALLOWLIST,
    unlisted="hold",
    uncleared="refuse",
    least_self_ppm=112,
    equal_payees=True,
    sweep_to=DESCRIPTOR.text(),
    most_height_step=113,
    hours=Hours(8 * 60 + 5, 20 * 60 + 10),
    anomaly=Anomaly(114, 115, 116),
    loosening_seconds=117,
)


def shown(policy: Policy) -> str:
    return "\n".join(show.policy(policy, Network.REGTEST))


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Policy)])
def test_every_rule_changes_what_is_shown_beside_the_code(field: str) -> None:
    """Whatever differs between two policies can be read on the screen, not only in their codes."""
    other: dict[str, Any] = {
        "quorum_id": b"\x01" * 32,
        "replaces": b"\x78" * 32,
        "name": "other",
        "windows": (Window(3600, 101, 102, 103, 105),),
        "payee_types": ("p2wsh",),
        "allowlist": ALLOWLIST[1:],
        "unlisted": "refuse",
        "uncleared": "hold",
        "equal_payees": None,
        "sweep_to": DESCRIPTOR.text()[:-1] + "q",
        "hours": Hours(8 * 60 + 5, 20 * 60 + 11),
        "anomaly": Anomaly(114, 115, 117),
    }
    value = other[field] if field in other else getattr(FULL, field) + 1
    changed = dataclasses.replace(FULL, **{field: value})
    before, after = (
        [line for line in shown(policy).splitlines() if not line.startswith("Policy code")]
        for policy in (FULL, changed)
    )
    assert before != after


def test_every_address_of_the_allowlist_and_the_whole_descriptor_are_shown() -> None:
    text = shown(FULL)
    for script in ALLOWLIST:
        assert f"  {address_of(script, Network.REGTEST)}" in text
    assert DESCRIPTOR.text() in text.replace(f"\n{CONTINUED}", "")
    assert text.isascii()
    assert all(len(line) <= 200 for line in text.splitlines())


def test_rules_that_are_there_are_shown_with_their_numbers() -> None:
    text = shown(FULL)
    for line in (
        "In 1 h: you are asked above 103 transactions",
        "In 1 d: refused above 108 transactions",
        "In one activation: at most 109 sats (0.00000109 BTC)",
        "In all activations of one appliance: at most 110 sats (0.00000110 BTC)",
        "Fee where nobody is paid: at most 1111 sats per 1000 vB",
        "Allowlist of 50; who is not on it is held for you:",
        "A payee of a PSBT, whom nobody cleared, is refused",
        "At least 112 millionths of the inputs come back to the quorum",
        "All payees of a transaction get the same amount",
        "The host's chain may rise 113 blocks between two batches",
        "Signs only from 08:05 to 20:10 UTC",
        "After 114 payments: you are asked",
        "  above 115 times the median of the last 200",
        "  where payees never paid before get more than 116 millionths",
        "A policy that loosens this one waits 117 s",
    ):
        assert line in text.splitlines()


def test_rules_that_owners_might_take_for_granted_are_said_to_be_absent() -> None:
    lines = shown(POLICY).splitlines()
    assert "Replaces no other policy" in lines
    assert "No allowlist: every payee that the risk service cleared is paid" in lines
    assert "In one activation: at most any amount, there is no such rule" in lines
    assert "In all activations of one appliance: at most any amount, there is no such rule" in lines
    assert "No statistics over what was signed" in lines
    assert "A payee of a PSBT, whom nobody cleared, is held for you" in lines


def test_windows_are_shown_with_amounts_counts_and_totals() -> None:
    entries = (Entry(900.0, 5, b"\x01" * 32), Entry(990.0, 7, b"\x02" * 32))
    ledger = Ledger(float("-inf"), entries, armed_sats=7, total_sats=12)
    rules = dataclasses.replace(FULL, windows=(Window(60, 1, 1), Window(3600, 1, 1)))
    assert show.windows(rules, ledger, 1000.0) == (
        "In the last 1 min: 7 sats (0.00000007 BTC) spent, 1 transactions",
        "In the last 1 h: 12 sats (0.00000012 BTC) spent, 2 transactions",
        "In this activation: 7 sats (0.00000007 BTC) of 109 sats (0.00000109 BTC)",
        "Ever, by this appliance's seals: 12 sats (0.00000012 BTC) of 110 sats (0.00000110 BTC)",
    )


def test_an_unknown_window_is_shown_as_spent() -> None:
    lines = show.windows(POLICY, Ledger(1000.0), 1000.0)
    assert lines[0] == "In the last 1 h: unknown, so all of it counts as spent for 1 h"
    assert lines[-2:] == (
        "In this activation: 0 sats (0.00000000 BTC) of any amount, there is no such rule",
        "Ever, by this appliance's seals: 0 sats (0.00000000 BTC) of any amount, there is no such rule",
    )
