"""The life of a policy by the command line: tightened by one owner, loosened by two, tested against the past."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli_support import Line
from exchange import Ticking
from message_examples import POLICY_TEXT
from owner_statements import approved
from scripted_appliance import NAMES, POLICY, ScriptedAppliance, cleared_payment, found
from undercroft_host.desk import replay
from undercroft_protocol.messages import LOOSENING_SECONDS, PolicyOffer, StatementReply, loosened

TIGHTER = ("refuse_above_sats = 500_000_000", "refuse_above_sats = 400_000_000")
LOOSER = ("refuse_above_sats = 500_000_000", "refuse_above_sats = 600_000_000")


def owner(name: str) -> ScriptedAppliance:
    """An armed appliance whose owner approves what is offered; a tightening is in force there at once."""
    appliance = ScriptedAppliance(name)
    rules = [POLICY]

    def approve(request: PolicyOffer) -> StatementReply:
        if request.policy.replaces == appliance.policy_hash and not loosened(rules[-1], request.policy):
            rules.append(request.policy)
            appliance.policy_hash = request.policy.hash
        return StatementReply(approved(name, request.policy))

    appliance.answers[PolicyOffer] = approve
    return appliance


@pytest.fixture
def job(line: Line, clock: Ticking) -> Line:
    """Three armed appliances under a policy."""
    store = line.store()
    found(store)
    store.close()
    line.appliances |= {f"serial:/dev/{name}": owner(name) for name in NAMES}
    return line


def file(folder: Path, version: int, *changes: tuple[str, str]) -> str:
    """A policy file: the example's text under a version, with some words changed."""
    text = POLICY_TEXT.format(version=version)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / f"policy-{version}.toml"
    path.write_text(text)
    return str(path)


def built(line: Line, clock: Ticking, prefix: str = "w") -> str:
    store = line.store()
    number = cleared_payment(store, clock, prefix=prefix)
    store.close()
    return str(number)


def test_one_owner_tightens_and_each_appliance_is_sent_what_is_in_force_there(
    job: Line, clock: Ticking, tmp_path: Path
) -> None:
    proposed = job.json("policy", "propose", file(tmp_path, 2, TIGHTER))
    assert (proposed["state"], proposed["replaces"], proposed["looser"]) == ("proposed", POLICY.hash.hex(), [])
    assert (proposed["approvals_needed"], proposed["delay_seconds"]) == (1, 0)
    done = job.json("policy", "approve", "alice")
    assert (done["state"], done["approved_by"]) == ("active", ["alice"])
    assert "version 2 is in force at alice" in "".join(job.said)
    number = built(job, clock)
    sent = job.json("payment", "send", number, "--to", "alice", "--to", "bob")
    assert [(one["appliance"], one["verdict"], one["state"]) for one in sent["answers"]] == [
        ("alice", "signed", "signing"),
        ("bob", "signed", "signed"),
    ]
    assert len({one["batch"] for one in sent["answers"]}) == 2
    assert "bob works by policy version 1" in "".join(job.said)
    policies = {one["appliance"]: one["policy"] for one in job.json("payment", "show", number)["verdicts"]}
    assert policies == {"alice": proposed["hash"], "bob": POLICY.hash.hex()}
    assert job.json("policy", "approve", "bob")["approved_by"] == ["alice", "bob"]
    assert job.appliances["serial:/dev/bob"].policy_hash.hex() == proposed["hash"]  # type: ignore[union-attr]


def test_an_appliance_that_lags_behind_is_led_on_step_by_step(job: Line, tmp_path: Path) -> None:
    for version in (2, 3):
        path = file(tmp_path, version, ("most_inputs = 200", f"most_inputs = {200 - version}"))
        job.run("policy", "propose", path)
        job.run("policy", "approve", "alice")
    said = job.run("policy", "approve", "bob").stderr
    assert "version 2 is in force at bob" in said
    assert "it lags behind version 3 still" in said
    assert job.json("policy", "approve", "bob")["version"] == 3
    assert job.json("policy", "approve", "bob")["approved_by"] == ["alice", "bob"]


def test_a_loosening_waits_and_says_until_when(job: Line, clock: Ticking, tmp_path: Path) -> None:
    proposed = job.json("policy", "propose", file(tmp_path, 2, LOOSER))
    assert (proposed["looser"], proposed["approvals_needed"]) == (["refuse_above_sats"], 2)
    assert proposed["delay_seconds"] == LOOSENING_SECONDS
    assert job.json("policy", "approve", "alice")["state"] == "proposed"
    done = job.json("policy", "approve", "bob")
    assert (done["state"], done["usable"]) == ("approved", "2026-09-23T14:13:20Z")
    assert [one["state"] for one in job.json("policy", "show")["versions"]] == ["approved", "active"]
    assert job.json("status")["policy"] == {"name": "daily payouts", "version": 2, "state": "approved"}
    clock.now += LOOSENING_SECONDS
    assert [one["state"] for one in job.json("policy", "show")["versions"]] == ["active", "retired"]
    error = job.error("policy", "approve", "carol", code=4)
    assert "version 1 is in force there, and version 2 loosens it" in error["message"]


