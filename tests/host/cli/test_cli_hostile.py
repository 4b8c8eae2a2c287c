"""Answers of a stolen appliance and files of any origin: an error in one line with its code, and nothing is broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import message_examples as examples
from cli_support import Line
from exchange import Ticking
from scripted_appliance import (
    NAMES,
    POLICY,
    QUORUM,
    STRANGER,
    ScriptedAppliance,
    cleared_payment,
    found,
    stated,
)
from undercroft_protocol.messages import (
    FreezeOrder,
    LogEntry,
    PolicyApproval,
    PolicyOffer,
    ReplyHeader,
    StatementReply,
    Value,
)

FAR = 1 << 40
"""The latest time of the protocol, beyond the year 9999 of the standard library's calendar."""


@pytest.fixture
def desk(line: Line) -> Line:
    """A quorum, and the three owners' armed appliances."""
    store = line.store()
    found(store)
    store.close()
    line.appliances = {f"serial:/dev/{name}": ScriptedAppliance(name) for name in NAMES}
    return line


def appliance(desk: Line, name: str) -> ScriptedAppliance:
    return desk.appliances[f"serial:/dev/{name}"]


def test_attack_a_log_with_a_time_that_no_calendar_has(desk: Line) -> None:
    appliance(desk, "alice").log.append(LogEntry(0, bytes(32), FAR, "started", ()))
    (entry,) = desk.json("appliance", "log", "alice")
    assert entry["time"] == f"{FAR} s after 1970"
    assert desk.json("audit", "verify")["intact"] is True


def test_attack_a_freeze_order_with_a_time_that_no_calendar_has_leaves_the_status_readable(desk: Line) -> None:
    carol = appliance(desk, "carol")
    carol.freeze_order = stated(FreezeOrder(QUORUM.id, "stolen", FAR), carol.identity)
    desk.run("status", "--ask")
    assert [one["ordered"] for one in desk.json("status")["frozen"]] == [f"{FAR} s after 1970"]


def test_attack_approvals_with_a_time_that_no_calendar_has_leave_the_policy_readable(
    desk: Line, tmp_path: Path
) -> None:
    draft = tmp_path / "draft.toml"
    looser = examples.POLICY_TEXT.format(version=2)
    draft.write_text(looser.replace("change_gap = 100", "change_gap = 101"), encoding="utf-8")
    desk.run("policy", "propose", str(draft))
    for name in ("alice", "bob"):
        owner = appliance(desk, name)

        def approves(offer: PolicyOffer, owner: ScriptedAppliance = owner) -> Value:
            policy = offer.policy
            return StatementReply(stated(PolicyApproval(QUORUM.id, policy.hash, policy.version, FAR), owner.identity))

        owner.answers[PolicyOffer] = approves
        desk.run("policy", "approve", name)
    shown = desk.json("policy", "show")
    assert (shown["state"], shown["usable"]) == ("approved", f"{FAR + POLICY.loosening_seconds} s after 1970")


def test_attack_a_strangers_statement_in_answer_to_a_batch_is_no_evidence_against_the_appliance(
    desk: Line, clock: Ticking
) -> None:
    store = desk.store()
    payment = cleared_payment(store, clock)
    store.close()
    alice = appliance(desk, "alice")
    honest = alice.lie

    def lie(header: ReplyHeader, _body: Value) -> tuple[ReplyHeader, Value]:
        alice.speaker = STRANGER
        return header, StatementReply(stated(FreezeOrder(QUORUM.id, "nothing", 1), STRANGER))

    alice.lie = lie
    desk.run("payment", "send", str(payment), "--to", "alice", code=8)
    assert desk.json("audit", "verify")["intact"] is True
    alice.lie, alice.speaker = honest, alice.identity
    desk.run("payment", "send", str(payment), "--to", "alice")


@pytest.mark.parametrize(
    "data",
    [b"windows = " + b"[" * 100_000, b"version = " + b"9" * 6000, b"\xff\xfe", b"\0", b"version = 1\nversion = 1\n"],
    ids=["deep", "long number", "not UTF-8", "NUL", "twice"],
)
@pytest.mark.parametrize("verb", ["propose", "test"])
def test_attack_a_file_that_is_no_policy(desk: Line, tmp_path: Path, verb: str, data: bytes) -> None:
    draft = tmp_path / "draft.toml"
    draft.write_bytes(data)
    assert desk.error("policy", verb, str(draft), code=2)["code"] == "policy-invalid"


@pytest.mark.parametrize("verb", ["propose", "test"])
def test_attack_a_policy_file_without_an_end(desk: Line, verb: str) -> None:
    error = desk.error("policy", verb, "/dev/zero", code=2)
    assert (error["code"], "larger than" in error["message"]) == ("policy-invalid", True)


def test_an_answer_that_cannot_be_written_is_a_failure_in_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "undercroft_host.cli.main", "--help"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()) == (1, ["error failure: This failed: No space left on device"])
