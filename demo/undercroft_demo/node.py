"""A real bitcoind on regtest for the demo and the tests: own data directory, own port, cookie, no peers."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from undercroft_host.errors import BackendUnreachable
from undercroft_host.gateway.rpc import NodeRpc
from undercroft_host.money import btc_text
from undercroft_protocol.bitcoin.network import Network

PAYER: Final = "payer"
"""The wallet (with keys, inside the node) that plays the customers who pay in."""

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
_COINBASE_MATURITY: Final = 100
_PORT_TRIES: Final = 5
_REPOSITORY: Final = Path(__file__).resolve().parents[2]


class NodeMissingError(Exception):
    """No bitcoind was found; run `make setup`, or put Bitcoin Core or Knots (27 or newer) on the PATH."""

    def __init__(self) -> None:
        super().__init__((type(self).__doc__ or "").strip())


class NodeStartError(Exception):
    """The node did not start; the argument holds the last lines of what it wrote."""


def find_bitcoind() -> Path:
    """The program to run: UNDERCROFT_BITCOIND, `.tools/bin/bitcoind`, or the PATH's. Raises NodeMissingError."""
    own = _REPOSITORY / ".tools" / "bin" / "bitcoind"
    named = os.environ.get("UNDERCROFT_BITCOIND")
    if named:
        return Path(named)
    if own.exists():
        return own
    found = shutil.which("bitcoind")
    if found is None:
        raise NodeMissingError
    return Path(found)


@dataclass(slots=True)
class Node:
    """A running node. Amounts are sats, hashes and txids the hexadecimal text that people see."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes]
    client: NodeRpc = field(init=False)

    def __post_init__(self) -> None:
        self.client = NodeRpc(self.rpc_url, self.cookie_path)

    @classmethod
    @contextlib.contextmanager
    def started(cls, directory: Path) -> Iterator[Node]:
        """Run a node in `directory` (made if need be; a second start goes on where the first ended)."""
        node = cls.launch(directory)
        try:
            yield node
        finally:
            node.stop()

    @classmethod
    def launch(cls, directory: Path) -> Node:
        """Start a node that runs until `stop`; NodeMissingError, NodeStartError."""
        program = find_bitcoind()
        directory.mkdir(parents=True, exist_ok=True)
        for last_try in (False,) * (_PORT_TRIES - 1) + (True,):
            port = _free_port()
            node = cls(directory, port, _spawn(program, directory, port))
            try:
                node._wait_until_ready()
            except BaseException as error:
                node.stop()
                # Between finding a port free and the node taking it, another process may have taken it.
                if last_try or not isinstance(error, NodeStartError) or "Unable to bind" not in str(error):
                    raise
            else:
                return node
        raise NodeStartError("no free port")

    @property
    def rpc_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def cookie_path(self) -> Path:
        return self.directory / "regtest" / ".cookie"

    def rpc(self, method: str, *params: Any, wallet: str | None = None) -> Any:
        """One call; see NodeRpc.call."""
        return self.client.call(method, *params, wallet=wallet)

    def stop(self) -> None:
        """End this process, and only this one: asked by RPC, then terminated, then killed."""
        if self.process.poll() is None:
            with contextlib.suppress(BackendUnreachable):
                self.rpc("stop")
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    # --- the payer and the miner -----------------------------------------------------------------------------

    def fund_payer(self) -> None:
        """Make the payer's wallet and mine until it has mature coins (50 BTC each)."""
        if PAYER not in self.rpc("listwallets"):
            known = {entry["name"] for entry in self.rpc("listwalletdir")["wallets"]}
            self.rpc("loadwallet" if PAYER in known else "createwallet", PAYER)
        if self.rpc("getblockcount") <= _COINBASE_MATURITY:
            self.mine(_COINBASE_MATURITY + 10)

    def payer_address(self) -> str:
        """A fresh address of the payer's."""
        return str(self.rpc("getnewaddress", wallet=PAYER))

    def mine(self, count: int, address: str | None = None) -> list[str]:
        """Mine blocks, with all of the mempool in the first; to the payer, or to an address. Their hashes."""
        reward = address or self.payer_address()
        hashes = [str(block) for block in self.rpc("generatetoaddress", count, reward)]
        self.settle()
        return hashes

    def pay(self, address: str, amount_sats: int) -> str:
        """The payer pays; returns the txid. The transaction can be replaced (BIP 125)."""
        return self.pay_many({address: amount_sats})

    def pay_many(self, amounts_sats: Mapping[str, int]) -> str:
        """The payer pays several addresses in one transaction; returns the txid."""
        amounts = {address: btc_text(sats) for address, sats in amounts_sats.items()}
        options = {"replaceable": True, "fee_rate": 2}
        sent = self.rpc("send", amounts, None, "unset", None, options, wallet=PAYER)
        self.settle()
        return str(sent["txid"])

    def settle(self) -> None:
        """Return when every wallet in the node knows what the node knows."""
        self.rpc("syncwithvalidationinterfacequeue")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.client.check_chain(Network.REGTEST)
            except BackendUnreachable:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise NodeStartError(self._last_words()) from None
                time.sleep(0.05)
            else:
                return

    def _last_words(self) -> str:
        text = (self.directory / "output.txt").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-8:])


def _spawn(program: Path, directory: Path, port: int) -> subprocess.Popen[bytes]:
    arguments = [
        # Whoever kills the demo at once leaves no node behind: it stops in order when we are gone.
        *("setpriv", "--pdeathsig", "TERM", "--"),
        str(program),
        "-regtest",
        f"-datadir={directory}",
        f"-rpcport={port}",
        "-rpcbind=127.0.0.1",
        "-rpcallowip=127.0.0.1",
        "-server",
        "-listen=0",
        "-connect=0",
        "-networkactive=0",
        "-fallbackfee=0.00002",
        "-txindex=0",
        "-prune=0",
        "-dbcache=16",
        "-par=1",
        "-rpcthreads=4",
        "-printtoconsole=0",
        "-shrinkdebugfile=1",
    ]
    # A stale cookie must not be taken for the new process's.
    (directory / "regtest" / ".cookie").unlink(missing_ok=True)
    # A group of its own: Ctrl-C on the terminal reaches the demo, which then ends the node in order.
    with (directory / "output.txt").open("wb") as output:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
