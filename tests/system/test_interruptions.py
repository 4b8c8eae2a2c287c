"""Promise 4: no payment is made twice and none is lost, at whatever instant the host or an appliance dies.

The real command line, node and appliances. A command is run with one function changed so that the process kills itself
(SIGKILL) when that function is called or about to return; then the operator runs the obvious next command.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from undercroft_demo.stage import READY, Stage
from undercroft_host.config import load_config
from undercroft_host.store import audit
from undercroft_host.store.engine import Store
from undercroft_host.treasury import ledger

pytestmark = pytest.mark.xdist_group("interruptions")

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

    def __call__(self, *arguments: str) -> Any:
        return self.stage.operator(*arguments)

    def error(self, exit_code: int, *arguments: str) -> str:
        """What a command that must end with this exit code says on stderr."""
        return self.stage.operator.run(*arguments, expect=(exit_code,)).said

    def dies(self, place: str, when: str, *arguments: str, call: int = 1) -> None:
        """Run a command that dies `before` or `after` that call of ``module:function``; the books must stay whole."""
        home = str(self.stage.operator.home)
        command = [sys.executable, "-c", DYING, place, when, str(call), "--home", home, "--json", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == -signal.SIGKILL, (place, when, done)
        self.check_books()

    def check_books(self) -> None:
        """The ledger adds up to zero and the audit chain holds."""
        store = Store.open(load_config(self.stage.operator.home).database_url)
        try:
            with store.read() as session:
                ledger.trial_balance(session)
                audit.verify(session)
        finally:
            store.close()

    def order(self, id: str, amount_sats: int) -> None:
        """A withdrawal of ada's to a fresh address of the payer's, cleared by risk."""
        self.payees[id] = (self.stage.node.payer_address(), amount_sats)
        self("withdrawal", "request", "--id", id, "--account", "ada", "--address", self.payees[id][0],
             "--amount-sats", str(amount_sats))  # fmt: skip
        self("risk", "run", "--once")

    def paid_sats(self, id: str) -> int:
        """What the chain shows as paid to a withdrawal's address."""
        address, _ = self.payees[id]
        return round(self.stage.node.rpc("getreceivedbyaddress", address, 1, wallet="payer") * 100_000_000)

    def states(self) -> dict[str, str]:
        return {one["id"]: one["state"] for one in self("withdrawal", "list")}

    def settle(self) -> None:
        """Blocks come, the host looks, and books and chain agree."""
        self.stage.node.mine(6)
        self.stage.sync()
        assert self("treasury", "reconcile", "--scan")["agree"]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    raise NotImplementedError
    yield
