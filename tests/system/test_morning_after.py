"""All appliances were off overnight: what was signed yesterday comes back sealed, and still counts in the windows."""

from __future__ import annotations

from pathlib import Path

from undercroft_demo.stage import READY, START_SECONDS, Stage


def pay(stage: Stage, number: str, amount_sats: int) -> int:
    """One withdrawal, signed by alice and bob; what left the quorum, in sats."""
    operator = stage.operator
    address = stage.node.payer_address()
    order = ("--id", number, "--account", "ada", "--address", address, "--amount-sats", str(amount_sats))
    operator("withdrawal", "request", *order)
    operator("risk", "run", "--once")
    payment = operator("payment", "build", "--feerate", "3")
    operator("payment", "send", str(payment["id"]), "--to", "alice", "--to", "bob")
    assert operator("payment", "show", str(payment["id"]))["state"] == "signed"
    operator("payment", "broadcast", str(payment["id"]))
    stage.node.mine(2)
    stage.sync()
    return amount_sats + int(payment["fee_sats"])


def test_the_windows_of_yesterday_are_attested_and_go_on(tmp_path: Path) -> None:
    with Stage.built(tmp_path) as stage:
        stage.prepared()
        stage.operator("account", "open", "ada")
        stage.deposit("ada", 90_000_000)
        left_sats = pay(stage, "w-yesterday", 30_000_000)
        for name in ("alice", "bob"):
            site = stage.sites[name]
            switched_off = site.owner.mark()
            site.device.pull_plug()
            site.device.power_on()
            site.owner.wait_for(READY, START_SECONDS, since=switched_off)
        before = {name: stage.sites[name].owner.mark() for name in ("alice", "bob")}
        stage.activate()
        # Bob grants first, and is asked; alice is armed by then, and knows.
        asked = r"It knows of (\d+) sats .* in the last 1 d,\n +in 1 transactions"
        known = stage.sites["bob"].owner.wait_for(asked, 10, since=before["bob"])
        assert int(known[1]) == left_sats
        for name, mark in before.items():
            armed = stage.sites[name].owner.wait_for(r"In the last 1 d: (\d+) sats .* spent", 10, since=mark)
            assert int(armed[1]) == left_sats
        left_sats += pay(stage, "w-today", 20_000_000)
        owner = stage.sites["alice"].owner
        mark = owner.mark()
        owner.command("status")
        assert int(owner.wait_for(r"In the last 1 d: (\d+) sats", 10, since=mark)[1]) == left_sats
        assert_whole_logs(stage)
        pass_on_a_freeze(stage)


def assert_whole_logs(stage: Stage) -> None:
    """After a power cut and a new activation nothing is missing: each chain went on from its newest seal."""
    for name in ("alice", "bob"):
        stage.operator("appliance", "log", name)
    verified = stage.operator("audit", "verify")
    logs = {one["appliance"]: one for one in verified["logs"]}
    assert verified["intact"]
    assert [logs[name]["answers_newer_than_log"] for name in ("alice", "bob")] == [0, 0]
    events = [entry["event"] for entry in stage.operator("appliance", "log", "alice", "--kept")]
    assert {"activated", "granted", "armed", "request", "signed", "log-continued"} <= set(events)


def pass_on_a_freeze(stage: Stage) -> None:
    """One owner freezes at the appliance; the host hears of it and stops the other with the same order."""
    owner = stage.sites["alice"].owner
    mark = owner.mark()
    owner.command("freeze the courier has vanished")
    owner.wait_for("Locked", 10, since=mark)
    heard = stage.operator("status", "--ask")["frozen"]
    assert [(one["by"], one["reason"]) for one in heard] == [("alice", "the courier has vanished")]
    stopped = {row["name"]: row["state"] for row in stage.operator("freeze")}
    assert stopped["bob"] == "empty"
