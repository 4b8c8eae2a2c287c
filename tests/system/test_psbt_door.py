"""A PSBT that another coordinator built goes over the line to real appliances, whose owners look at it and sign."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.commands.commands_support import run
from undercroft_demo.stage import POLICY, Stage
from undercroft_host.money import btc_text
from undercroft_protocol.bitcoin.psbt import Psbt

AMOUNT_SATS = 7_000_000


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage.built(tmp_path_factory.mktemp("stage")) as stage:
        stage.prepared()
        stage.operator("account", "open", "ada")
        stage.deposit("ada", 50_000_000)
        yield stage


@pytest.fixture(scope="module")
def payee(stage: Stage) -> str:
    return stage.node.payer_address()


@pytest.fixture(scope="module")
def psbt(stage: Stage, payee: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the node builds from the descriptor alone, as Core or Sparrow would."""
    descriptor = stage.operator("quorum", "descriptor")["change"]
    (change,) = stage.node.rpc("deriveaddresses", descriptor, [3, 3])
    options = {"fee_rate": 5, "changeAddress": change}
    paid = {payee: btc_text(AMOUNT_SATS)}
    funded = stage.node.rpc("walletcreatefundedpsbt", [], paid, 0, options, True, wallet="undercroft")
    path = tmp_path_factory.mktemp("psbt") / "payment.psbt"
    path.write_bytes(base64.b64decode(funded["psbt"]))
    return path


def looks(stage: Stage, name: str, answer: str) -> None:
    """How this owner answers a PSBT from now on."""
    stage.sites[name].owner.rules.insert(0, (r"^PSBT\n", answer))


def test_check_tells_the_operator_what_the_appliance_will_say(stage: Stage, psbt: Path, tmp_path: Path) -> None:
    quorum, policy = tmp_path / "quorum.cbor", tmp_path / "policy.toml"
    stage.operator("quorum", "export", str(quorum))
    policy.write_text(POLICY, encoding="utf-8")
    proved = run("check", "--quorum", quorum, psbt)
    assert (proved.code, proved.answer["verdict"]) == (0, "sign")
    judged = run("check", "--quorum", quorum, "--policy", policy, psbt)
    assert (judged.code, judged.answer["code"]) == (6, "uncleared-payee")
    assert AMOUNT_SATS in [one["amount_sats"] for one in judged.answer["outputs"] if one["kind"] == "payee"]


def test_an_owner_who_declines_signs_nothing(stage: Stage, psbt: Path) -> None:
    looks(stage, "bob", "decline")
    outcome = stage.operator.run("psbt", "sign", str(psbt), "--to", "bob", expect=(5,))
    assert json.loads(outcome.said.splitlines()[-1])["error"]["code"] == "appliance-refused"


def test_an_appliance_that_is_not_armed_refuses(stage: Stage, psbt: Path) -> None:
    outcome = stage.operator.run("psbt", "sign", str(psbt), "--to", "carol", expect=(4,))
    assert json.loads(outcome.said.splitlines()[-1])["error"]["code"] == "appliance-state"


def test_an_owner_sees_the_whole_psbt_and_its_signature_completes_it(
    stage: Stage, psbt: Path, payee: str, tmp_path: Path
) -> None:
    looks(stage, "alice", "approve")
    signed = tmp_path / "signed.psbt"
    answer = stage.operator("psbt", "sign", str(psbt), "--to", "alice", "--out", str(signed))
    shown = stage.sites["alice"].owner.transcript
    assert f"Code {answer['code']}" in shown
    assert payee in shown
    assert [len(each) for each in Psbt.parse(signed.read_bytes()).verified_signatures()] == [1]
    again = tmp_path / "again.psbt"
    stage.operator("psbt", "sign", str(psbt), "--to", "alice", "--out", str(again))
    assert again.read_bytes() == signed.read_bytes()
    # Bob declined the unsigned PSBT; the one with alice's signature is another, and he changes his mind.
    looks(stage, "bob", "approve")
    both = stage.operator("psbt", "sign", str(signed), "--to", "bob")["psbt"]
    final = stage.node.rpc("finalizepsbt", both)
    assert final["complete"]
    assert stage.node.rpc("testmempoolaccept", [final["hex"]])[0]["allowed"]
