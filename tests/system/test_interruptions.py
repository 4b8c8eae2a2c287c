"""Promise 4: no payment is made twice and none is lost, at whatever instant the host or an appliance dies.

The real command line, node and appliances. A command is run with one function changed so that the process kills itself
(SIGKILL) when that function is called or about to return; then the operator runs the obvious next command.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from sqlalchemy import select

from cli_support import Line
from undercroft_demo.stage import READY, Stage
from undercroft_host.clock import system_clock
from undercroft_host.config import load_config
from undercroft_host.custody.quorum import active_quorum
from undercroft_host.desk.batches import payments_of
from undercroft_host.desk.talk import ApplianceSession
from undercroft_host.desk.verdicts import verify_reply
from undercroft_host.gateway.rpc import amount_to_sats
from undercroft_host.keys import load_key
from undercroft_host.store import audit
from undercroft_host.store.tables import Batch, BatchPayment, BatchSend, Signature
from undercroft_host.treasury import ledger
from undercroft_protocol.messages import BatchRequest

DYING: Final = """
import functools, importlib, os, signal, sys
from undercroft_host.cli.main import main

_, place, when, count, *arguments = sys.argv
module, path = place.split(":")
*owners, name = path.split(".")
owner = functools.reduce(getattr, owners, importlib.import_module(module))
original, calls = getattr(owner, name), 0

@functools.wraps(original)
def dying(*given, **named):
    global calls
    calls += 1
    if calls == int(count) and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = original(*given, **named)
    if calls == int(count):
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(owner, name, dying)
sys.argv = ["undercroft", *arguments]
main()
"""

HOST: Final = "undercroft_host."
ANSWERED: Final = f"{HOST}cli.app:App.put"
DELIVER: Final = f"{HOST}desk.talk:ApplianceSession.deliver"
LINE_SEND: Final = "undercroft_protocol.serial.link:SerialLink.send"


@dataclass
class Host:
    """The operator at a stage, and a way to have a command die in the middle."""

    stage: Stage
    payees: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def line(self) -> Line:
        return Line(self.stage.operator.home)

    def __call__(self, *arguments: str) -> Any:
        """A command that must succeed; what it says."""
        return self.line.json(*arguments)

    def error(self, exit_code: int, *arguments: str) -> dict[str, str]:
        """The error of a command that must end with this exit code."""
        return self.line.error(*arguments, code=exit_code)

    def dies(self, place: str, when: str, *arguments: str, call: int = 1) -> None:
        """Run a command that dies `before` or `after` that call of ``module:function``; the books must stay whole."""
        home = str(self.stage.operator.home)
        command = [sys.executable, "-c", DYING, place, when, str(call), "--home", home, "--json", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == -signal.SIGKILL, (place, when, done)
        self.check_books()

    def twice(self, *arguments: str) -> list[int]:
        """The exit codes of one command run by two processes at the same time, in order."""
        home = str(self.stage.operator.home)
        command = [sys.executable, "-m", "undercroft_host.cli.main", "--home", home, "--json", *arguments]
        both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
        said = [process.communicate(timeout=120)[1] for process in both]
        assert b"Traceback" not in b"".join(said), said
        self.check_books()
        return sorted(process.returncode for process in both)

    def check_books(self) -> None:
        """The ledger adds up to zero and the audit chain holds."""
        with contextlib.closing(self.line.store()) as store, store.read() as session:
            ledger.trial_balance(session)
            audit.verify(session)

    def order(self, id: str, amount_sats: int) -> None:
        """A withdrawal of ada's to a fresh address of the payer's, cleared by risk."""
        self.payees[id] = (self.stage.node.payer_address(), amount_sats)
        self("withdrawal", "request", "--id", id, "--account", "ada", "--address", self.payees[id][0],
             "--amount-sats", str(amount_sats))  # fmt: skip
        self("risk", "run", "--once")

    def paid_sats(self, id: str) -> int:
        """What the chain shows as paid to a withdrawal's address."""
        address, _ = self.payees[id]
        return amount_to_sats(self.stage.node.rpc("getreceivedbyaddress", address, 1, wallet="payer"))

    def states(self) -> dict[str, str]:
        return {one["id"]: one["state"] for one in self("withdrawal", "list")}

    def settle(self) -> None:
        """Blocks come, the host looks, and books and chain agree."""
        self.stage.node.mine(6)
        self("gateway", "sync")
        self("risk", "run", "--once")
        self("treasury", "run", "--once")
        assert self("treasury", "reconcile", "--scan")["agree"]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with Stage.built(tmp_path_factory.mktemp("stage")) as stage:
        stage.prepared()
        yield Host(stage)


