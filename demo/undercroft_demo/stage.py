"""The stage: a node, three sites with an appliance and an owner each, what joins them to the host, and an operator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .cable import Cable
from .device import Connection, Device
from .node import Node
from .operator import Operator
from .owner import ScriptedOwner

POLICY: Final = """\
# What an appliance of this quorum signs without asking, asks its owner about, and never signs. Amounts in sats.
version = 1
name = "daily payouts"

# One transaction: payees and fee together.
hold_above_sats = 155_000_000
refuse_above_sats = 500_000_000

# The fee: all three caps must hold (parts per million of what is paid; sats per 1000 virtual bytes).
most_fee_sats = 200_000
most_fee_ppm = 20_000
most_feerate_sat_per_kvb = 100_000

most_inputs = 100
most_payees = 100
most_transactions = 10
payee_types = ["p2pkh", "p2sh", "p2tr", "p2wpkh", "p2wsh"]
change_gap = 200

activation_seconds = 28_800
idle_seconds = 14_400

# Sliding windows: what may leave in any hour, and in any day.
[[windows]]
seconds = 3600
hold_above_sats = 400_000_000
refuse_above_sats = 1_000_000_000

[[windows]]
seconds = 86_400
hold_above_sats = 2_000_000_000
refuse_above_sats = 5_000_000_000
"""


SERIAL: Final = "serial"
QR: Final = "qr"
SAMPLE: Final = "camera-frame.png"
"""A picture of a camera, in the working folder, where codes are the link."""

READY: Final = r"--- Ready -"
"""What an appliance's screen shows first."""
START_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Site:
    """Where one owner works."""

    device: Device
    connection: Connection
    owner: ScriptedOwner

    @property
    def cable(self) -> Cable:
        """Its serial cable. Raises LookupError where codes take its place."""
        if not isinstance(self.connection, Cable):
            raise LookupError(self.device.name)  # noqa: TRY004 - what is missing is the cable
        return self.connection


@dataclass(slots=True)
class Stage:
    """Everything that the job needs, running; ``directory`` holds all that it writes."""

    directory: Path
    node: Node
    link: str = SERIAL
    sites: dict[str, Site] = field(default_factory=dict)

    @property
    def operator(self) -> Operator:
        return Operator(self.directory / "host")

    @classmethod
    @contextlib.contextmanager
    def built(cls, directory: Path, link: str = SERIAL) -> Iterator[Stage]:
        """A node with a funded payer and three appliances, switched on and empty; all ended on leaving.

        ``link``: what joins them to the host, SERIAL or QR.
        """
        directory.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            node = stack.enter_context(Node.started(directory / "node"))
            node.fund_payer()
            stage = cls(directory, node, link)
            connections = stack.enter_context(_CONNECTIONS[link](directory))
            for name, site, region in PEOPLE:
                stage.sites[name] = stack.enter_context(_site(directory, name, site, region, connections[name]))
            for one in stage.sites.values():
                one.owner.wait_for(READY, START_SECONDS)
            yield stage

    # --- the steps that every story shares ---------------------------------------------------------------------

    def initialise_host(self) -> None:
        """Set up the host's home and tell it about the three appliances."""
        operator = self.operator
        operator(
            "init", "--network", "regtest", "--rpc-url", self.node.rpc_url, "--rpc-cookie", str(self.node.cookie_path)
        )
        for name, site in self.sites.items():
            operator("appliance", "add", name, "--link", site.connection.host_link)

    def declare_keys(self) -> None:
        """Each owner makes a key at the appliance and declares it."""
        for name in self.sites:
            self.operator("quorum", "declare", name)

    def form_quorum(self) -> Any:
        """The host forms the quorum; each owner compares the code with the one that the owner before saw."""
        formed = self.operator("quorum", "form")
        for name, site in self.sites.items():
            site.owner.expected_quorum_code = formed["code"]
            self.operator("quorum", "accept", name)
        return formed

    def approve_policy(self, text: str = POLICY, names: tuple[str, ...] = ("alice", "bob")) -> Any:
        """Propose a policy; the owners named read and approve it."""
        path = self.directory / "policy.toml"
        path.write_text(text, encoding="utf-8")
        proposed = self.operator("policy", "propose", str(path))
        for name in names:
            self.operator("policy", "approve", name)
        return proposed

    def activate(self, first: str = "alice", second: str = "bob") -> None:
        """Two owners open their envelopes, and each arms the other."""
        self.operator("activation", "open", first)
        self.operator("activation", "open", second)
        self.operator("activation", "grant", second, first)
        self.operator("activation", "grant", first, second)

    def lock_all(self) -> None:
        """The host asks all appliances to wipe their keys."""
        for name in self.sites:
            self.operator("appliance", "lock", name)

    def sync(self) -> None:
        """The host looks at the chain, judges and books."""
        self.operator("gateway", "sync")
        self.operator("risk", "run", "--once")
        self.operator("treasury", "run", "--once")

    def prepared(self) -> Stage:
        """Everything up to two armed appliances."""
        self.initialise_host()
        self.declare_keys()
        self.form_quorum()
        self.approve_policy()
        self.lock_all()
        self.activate()
        return self

    def deposit(self, account: str, amount_sats: int, *, confirmations: int = 6) -> str:
        """The payer pays a fresh address of this account, the host sees and credits it; returns the txid."""
        address = self.operator("address", "issue", account)["address"]
        txid = self.node.pay(address, amount_sats)
        self.node.mine(confirmations)
        self.sync()
        return txid


PEOPLE: Final = (
    ("alice", "Zurich vault", "europe"),
    ("bob", "Singapore vault", "asia"),
    ("carol", "Denver vault", "america"),
)
"""The owners of the demo, each at a site of a region of its own."""


@contextlib.contextmanager
def _cables(directory: Path) -> Iterator[Mapping[str, Connection]]:
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(Cable.started(directory, name)) for name, _, _ in PEOPLE}


@contextlib.contextmanager
def _cameras(directory: Path) -> Iterator[Mapping[str, Connection]]:
    # Only who films needs numpy and OpenCV.
    from .optical_bench import optical_bench  # noqa: PLC0415

    with optical_bench(directory, [name for name, _, _ in PEOPLE]) as paths:
        yield paths


_CONNECTIONS: Final = {SERIAL: _cables, QR: _cameras}
LINKS: Final = tuple(_CONNECTIONS)


@contextlib.contextmanager
def _site(directory: Path, name: str, site: str, region: str, connection: Connection) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        device = stack.enter_context(Device.started(directory, name, cable=connection))
        owner = ScriptedOwner(
            device.master_fd, name=name, site=site, region=region, passphrase=f"test passphrase of {name}, never real"
        )
        stack.callback(owner.leave)
        yield Site(device, connection, owner)
