"""What people and machines get wrong: a clear message, a stable code, its exit code, and nothing written."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from undercroft_demo.cable import Cable
from undercroft_demo.operator import Operator, Outcome
from undercroft_demo.stage import Stage
from undercroft_host.config import load_config
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import Base


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage.built(tmp_path_factory.mktemp("stage")) as stage:
        stage.prepared()
        stage.operator("account", "open", "ada")
        stage.deposit("ada", 40_000_000)
        yield stage


def refused(operator: Operator, exit_code: int, *arguments: str) -> dict[str, Any]:
    """The error of a command that must end with this exit code, write nothing to stdout, and change no state."""
    before = _state(operator)
    outcome: Outcome = operator.run(*arguments, expect=(exit_code,))
    assert outcome.data is None
    assert _state(operator) == before
    error = error_of(outcome)
    assert error["code"]
    assert error["message"]
    return error


def error_of(outcome: Outcome) -> dict[str, Any]:
    """What a failed command says last on stderr."""
    error: dict[str, Any] = json.loads(outcome.said.splitlines()[-1])["error"]
    return error


def _state(operator: Operator) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the database, but for what a question to an appliance uses up and what the audit keeps."""
    store = Store.open(load_config(operator.home).database_url)
    try:
        with store.read() as session:
            return {
                table.name: sorted(
                    tuple(value for name, value in row._mapping.items() if name != "sequence")
                    for row in session.execute(select(table))
                )
                for table in Base.metadata.sorted_tables
                if table.name != "audit"
            }
    finally:
        store.close()


def request(stage: Stage, **changes: str) -> list[str]:
    order = {"id": "w-x", "account": "ada", "address": stage.node.payer_address(), "amount-sats": "100000", **changes}
    return ["withdrawal", "request", *(part for name, value in order.items() for part in (f"--{name}", value))]


@pytest.mark.parametrize("amount", ["0.5", "1e6", "1,000", "-5", "0", "abc", "1.0", " 5", "٣"])
def test_amounts_are_whole_satoshis(stage: Stage, amount: str) -> None:
    error = refused(stage.operator, 2, *request(stage, **{"amount-sats": amount}))
    assert error["code"] == "amount"


def test_a_mainnet_address_is_refused_on_regtest(stage: Stage) -> None:
    error = refused(stage.operator, 2, *request(stage, address="bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"))
    assert "it belongs to mainnet, not to regtest" in error["message"]


def test_an_unknown_account_is_not_found(stage: Stage) -> None:
    refused(stage.operator, 3, *request(stage, account="nobody"))


def test_more_than_the_customer_has_is_refused_by_rule(stage: Stage) -> None:
    refused(stage.operator, 5, *request(stage, **{"amount-sats": "99000000000"}))