def test_deposits_are_credited_once_whenever_the_treasury_dies(host: Host) -> None:
    host("account", "open", "ada")
    amounts = {host("address", "issue", "ada")["address"]: sats for sats in (30_000_000, 20_000_000, 190_000_000)}
    host.stage.node.pay_many(amounts)
    host.stage.node.mine(6)
    host.dies(f"{HOST}gateway.follower:Sightings.block", "after", "gateway", "sync", call=2)
    host("gateway", "sync")
    host.dies(f"{HOST}risk.deposits:_decide", "after", "risk", "run", "--once", call=2)
    host("risk", "run", "--once")
    host.dies(f"{HOST}treasury.deposits:_post", "after", "treasury", "run", "--once", call=2)
    assert host("account", "list")[0]["balance_sats"] == 0
    host.dies(f"{HOST}cli.nouns.treasury:settle_payments", "before", "treasury", "run", "--once")
    assert host("treasury", "run", "--once")["credited"] == []
    assert host("account", "list")[0]["balance_sats"] == 240_000_000
    assert host("treasury", "reconcile")["agree"]


def test_a_payment_is_made_exactly_once_whenever_the_host_dies(host: Host) -> None:
    host.order("w-1", 1_000_000)
    build = ("payment", "build", "--feerate", "5")
    host.dies(f"{HOST}vault.payments:_note", "after", *build)
    assert host("payment", "list") == []
    host.dies(ANSWERED, "before", *build)
    assert host.error(3, *build)["code"] == "nothing-to-pay"
    number = str(host("payment", "list")[0]["id"])

    to_alice = ("payment", "send", number, "--to", "alice")
    host.dies(f"{HOST}desk.talk:ApplianceSession.prepare", "after", *to_alice, call=2)
    host.dies(DELIVER, "before", *to_alice)
    host.dies(LINE_SEND, "after", *to_alice, call=2)
    host.dies(f"{HOST}desk.send:verify_reply", "before", *to_alice)
    # The appliance has signed; no verdict and no signature is kept yet, and so nothing can be taken back.
    assert host.error(4, "payment", "cancel", number)["code"] == "payment-signed"
    assert host(*to_alice)["payments"][0]["state"] == "signing"

    to_bob = ("payment", "send", number, "--to", "bob")
    host.dies(f"{HOST}desk.send:finalise_payment", "after", *to_bob)
    assert host("payment", "show", number)["signed_by"] == ["alice"]
    host.dies(f"{HOST}cli.sending:fetch_log", "before", *to_bob)
    assert host("payment", "show", number)["state"] == "signed"
    assert host.error(4, *to_bob)["code"] == "payment-state"

    send_out = ("payment", "broadcast", number)
    host.dies(f"{HOST}gateway.broadcast:_announce", "before", *send_out)
    assert host.stage.node.rpc("getrawmempool") == []
    host.dies(f"{HOST}gateway.broadcast:_announce", "after", *send_out)
    assert len(host.stage.node.rpc("getrawmempool")) == 1
    host.dies(f"{HOST}gateway.broadcast:_note", "after", *send_out)
    assert host("gateway", "sync")["broadcast_again"] == [int(number)]
    assert host.states() == {"w-1": "paying"}

    host.stage.node.mine(6)
    host("gateway", "sync")
    host.dies(f"{HOST}treasury.settlement:_settle", "after", "treasury", "run", "--once")
    assert host.states() == {"w-1": "paying"}
    host.dies(ANSWERED, "before", "treasury", "run", "--once")
    assert host.states() == {"w-1": "settled"}
    host.settle()
    assert host.paid_sats("w-1") == 1_000_000
    assert [one["state"] for one in host("payment", "list")] == ["settled"]