def test_attack_an_appliance_under_rules_that_nobody_approved_here_gets_no_batch(
    job: Line, clock: Ticking, tmp_path: Path
) -> None:
    number = built(job, clock)
    alice = job.appliances["serial:/dev/alice"]
    alice.policy_hash = bytes(32)
    assert "unknown here" in job.error("payment", "send", number, "--to", "alice", code=4)["message"]
    alice.policy_hash = POLICY.hash
    job.run("policy", "propose", file(tmp_path, 2, TIGHTER))
    alice.lost = 1
    # The approval is lost on the line, and the appliance goes on by the stricter rules.
    assert job.error("policy", "approve", "alice", code=7)["code"] == "appliance-silent"
    error = job.error("payment", "send", number, "--to", "alice", code=4)
    assert "not approved here" in error["message"]
    assert "undercroft policy approve NAME" in error["hint"]
    job.run("policy", "approve", "alice")
    assert job.json("payment", "send", number, "--to", "alice")["answers"][0]["verdict"] == "signed"


def test_a_held_payment_is_asked_for_again_under_stricter_rules(job: Line, clock: Ticking, tmp_path: Path) -> None:
    number = built(job, clock)
    alice = job.appliances["serial:/dev/alice"]
    alice.decides = lambda _: ("held", "policy")
    job.error("payment", "send", number, "--to", "alice", code=6)
    job.run("policy", "propose", file(tmp_path, 2, TIGHTER))
    job.run("policy", "approve", "alice")
    alice.decides = lambda _: ("signed", None)
    assert job.json("payment", "resend", number, "--to", "alice")["answers"][0]["verdict"] == "signed"


# The past under a draft.


@pytest.fixture
def past(job: Line, clock: Ticking) -> Line:
    """Two payments that were sent and signed, a day apart."""
    for prefix in ("w", "x"):
        number = built(job, clock, prefix)
        job.run("payment", "send", number, "--to", "alice", "--to", "bob")
        clock.now += 86_400
    return job


def test_a_draft_is_tested_against_what_was_sent(past: Line, tmp_path: Path) -> None:
    draft = ("hold_above_sats = 50_000_000", "hold_above_sats = 100_000")
    data = past.json("policy", "test", file(tmp_path, 2, draft))
    assert (data["version"], data["looser"], data["approvals_needed"]) == (2, [], 1)
    assert (data["judged"], data["unchanged"]) == (2, 0)
    assert data["changed"] == [{"then": "sign", "draft": "hold", "transactions": 2}]
    first, second = data["transactions"]
    assert (first["time"], second["time"]) == ("2026-09-21T14:13:20Z", "2026-09-22T14:13:20Z")
    assert (first["then"], first["then_code"], first["policy_version"], first["was_signed"]) == ("sign", None, 1, True)
    assert (first["draft"], first["draft_code"]) == ("hold", "transaction-hold")
    assert f"{first['leaves_sats']} > 100000 sats" in first["draft_detail"]
    shown = past.run("policy", "test", file(tmp_path, 2, draft)).stdout
    assert first["txid"] in shown


def test_what_a_draft_does_not_change_is_counted_and_listed_for_programs_only(past: Line, tmp_path: Path) -> None:
    path = file(tmp_path, 2, LOOSER)
    data = past.json("policy", "test", path, "--since", "2026-09-22")
    assert (data["judged"], data["unchanged"], data["changed"]) == (1, 1, [])
    assert (data["looser"], len(data["transactions"])) == (["refuse_above_sats"], 1)
    assert data["transactions"][0]["txid"] not in past.run("policy", "test", path).stdout


def test_a_payment_sent_again_is_judged_once(past: Line, tmp_path: Path) -> None:
    past.run("policy", "propose", file(tmp_path, 2, TIGHTER))
    past.run("policy", "approve", "alice")
    assert past.json("policy", "test", file(tmp_path, 3))["judged"] == 2


def test_without_a_past_there_is_nothing_to_test(job: Line, tmp_path: Path) -> None:
    assert job.error("policy", "test", file(tmp_path, 2), code=3)["code"] == "not-found"
    assert job.error("policy", "test", file(tmp_path, 2, ("name", "nam")), code=2)["code"] == "policy-invalid"


def test_where_the_appliances_code_is_not_installed_it_says_what_to_install(
    past: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "_PROGRAM", "undercroft_appliance_that_is_not_there")
    error = past.error("policy", "test", file(tmp_path, 2), code=1)
    assert error["code"] == "replay-missing"
    assert "install the package undercroft-appliance" in error["hint"]


def test_a_replay_that_fails_is_told_with_its_reason(
    past: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "_PROGRAM", "undercroft_host")
    error = past.error("policy", "test", file(tmp_path, 2), code=1)
    assert "the replay failed: " in error["message"]
    assert "undercroft_host.main" in error["message"]