def test_one_id_with_the_same_content_is_one_withdrawal_and_with_other_content_a_conflict(stage: Stage) -> None:
    order = request(stage, id="w-same")
    first = stage.operator(*order)
    assert stage.operator(*order) == first
    other = [*order[:-1], "100001"]
    error = refused(stage.operator, 4, *other)
    assert error["code"] == "withdrawal-conflict"
    stage.operator("withdrawal", "cancel", "w-same")


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("w-2,ada,{address},0.5", "amount_sats"),
        ("w-2,nobody,{address},50000", "account"),
        ("w-2,ada,bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4,50000", "address"),
        ("w-1,ada,{address},60000", "id"),
        ("=1+1,ada,{address},50000", "id"),
        ("w-2,ada,{address}", "3 columns"),
    ],
)
def test_a_csv_with_one_bad_line_is_refused_whole_naming_line_and_column(
    stage: Stage, tmp_path: Path, line: str, column: str
) -> None:
    address = stage.node.payer_address()
    path = tmp_path / "withdrawals.csv"
    rows = ["id,account,address,amount_sats", f"w-1,ada,{address},50000", line.format(address=address)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    outcome = stage.operator.run("withdrawal", "import", str(path), expect=(2, 3, 4, 5))
    message = error_of(outcome)["message"]
    assert "line 3" in message
    assert column in message
    assert "w-1" not in [one["id"] for one in stage.operator("withdrawal", "list")]


def test_an_unknown_appliance_is_not_found(stage: Stage) -> None:
    refused(stage.operator, 3, "appliance", "show", "mallory")


@pytest.mark.parametrize(
    "link", ["socket://127.0.0.1:7000", "rfc2217://host:1", "tcp:1.2.3.4:5", "serial:relative/path"]
)
def test_attack_a_network_link_to_an_appliance_is_refused(stage: Stage, link: str) -> None:
    refused(stage.operator, 2, "appliance", "add", "dave", "--link", link)


def test_an_unplugged_appliance_is_unreachable(stage: Stage, tmp_path: Path) -> None:
    stage.operator("appliance", "add", "unplugged", "--link", f"serial:{tmp_path / 'no-such-tty'}")
    error = refused(stage.operator, 7, "appliance", "show", "unplugged")
    assert error["code"] == "appliance-unplugged"


def test_a_line_on_which_nobody_answers_is_unreachable(stage: Stage, tmp_path: Path) -> None:
    with Cable.started(tmp_path, "dead") as cable:
        stage.operator("appliance", "add", "silent", "--link", f"serial:{cable.host_path}")
        error = refused(stage.operator, 7, "appliance", "show", "silent")
    assert error["code"] == "appliance-silent"


def test_a_stopped_appliance_is_unreachable_and_answers_again_when_it_goes_on(stage: Stage) -> None:
    carol = stage.sites["carol"].device
    pids = carol.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        error = refused(stage.operator, 7, "appliance", "show", "carol")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert error["code"] == "appliance-silent"
    assert stage.operator("appliance", "show", "carol")["state"] == "empty"


def test_another_owners_armed_appliance_on_the_line_is_noticed(stage: Stage) -> None:
    """Bob's device on alice's line: it answers, and is not alice."""
    alice, bob = stage.sites["alice"].cable.host_path, stage.sites["bob"].cable.host_path
    _swap(Path(alice), Path(bob))
    try:
        error = refused(stage.operator, 4, "appliance", "show", "alice")
    finally:
        _swap(Path(alice), Path(bob))
    assert error["code"] == "appliance-foreign"
    assert stage.operator("appliance", "show", "alice")["state"] == "armed"


def test_an_appliance_of_another_quorum_is_noticed(stage: Stage, tmp_path: Path) -> None:
    with Stage.built(tmp_path / "other") as other:
        other.prepared()
        link = Path(stage.sites["alice"].cable.host_path)
        kept = link.readlink()
        _point(link, Path(other.sites["alice"].cable.host_path))
        try:
            error = refused(stage.operator, 4, "appliance", "show", "alice")
        finally:
            _point(link, kept)
    assert error["code"] == "appliance-foreign"


def test_a_node_of_another_chain_is_refused(stage: Stage, tmp_path: Path) -> None:
    operator = Operator(tmp_path / "host")
    cookie = str(stage.node.cookie_path)
    outcome = operator.run(
        "init", "--network", "testnet", "--rpc-url", stage.node.rpc_url, "--rpc-cookie", cookie, expect=(0, 4, 7, 8)
    )
    if outcome.exit_code == 0:
        outcome = operator.run("gateway", "sync", expect=(4, 7, 8))
    assert error_of(outcome)["code"] == "wrong-chain"


def test_a_node_that_is_down_is_unreachable_and_status_says_so(stage: Stage, tmp_path: Path) -> None:
    operator = Operator(tmp_path / "host")
    cookie = str(stage.node.cookie_path)
    outcome = operator.run(
        "init", "--network", "regtest", "--rpc-url", "http://127.0.0.1:1", "--rpc-cookie", cookie, expect=(0, 7)
    )
    assert outcome.exit_code == 0
    outcome = operator.run("gateway", "sync", expect=(7,))
    assert operator("status")["chain"]["node"] != "ok"
    assert error_of(outcome)["code"] == "node-unreachable"


def test_an_order_to_an_unarmed_appliance_is_a_conflict_of_state(stage: Stage) -> None:
    operator = stage.operator
    operator(*request(stage, id="w-unarmed"))
    operator("risk", "run", "--once")
    number = str(operator("payment", "build")["id"])
    outcome = operator.run("payment", "send", number, "--to", "carol", expect=(4, 5, 6))
    assert error_of(outcome)["code"] == "appliance-state"
    operator("payment", "cancel", number)
    operator("withdrawal", "cancel", "w-unarmed")


def _swap(first: Path, second: Path) -> None:
    one, other = first.readlink(), second.readlink()
    _point(first, other)
    _point(second, one)


def _point(link: Path, target: Path) -> None:
    beside = link.with_name(f"{link.name}.new")
    beside.symlink_to(target)
    beside.replace(link)