def test_an_appliance_that_loses_its_power_in_a_batch_signs_after_its_next_activation(host: Host) -> None:
    host.order("w-2", 2_000_000)
    number = str(host("payment", "build", "--feerate", "5")["id"])
    host("payment", "send", number, "--to", "alice")
    host.dies(LINE_SEND, "after", "payment", "send", number, "--to", "bob", call=2)
    bob = host.stage.sites["bob"]
    since = bob.owner.mark()
    bob.device.pull_plug()
    assert host.error(7, "payment", "send", number, "--to", "bob")["code"] == "appliance-silent"
    bob.device.power_on()
    bob.owner.wait_for(READY, 60, since=since)
    assert "activation open bob" in host.error(4, "payment", "send", number, "--to", "bob")["hint"]
    host("activation", "open", "bob")
    host("activation", "grant", "alice", "bob")
    assert host("payment", "send", number, "--to", "bob")["payments"][0]["state"] == "signed"
    host("payment", "broadcast", number)
    host.settle()
    assert host.paid_sats("w-2") == 2_000_000


def test_two_operators_who_do_the_same_at_once_pay_once(host: Host) -> None:
    host.order("w-4", 3_000_000)
    assert host.twice("payment", "build", "--feerate", "5") == [0, 3]
    number = str(host("payment", "list")[-1]["id"])
    for name in ("alice", "bob"):
        # One waits for nobody: the line is the other's.
        assert set(host.twice("payment", "send", number, "--to", name)) <= {0, 4, 7}
    assert host("payment", "show", number)["state"] == "signed"
    assert host.twice("payment", "broadcast", number) == [0, 0]
    host.stage.node.mine(6)
    assert host.twice("gateway", "sync") == [0, 0]
    assert host.twice("treasury", "run", "--once") == [0, 0]
    assert host("treasury", "reconcile")["agree"]
    assert host.states()["w-4"] == "settled"
    assert host.paid_sats("w-4") == 3_000_000


def test_attack_a_held_payment_approved_after_it_was_cancelled_pays_once_though_its_bytes_are_replayed(
    host: Host,
) -> None:
    host.order("w-3", 160_000_000)
    first = host("payment", "build", "--feerate", "5")
    held = ("payment", "send", str(first["id"]), "--to", "alice", "--to", "bob")
    assert host.error(6, *held)["code"] == "payment-held"
    host("payment", "cancel", str(first["id"]))
    assert host.error(4, "withdrawal", "cancel", "w-3")["code"] == "earlier-payment"
    second = host("payment", "build", "--feerate", "7")
    assert {one["coin"] for one in first["inputs"]} & {one["coin"] for one in second["inputs"]}
    for name in ("alice", "bob"):
        since = host.stage.sites[name].owner.mark()
        host.stage.sites[name].owner.approve_held()
        host.stage.sites[name].owner.wait_for("approved by the owner", 30, since=since)
    replay(host, first["id"], "alice", "bob")
    finished = host.stage.node.rpc("finalizepsbt", host("payment", "psbt", str(first["id"]))["psbt"])
    host.stage.node.rpc("sendrawtransaction", finished["hex"])
    host.stage.node.settle()
    # The network has what we took for cancelled: an alarm; the chain has the last word.
    assert "not ours" in host.line.run("gateway", "sync", code=8).stderr
    host.settle()
    assert host.states()["w-3"] == "settled"
    assert host.paid_sats("w-3") == 160_000_000
    assert [one["state"] for one in host("payment", "list")][-2:] == ["settled", "cancelled"]


def replay(host: Host, payment: int, *names: str) -> None:
    """What a tap on the line can do: the recorded bytes again, and the signatures that now come back."""
    config = load_config(host.stage.operator.home)
    signer = load_key(config.vault_key, config.vault_public_key)
    with contextlib.closing(host.line.store()) as store:
        for name in names:
            with store.read() as session:
                quorum = active_quorum(session)
                sends = select(BatchSend).join(BatchPayment, BatchPayment.batch == BatchSend.batch)
                record = session.scalars(
                    sends.where(BatchPayment.payment == payment, BatchSend.appliance == name)
                ).one()
            with ApplianceSession(store, "tap", name, signer, system_clock, quorum_id=quorum.id) as talk:
                reply, _ = talk.deliver(record.request, timeout=30, quorum_id=quorum.id)
                assert talk.identity is not None
                with store.begin("tap") as session:
                    batch = BatchRequest.from_bytes(session.get_one(Batch, record.batch).body)
                    payments = payments_of(session, record.batch)
                    _, found = verify_reply(session, reply, batch, payments, quorum, identity=talk.identity)
                    session.add_all(
                        Signature(
                            payment=one.payment,
                            position=one.position,
                            public_key=one.public_key,
                            identity=talk.identity,
                            der=one.der,
                        )
                        for one in found
                    )
