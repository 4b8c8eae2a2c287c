"""The whole job by the command line, from the ceremony to two signatures; no word of it holds a secret."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from cli_support import SEEDS, Line
from exchange import NOW, OUTSIDER, Ticking, endow
from message_examples import POLICY_TEXT
from owner_statements import (
    accepted,
    activation_id,
    activation_request,
    approved,
    declared,
    grant,
)
from scripted_appliance import IDENTITY, NAMES, POLICY, QUORUM, STRANGER, ScriptedAppliance, public, request_of, stated
from undercroft_host.store.tables import Appliance, Payment
from undercroft_protocol.bitcoin.psbt import Psbt
from undercroft_protocol.messages import (
    ActivateRequest,
    ArmRequest,
    DeclareRequest,
    Done,
    FreezeOrder,
    FreezeRequest,
    GrantRequest,
    LockRequest,
    LogFile,
    LogReply,
    LogRequest,
    LogSeal,
    PolicyOffer,
    QuorumOffer,
    RefusalReply,
    StatementReply,
)


def owner(name: str) -> ScriptedAppliance:
    """An appliance whose owner says yes to all that is asked in the ceremony and at an activation."""
    found = ScriptedAppliance(name)
    found.state, found.quorum_id, found.policy_hash = "empty", None, None
    found.activation_id = activation_id(name)
    found.note("started")

    def declare(_: Any) -> StatementReply:
        return StatementReply(declared(name))

    def accept(request: QuorumOffer) -> StatementReply:
        assert request.envelope.quorum_id is None
        found.state, found.quorum_id = "unlocked", request.quorum.id
        return StatementReply(accepted(name, request.quorum))

    def approve(request: PolicyOffer) -> StatementReply:
        return StatementReply(approved(name, request.policy))

    def activate(request: ActivateRequest) -> StatementReply:
        assert request.envelope.quorum_id == request.quorum.id
        found.state, found.policy_hash = "unlocked", request.policy.hash
        return StatementReply(activation_request(name, request.quorum, request.policy, f"site of {name}"))

    def give(_: Any) -> StatementReply:
        grantee = "bob" if name == "alice" else "alice"
        return StatementReply(grant(name, grantee, QUORUM, POLICY, f"site of {name}"))

    def arm(_: Any) -> Done:
        found.state = "armed"
        return Done("armed")

    found.answers |= {
        DeclareRequest: declare,
        QuorumOffer: accept,
        PolicyOffer: approve,
        ActivateRequest: activate,
        GrantRequest: give,
        ArmRequest: arm,
    }
    return found


@pytest.fixture
def job(line: Line, tmp_path: Path) -> Line:
    """Two armed appliances under an approved policy, and money in an account."""
    for name in NAMES:
        line.appliances[f"serial:/dev/{name}"] = owner(name)
        line.run("appliance", "add", name, "--link", f"serial:/dev/{name}")
        line.run("quorum", "declare", name)
    line.run("quorum", "form")
    for name in NAMES:
        line.run("quorum", "accept", name)
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY_TEXT.format(version=POLICY.version))
    line.run("policy", "propose", str(policy))
    for name in NAMES[:2]:
        line.run("policy", "approve", name)
    for name in NAMES[:2]:
        line.run("activation", "open", name)
    line.run("activation", "grant", "bob", "alice")
    line.run("activation", "grant", "alice", "bob")
    store = line.store()
    endow(store, QUORUM, "shop", 1_000_000, 2_000_000)
    store.close()
    return line


def orders(line: Line, tmp_path: Path, *amounts_sats: int) -> list[str]:
    """Withdrawals by CSV, judged."""
    ids = [f"w{at}" for at in range(len(amounts_sats))]
    rows = [f"{id},shop,{OUTSIDER},{amount_sats}" for id, amount_sats in zip(ids, amounts_sats, strict=True)]
    path = tmp_path / "orders.csv"
    path.write_text("\n".join(["id,account,address,amount_sats", *rows]) + "\n")
    assert line.json("withdrawal", "import", str(path))["ids"] == ids
    assert line.json("risk", "run", "--once")["withdrawals"] == {"allow": len(ids)}
    return ids


def test_the_ceremony_makes_the_quorum_that_the_owners_compared(job: Line) -> None:
    quorum = job.json("quorum", "show")
    assert (quorum["id"], quorum["code"], quorum["state"]) == (QUORUM.id.hex(), QUORUM.code, "active")
    assert [one["name"] for one in quorum["owners"] if one["accepted"]] == [one.name for one in QUORUM.owners]
    assert job.run("quorum", "descriptor").stdout.strip() == QUORUM.descriptor().text()
    policy = job.json("policy", "show")
    assert (policy["hash"], policy["state"], policy["approved_by"]) == (POLICY.hash.hex(), "active", ["alice", "bob"])
    assert [(one["appliance"], one["state"], one["granted_by"]) for one in job.json("activation", "list")] == [
        ("alice", "armed", "bob"),
        ("bob", "armed", "alice"),
    ]


def test_what_waits_for_an_owner_is_said_on_stderr(job: Line) -> None:
    waits = [words for words in job.said if words.startswith("waiting for")]
    assert "waiting for alice's owner at the appliance to make a key (up to 600 s)\n" in waits
    assert any(QUORUM.code in words for words in waits)


def test_withdrawals_are_cleared_paid_signed_by_two_and_final(job: Line, tmp_path: Path) -> None:
    ids = orders(job, tmp_path, 100_000, 250_000, 300_000)
    built = job.json("payment", "build", "--feerate", "2.5")
    assert (built["state"], built["feerate_sat_per_kvb"], built["paid_sats"]) == ("built", 2500, 650_000)
    sent = job.json("payment", "send", "1", "--to", "alice", "--to", "bob")
    assert [(one["appliance"], one["verdict"], one["state"]) for one in sent["answers"]] == [
        ("alice", "signed", "signing"),
        ("bob", "signed", "signed"),
    ]
    shown = job.json("payment", "show", "1")
    assert (shown["state"], shown["signed_by"]) == ("signed", ["alice", "bob"])
    withdrawal = job.json("withdrawal", "show", ids[0])
    assert (withdrawal["state"], withdrawal["payment"]) == ("assigned", 1)
    assert withdrawal["risk"]["outcome"] == "allow"
    assert {one["verdict"] for one in withdrawal["appliances"]} == {"signed"}
    psbt = job.run("payment", "psbt", "1").stdout.strip()
    assert Psbt.parse(base64.b64decode(psbt)).transaction.txid_hex == shown["txid"]
    assert job.error("payment", "broadcast", "1", code=7)["code"] == "node-unreachable"
    assert job.error("payment", "cancel", "1", code=4)["code"] == "payment-state"
    assert job.error("payment", "resend", "1", "--to", "alice", code=4)["code"] == "payment-state"
    status = job.json("status")
    assert status["payments"] == [{"state": "signed", "count": 1, "fee_sats": shown["fee_sats"]}]
    assert status["withdrawals"] == [{"state": "assigned", "count": 3, "sats": 650_000}]


@pytest.mark.parametrize(
    ("verdict", "code", "exit_code"), [("held", "payment-held", 6), ("refused", "payment-refused", 5)]
)
def test_a_payment_that_is_held_or_refused_says_so_by_exit_code_beside_its_data(
    job: Line, tmp_path: Path, verdict: str, code: str, exit_code: int
) -> None:
    orders(job, tmp_path, 100_000)
    job.run("payment", "build", "--feerate", "2")
    alice = job.appliances["serial:/dev/alice"]
    alice.decides = lambda _: (verdict, "policy")
    assert job.error("payment", "send", "1", "--to", "alice", "--to", "bob", code=exit_code)["code"] == code
    sent = job.json("payment", "resend", "1", "--to", "bob", code=exit_code)
    assert sent["payments"][0]["reason"] == "alice: policy"
    alice.decides = lambda _: ("signed", None)
    assert job.json("payment", "resend", "1", "--to", "alice")["payments"][0]["state"] == "signed"


def test_an_appliance_that_is_away_does_not_keep_the_batch_from_the_next(job: Line, tmp_path: Path) -> None:
    orders(job, tmp_path, 100_000)
    job.run("payment", "build", "--feerate", "2")
    del job.appliances["serial:/dev/alice"]
    sent = job.json("payment", "send", "1", "--to", "alice", "--to", "bob", code=7)
    assert [one["appliance"] for one in sent["answers"]] == ["bob"]
    assert sent["payments"][0]["state"] == "signing"


def test_a_payment_nobody_was_asked_about_can_be_taken_back(job: Line, tmp_path: Path) -> None:
    orders(job, tmp_path, 100_000)
    job.run("payment", "build", "--feerate", "2")
    assert job.json("payment", "cancel", "1")["state"] == "cancelled"
    assert job.json("withdrawal", "list", "--state", "cleared")[0]["id"] == "w0"
    assert job.json("withdrawal", "cancel", "w0")["state"] == "cancelled"
    assert job.json("account", "list")[0]["balance_sats"] == 3_000_000


def test_risk_explains_each_verdict_with_the_numbers_compared(job: Line, tmp_path: Path) -> None:
    orders(job, tmp_path, 100_000)
    shown = job.run("risk", "show", "w0").stdout
    assert "allow  by rule set" in shown
    assert "W06  allow  100000 sats of this account in 86400 s, at most 1000000000" in shown
    findings = job.json("risk", "show", "w0")["verdicts"][0]["findings"]
    assert findings[1]["compared"] == {"amount_sats": 100_000}


def test_the_appliances_log_is_fetched_verified_and_shown(job: Line) -> None:
    job.appliances["serial:/dev/alice"].note("armed")
    entries = job.json("appliance", "log", "alice")
    assert [(one["number"], one["event"]) for one in entries] == [(0, "started"), (1, "armed")]
    del job.appliances["serial:/dev/alice"]
    assert job.json("appliance", "log", "alice", "--kept") == entries
    assert [(one["facts"], one["sealed"]) for one in entries] == [(["a started"], True), (["a armed"], True)]


def test_the_log_goes_out_as_a_file_for_its_owner_and_overwrites_nothing(job: Line, tmp_path: Path) -> None:
    alice = job.appliances["serial:/dev/alice"]
    path = tmp_path / "alice.log"
    answer = job.json("appliance", "log", "alice", "--out", str(path))
    assert answer == {"name": "alice", "file": str(path), "entries": 1, "whole": True}
    file = LogFile.from_bytes(path.read_bytes())
    assert (file.identity, file.entries) == (public(alice.identity), tuple(alice.log))
    assert job.error("appliance", "log", "alice", "--out", str(path), code=4)["code"] == "conflict"
    assert job.error("appliance", "log", "alice", "--out", str(tmp_path / "no" / "folder"), code=1)["code"] == "failure"


def test_audit_verify_walks_the_appliances_logs_too_and_names_what_is_missing(job: Line) -> None:
    job.run("appliance", "log", "alice")
    logs = {one["appliance"]: one for one in job.json("audit", "verify")["logs"]}
    assert logs["alice"] == {"appliance": "alice", "entries": 1, "whole": True, "answers_newer_than_log": 0}
    alice = job.appliances["serial:/dev/alice"]
    for _ in range(3):
        alice.note("signed")
    seal = stated(LogSeal(QUORUM.id, len(alice.log), alice.log_head), alice.identity)
    alice.answers[LogRequest] = lambda _: LogReply(tuple(alice.log[2:]), seal)
    assert "entries 1 to 1 are missing" in job.error("appliance", "log", "alice", code=8)["message"]
    alarm = job.error("audit", "verify", code=8)
    assert alarm["code"] == "log-incomplete"
    assert "alice: entries 1 to 1 are missing (after 20" in alarm["message"]


def test_lock_and_freeze_end_the_activation(job: Line) -> None:
    assert job.json("appliance", "lock", "alice") == {"name": "alice", "state": "empty"}
    assert job.json("appliance", "freeze", "bob", "--reason", "drill") == {"name": "bob", "state": "empty"}
    assert {one["state"] for one in job.json("activation", "list")} == {"ended"}
    assert job.error("appliance", "freeze", "bob", "--reason", "\u202etrick", code=2)["code"] == "usage"


@pytest.mark.parametrize("verb", [("lock", "alice"), ("freeze", "alice", "--reason", "drill")])
def test_the_log_is_fetched_before_a_lock_or_freeze_makes_it_unreadable(job: Line, verb: tuple[str, ...]) -> None:
    job.appliances["serial:/dev/alice"].note("signed")
    job.run("appliance", *verb)
    assert [one["event"] for one in job.json("appliance", "log", "alice", "--kept")][-1] == "signed"


@pytest.mark.parametrize("verb", [("lock", "alice"), ("freeze", "alice", "--reason", "drill")])
def test_attack_a_log_that_is_withheld_or_rewritten_does_not_keep_the_secrets_alive(
    job: Line, verb: tuple[str, ...]
) -> None:
    alice = job.appliances["serial:/dev/alice"]
    alice.answers[LogRequest] = lambda _: RefusalReply("busy", "a question is open")
    assert "its log was not fetched" in job.run("appliance", *verb).stderr
    assert {one["appliance"]: one["state"] for one in job.json("activation", "list")}["alice"] == "ended"
    alice.state, alice.answers[LogRequest] = "armed", lambda _: Done("armed")
    assert job.error("appliance", *verb, code=8)["code"] == "integrity"
    assert request_of(alice.heard[-1]) in (LockRequest, FreezeRequest)


def test_a_grant_is_void_once_the_appliance_was_restarted(job: Line) -> None:
    job.run("activation", "open", "alice")
    job.appliances["serial:/dev/alice"].activation_id = b"\x09" * 16
    assert "restarted" in job.error("activation", "grant", "bob", "alice", code=4)["message"]
    assert job.error("activation", "grant", "bob", "alice", code=3)["code"] == "activation-unknown"


def test_an_owners_freeze_is_heard_shown_and_passed_on_to_every_appliance(job: Line, tmp_path: Path) -> None:
    assert job.error("freeze", code=3)["code"] == "not-found"
    carol = job.appliances["serial:/dev/carol"]
    carol.freeze_order = stated(FreezeOrder(QUORUM.id, "phone stolen", NOW), carol.identity)
    assert job.json("status")["frozen"] == []
    heard = job.json("status", "--ask")["frozen"]
    assert [(one["by"], one["reason"]) for one in heard] == [("carol", "phone stolen")]
    assert job.run("status").stdout.startswith("FROZEN       by carol: phone stolen")
    orders(job, tmp_path, 100_000)
    job.run("payment", "build", "--feerate", "2")
    assert "frozen: by carol: phone stolen" in job.run("payment", "send", "1", "--to", "alice", code=5).stderr
    rows = job.json("freeze")
    assert {row["name"]: (row["state"], row["problem"]) for row in rows} == dict.fromkeys(NAMES, ("empty", None))
    assert {job.appliances[f"serial:/dev/{name}"].freeze_order for name in NAMES} == {carol.freeze_order}
    assert {one["state"] for one in job.json("activation", "list")} == {"ended"}


def test_the_vault_stops_every_appliance_and_a_dead_line_keeps_no_other_waiting(job: Line) -> None:
    del job.appliances["serial:/dev/alice"]
    alarm = job.error("freeze", "--by-vault", "drill", code=7)
    assert "not reached: alice" in alarm["message"]
    bob = job.appliances["serial:/dev/bob"]
    assert (bob.state, job.json("status")["frozen"][0]["by"]) == ("empty", "the vault")
    assert job.error("freeze", "--by-vault", "\u202etrick", code=2)["code"] == "usage"


def test_attack_the_line_says_that_nothing_is_open_where_an_appliance_is_armed(job: Line) -> None:
    bob = job.appliances["serial:/dev/bob"]
    bob.state, bob.speaker = "empty", STRANGER
    rows = {row["name"]: row for row in job.json("freeze", "--by-vault", "drill")}
    assert {name: (row["state"], row["proven"]) for name, row in rows.items()} == {
        "alice": ("empty", True),
        "bob": ("empty", False),
        "carol": ("empty", True),
    }
    assert "bob: only an open appliance can prove who it is; call its owner" in job.said[-1]


def test_a_fresh_activation_goes_on_after_a_freeze(job: Line, clock: Ticking) -> None:
    job.run("freeze", "--by-vault", "drill")
    clock.now += 60
    for name in NAMES[:2]:
        job.run("activation", "open", name)
    assert len(job.json("status")["frozen"]) == 1
    job.run("activation", "grant", "bob", "alice")
    assert job.json("status")["frozen"] == []


def test_attack_an_order_that_comes_while_an_owner_types_the_passphrase_outlasts_that_activation(
    job: Line, clock: Ticking
) -> None:
    alice, carol = job.appliances["serial:/dev/alice"], job.appliances["serial:/dev/carol"]
    carol.freeze_order = stated(FreezeOrder(QUORUM.id, "phone stolen", NOW), carol.identity)
    typed = alice.answers[ActivateRequest]

    def slowly(request: ActivateRequest) -> Any:
        clock.now += 60
        job.run("status", "--ask")
        clock.now += 60
        return typed(request)

    alice.answers[ActivateRequest] = slowly
    alice.state = "empty"
    for name in NAMES[:2]:
        job.run("activation", "open", name)
    job.run("activation", "grant", "bob", "alice")
    assert [one["by"] for one in job.json("status")["frozen"]] == ["carol"]


def test_status_asks_the_appliances_on_request(job: Line) -> None:
    del job.appliances["serial:/dev/carol"]
    asked = {one["name"]: one for one in job.json("status", "--ask")["appliances"]}
    assert (asked["alice"]["state"], asked["alice"]["last_state"]) == ("armed", "armed")
    assert asked["carol"]["state"].startswith("appliance-unplugged")


def test_treasury_and_books_add_up(job: Line) -> None:
    assert job.json("treasury", "run", "--once") == {"credited": [], "settled": []}
    balances = {one["account"]: one["balance_sats"] for one in job.json("treasury", "balance")}
    assert balances == {"asset:hot": 3_000_000, "liability:customer:shop": -3_000_000}
    assert len(job.json("deposit", "list", "--state", "credited")) == 2
    assert job.json("address", "list", "--account", "shop")[0]["branch"] == 0


def test_every_act_is_in_the_audit_log_in_the_operators_name(job: Line, tmp_path: Path) -> None:
    orders(job, tmp_path, 100_000)
    job.run("payment", "build", "--feerate", "2")
    job.run("payment", "send", "1", "--to", "alice", "--to", "bob")
    records = job.json("audit", "list", "--last", "200")
    actions = {record["action"] for record in records}
    assert {
        "add-appliance",
        "declare-key",
        "form-quorum",
        "accept-quorum",
        "activate-quorum",
        "propose-policy",
        "approve-policy",
        "activate-policy",
        "request-activation",
        "grant-activation",
        "arm-appliance",
        "request-withdrawal",
        "judge-withdrawal",
        "clear-withdrawal",
        "build-payment",
        "build-batch",
        "send-batch",
        "batch-answered",
        "finalise-payment",
        "keep-log",
    } <= actions
    assert {record["actor"].split(":")[0] for record in records} == {"operator", "risk", "test"}
    assert job.json("audit", "verify")["records"] == len(records)


def test_attack_no_output_of_the_whole_job_holds_a_private_key(job: Line, tmp_path: Path) -> None:
    orders(job, tmp_path, 100_000)
    for arguments in (
        ("payment", "build", "--feerate", "2"),
        ("payment", "send", "1", "--to", "alice", "--to", "bob"),
        ("payment", "show", "1"),
        ("appliance", "list"),
        ("quorum", "show"),
        ("status",),
        ("audit", "list"),
        ("risk", "show", "w0"),
    ):
        job.run(*arguments)
    everything = "".join(job.said)
    for seed in SEEDS:
        assert seed.hex() not in everything
        assert base64.b64encode(seed).decode() not in everything
    store = job.store()
    with store.read() as session:
        rows = [vars(row) for kind in (Appliance, Payment) for row in session.query(kind)]
    store.close()
    database = (job.home / "undercroft.db").read_bytes()
    assert rows
    assert public(IDENTITY["alice"]) in database
    for seed in SEEDS:
        assert seed not in database


def test_a_refused_ceremony_leaves_nothing_behind(line: Line, clock: Ticking) -> None:
    alice = owner("alice")
    alice.answers[DeclareRequest] = lambda _: RefusalReply("owner", "see the screen")
    line.appliances["serial:/dev/alice"] = alice
    line.run("appliance", "add", "alice", "--link", "serial:/dev/alice")
    assert line.error("quorum", "declare", "alice", code=5)["code"] == "appliance-refused"
    assert line.json("appliance", "list")[0]["identity"] is None
