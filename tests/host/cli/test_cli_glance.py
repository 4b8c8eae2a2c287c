"""The status on a dozen lines: what a person must see at once is there."""

from __future__ import annotations

from typing import Any

from undercroft_host.cli.glance import glance

EMPTY: dict[str, Any] = {
    "network": "regtest",
    "chain": {"node": "ok", "node_height": 5, "catching_up": False, "followed_height": None},
    "quorum": None,
    "policy": None,
    "coins": {"count": 0, "sats": 0, "locked": 0, "locked_sats": 0, "frozen": 0, "frozen_sats": 0},
    "deposits": [],
    "withdrawals": [],
    "payments": [],
    "appliances": [],
    "books": {},
    "frozen": [],
}


def test_an_empty_host_says_what_to_do_next() -> None:
    text = glance(EMPTY)
    for command in ("quorum form", "policy propose", "appliance add"):
        assert f"undercroft {command}" in text


def test_a_node_that_is_away_is_shouted() -> None:
    away = {"node": "node-unreachable: no answer", "node_height": None, "catching_up": None, "followed_height": 122}
    text = glance({**EMPTY, "chain": away})
    assert "followed to 122; NODE AWAY: node-unreachable: no answer" in text


def test_a_freeze_order_is_shouted_first() -> None:
    order = {"by": "carol", "reason": "phone stolen", "ordered": None}
    assert glance({**EMPTY, "frozen": [order]}).splitlines()[0] == (
        "FROZEN       by carol: phone stolen; stop all: undercroft freeze"
    )


def test_every_state_and_amount_is_shown() -> None:
    text = glance(
        {
            **EMPTY,
            "coins": {"count": 3, "sats": 1_234_567, "locked": 1, "locked_sats": 1000, "frozen": 1, "frozen_sats": 546},
            "withdrawals": [{"state": "cleared", "count": 2, "sats": 50_000}],
            "payments": [{"state": "held", "count": 1, "fee_sats": 700}],
            "books": {
                "asset:hot": 100,
                "liability:customer:ada": -60,
                "liability:pending": -50,
                "expense:network-fees": 10,
            },
            "appliances": [
                {"name": "alice", "last_state": "armed", "state": "armed", "armed_seconds": 3720, "held": 1},
                {"name": "bob", "last_state": "declared"},
            ],
        }
    )
    for part in (
        "3, together 1 234 567 sats; 1 locked with 1 000; 1 frozen with 546",
        "2 cleared (50 000 sats)",
        "1 held (700 fees)",
        "hot wallet 100, customers 60, pending 50, fees paid 10",
        "alice: armed for 1 h 2 min, 1 held for the owner",
        "bob: last known as declared",
    ):
        assert part in text
