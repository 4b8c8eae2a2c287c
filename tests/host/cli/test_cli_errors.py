"""Every kind of failure has its exit code, one line that says what, and a hint; nothing goes to stdout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli_support import Line
from exchange import NOW, OUTSIDER, Ticking, endow
from exit_codes import KINDS
from scripted_appliance import QUORUM, ScriptedAppliance, found
from undercroft_host import errors
from undercroft_host.cli.nouns import account
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import AuditRecord
from undercroft_protocol.errors import LinkTimeoutError, ProtocolError
from undercroft_protocol.messages import LockRequest, RefusalReply


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(account, "open_account", fail)


@pytest.mark.parametrize(("kind", "code"), KINDS.items(), ids=lambda value: getattr(value, "__name__", str(value)))
def test_each_kind_has_its_exit_code_one_line_and_a_hint(
    line: Line, monkeypatch: pytest.MonkeyPatch, kind: type[errors.HostError], code: int
) -> None:
    fail_with(monkeypatch, kind("two\nlines", hint="do this"))
    result = line.run("account", "open", "alice", code=code)
    assert result.stdout == ""
    message = f"{(kind.__doc__ or '').strip().rstrip('.')}: two lines"
    assert result.stderr.splitlines() == [f"error {kind.code}: {message}", "hint: do this"]


def test_an_error_as_json_is_one_object_on_stderr(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, errors.Conflict("this"))
    result = line.run("account", "open", "alice", "--json", code=4)
    assert result.stdout == ""
    assert json.loads(result.stderr) == {
        "error": {
            "code": "conflict",
            "message": "This contradicts what is already there: this",
            "hint": None,
        }
    }


def test_a_protocol_error_that_nobody_named_is_a_failure(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, ProtocolError("odd"))
    assert line.error("account", "open", "alice", code=1)["code"] == "failure"


def test_an_interrupt_is_130(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    assert line.run("account", "open", "alice", code=130).stderr.strip() == "interrupted"


@pytest.mark.parametrize(
    "arguments",
    [
        ("withdraw",),
        ("account", "close"),
        ("account", "open"),
        ("account", "open", "a", "b"),
        ("account", "list", "--colour"),
        ("payment", "show", "one"),
        ("payment", "show", "99999999999999999999"),
        ("payment", "list", "--state", "paid"),
        ("deposit", "list", "--state", "lost"),
        ("withdrawal", "list", "--state", "gone"),
        ("audit", "list", "--last", "99999999999999999999"),
        ("activation", "open", "alice", "--timeout", "nan"),
        ("payment", "send", "1", "--to", "alice", "--timeout", "inf"),
        ("withdrawal", "import", "/no/such/file"),
        ("init", "--network", "moonnet"),
        ("completion", "tcsh"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_understood_is_usage(line: Line, arguments: tuple[str, ...]) -> None:
    assert line.error(*arguments, code=2)["code"] == "usage"


def test_a_noun_alone_shows_its_help_and_is_usage(line: Line) -> None:
    assert "Commands:" in line.run("account", code=2).stderr


def test_without_a_home_every_command_says_so(line: Line, tmp_path: Path) -> None:
    line.home = tmp_path / "nowhere"
    for arguments in (("status",), ("account", "list"), ("gateway", "sync"), ("risk", "run", "--once")):
        found_error = line.error(*arguments, code=3)
        assert found_error["code"] == "not-initialised"
        assert "undercroft init" in found_error["hint"]


def test_a_database_without_tables_names_the_cure(line: Line) -> None:
    (line.home / "undercroft.db").unlink()
    assert "init" in line.error("account", "list", code=1)["hint"]


def test_before_the_ceremony_there_is_no_quorum(line: Line) -> None:
    line.run("account", "open", "alice")
    for arguments in (
        ("quorum", "show"),
        ("quorum", "descriptor"),
        ("policy", "show"),
        ("address", "issue", "alice"),
        ("appliance", "log", "alice"),
    ):
        assert line.error(*arguments, code=3)["code"] == "not-found"
    assert line.error("quorum", "form", code=4)["code"] == "conflict"


@pytest.fixture
def founded(line: Line) -> Line:
    """A quorum, its appliances, and alice with a million sats."""
    store = line.store()
    found(store)
    endow(store, QUORUM, "alice", 1_000_000)
    store.close()
    line.appliances["serial:/dev/alice"] = ScriptedAppliance("alice")
    return line


def order(line: Line, code: int, **changes: str) -> dict[str, str]:
    given = {"id": "w1", "account": "alice", "address": OUTSIDER, "amount-sats": "100000"} | {
        name.replace("_", "-"): value for name, value in changes.items()
    }
    arguments = [part for name, value in given.items() for part in (f"--{name}", value)]
    return line.error("withdrawal", "request", *arguments, code=code)


def test_an_order_that_cannot_be_taken_says_why_by_kind(founded: Line) -> None:
    mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
    assert order(founded, 2, address=mainnet)["code"] == "address"
    assert "mainnet" in order(founded, 2, address=mainnet)["message"]
    decimal = order(founded, 2, amount_sats="0.001")
    assert decimal["code"] == "amount"
    assert "did you mean 100000?" in decimal["message"]
    assert order(founded, 2, amount_sats="-5")["code"] == "amount"
    assert order(founded, 3, account="nobody")["code"] == "account-unknown"
    assert order(founded, 5, amount_sats="1000001")["code"] == "insufficient-funds"
    assert founded.json("withdrawal", "list") == []


def test_the_same_order_again_is_the_same_answer_and_another_under_its_id_a_conflict(founded: Line) -> None:
    arguments = ("withdrawal", "request", "--id", "w1", "--account", "alice", "--address", OUTSIDER, "--amount-sats")
    first = founded.json(*arguments, "100000")
    assert (first["state"], first["amount_sats"]) == ("requested", 100_000)
    assert founded.json(*arguments, "100000") == first
    assert founded.error(*arguments, "100001", code=4)["code"] == "withdrawal-conflict"
    assert founded.json("account", "list")[0]["balance_sats"] == 900_000


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("w2,alice,{address},0.5", "line 3"),
        ("w2,alice,{address}", "line 3"),
        ("w2,alice,nonsense,100000", "line 3"),
        ("w1,alice,{address},100000", "line 3"),
        ("w2,nobody,{address},100000", "line 3"),
        ("=w2,alice,{address},100000", "line 3"),
    ],
)
def test_a_csv_file_with_one_bad_line_is_refused_whole(founded: Line, tmp_path: Path, bad: str, says: str) -> None:
    path = tmp_path / "orders.csv"
    lines = ["id,account,address,amount_sats", f"w1,alice,{OUTSIDER},100000", bad.format(address=OUTSIDER)]
    path.write_text("\n".join(lines) + "\n")
    result = founded.run("withdrawal", "import", str(path), code=3 if "nobody" in bad else 2)
    assert says in result.stderr
    assert founded.json("withdrawal", "list") == []
    assert founded.json("account", "list")[0]["balance_sats"] == 1_000_000


def test_a_csv_file_that_is_not_text_is_refused(founded: Line, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(b"id\xff")
    assert founded.error("withdrawal", "import", str(path), code=2)["code"] == "csv"


def test_an_unknown_subject_is_not_found(founded: Line) -> None:
    assert founded.error("withdrawal", "show", "w9", code=3)["code"] == "withdrawal-unknown"
    assert founded.error("payment", "show", "9", code=3)["code"] == "payment-unknown"
    assert founded.error("payment", "send", "9", "--to", "alice", code=3)["code"] == "payment-unknown"
    assert founded.error("risk", "show", "w9", code=3)["code"] == "not-found"
    assert founded.error("appliance", "show", "mallory", code=3)["code"] == "appliance-unknown"
    assert founded.error("activation", "grant", "alice", "bob", code=3)["code"] == "activation-unknown"
    assert founded.error("payment", "build", "--feerate", "2", code=3)["code"] == "nothing-to-pay"


@pytest.mark.parametrize("feerate", ["0.1", "5000", "two", "-1", "1e3", "1.2345"])
def test_a_feerate_that_cannot_be_meant_is_usage(founded: Line, feerate: str) -> None:
    assert founded.error("payment", "build", f"--feerate={feerate}", code=2)["code"] == "feerate"


def test_a_node_that_is_down_is_unreachable_and_status_still_works(founded: Line) -> None:
    for arguments in (
        ("gateway", "sync"),
        ("treasury", "reconcile"),
        ("payment", "build"),
        ("payment", "broadcast", "1"),
    ):
        assert founded.error(*arguments, code=7)["code"] == "node-unreachable"
    status = founded.json("status")
    assert status["chain"]["node"].startswith("node-unreachable")
    assert status["chain"]["followed_height"] == 100
    assert status["coins"] == {
        "count": 1,
        "sats": 1_000_000,
        "locked": 0,
        "locked_sats": 0,
        "frozen": 0,
        "frozen_sats": 0,
    }


def test_attack_no_address_is_given_out_that_nobody_watches(line: Line) -> None:
    store = line.store()
    found(store)
    store.close()
    line.run("account", "open", "alice")
    assert line.error("address", "issue", "alice", code=7)["code"] == "node-unreachable"
    assert line.json("address", "list") == []


def test_an_appliance_that_is_unplugged_silent_foreign_or_unwilling_has_its_own_code(founded: Line) -> None:
    assert founded.error("appliance", "show", "bob", code=7)["code"] == "appliance-unplugged"
    alice = founded.appliances["serial:/dev/alice"]
    alice.answers[LockRequest] = lambda _: RefusalReply("busy", "a question is open")
    assert founded.error("appliance", "lock", "alice", code=5)["code"] == "appliance-refused"
    alice.quorum_id = b"\x99" * 32
    assert founded.error("appliance", "show", "alice", code=4)["code"] == "appliance-foreign"

    def silent(*, timeout: float) -> bytes:
        raise LinkTimeoutError("no message came")

    alice.receive = silent  # type: ignore[method-assign]
    assert founded.error("appliance", "show", "alice", code=7)["code"] == "appliance-silent"


@pytest.mark.parametrize("link", ["socket://10.0.0.1:7000", "tcp:10.0.0.1:7000", "/dev/ttyUSB0"])
def test_attack_an_appliance_is_never_added_over_a_network(line: Line, link: str) -> None:
    assert line.error("appliance", "add", "alice", "--link", link, code=2)["code"] == "link"
    assert line.json("appliance", "list") == []


def test_attack_a_record_changed_in_the_audit_log_is_an_alarm(line: Line) -> None:
    for name in ("alice", "bob"):
        line.run("account", "open", name)
    assert line.json("audit", "verify") == {"records": 2, "intact": True, "logs": []}
    store = line.store()
    with store.begin("thief") as session:
        session.get_one(AuditRecord, 1).subject = "mallory"
    store.close()
    assert line.error("audit", "verify", code=8)["code"] == "audit-broken"


def test_times_are_the_clocks(founded: Line, clock: Ticking) -> None:
    assert clock() == NOW
    order_time = founded.json(
        "withdrawal", "request", "--id", "w1", "--account", "alice", "--address", OUTSIDER, "--amount-sats", "100000"
    )["requested"]
    assert order_time == "2026-09-21T14:13:20Z"


def test_a_store_is_closed_after_each_command(founded: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    monkeypatch.setattr(Store, "close", lambda _: closed.append("closed"))
    founded.run("account", "list")
    founded.run("withdrawal", "show", "w9", code=3)
    assert len(closed) == 2
