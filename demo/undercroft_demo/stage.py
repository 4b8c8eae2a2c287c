"""The stage: a node, three sites with an appliance and an owner each, what joins them to the host, and an operator."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from .cable import Cable
from .device import Appliance, Connection, Device
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
LINKS: Final = (SERIAL, QR)
SAMPLE: Final = "camera-frame.png"
"""A picture of a camera, in the working folder, where codes are the link."""

APPLIANCE_END: Final = "a"
HOST_END: Final = "b"
"""Of a cable, as its recordings call them."""

PROCESSES: Final = "processes"
QEMU: Final = "qemu"
APPLIANCES: Final = (PROCESSES, QEMU)
"""What an appliance can be: processes of this computer, or the image that is shipped, in an emulator."""

READY: Final = r"--- Ready -"
"""What an appliance's screen shows first."""
START_SECONDS: Final = 600.0
_LOOK_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Site:
    """Where one owner works."""

    device: Appliance
    connection: Connection
    owner: ScriptedOwner

    @property
    def cable(self) -> Cable:
        """Its serial cable. Raises LookupError where codes take its place."""
        if not isinstance(self.connection, Cable):
            raise LookupError(self.device.name)  # noqa: TRY004 - what is missing is the cable
        return self.connection

    def wait_until_ready(self, *, since: int = 0) -> None:
        """Return when the screen says so. Raises RuntimeError when the appliance ends before, TimeoutError."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.owner.wait_for(READY, _LOOK_SECONDS, since=since)
            except TimeoutError:
                if not self.device.alive:
                    raise RuntimeError(f"the appliance of {self.device.name} ended, see {self.device.log}") from None
                if time.monotonic() > deadline:
                    raise
            else:
                return


@dataclass(slots=True)
class Stage:
    """Everything that the job needs, running; ``directory`` holds all that it writes."""

    directory: Path
    node: Node
    link: str = SERIAL
    made_of: str = "processes of this computer"
    """What the appliances are, in words."""
    start_seconds: float = 0.0
    """How long all appliances together took to be ready."""
    sites: dict[str, Site] = field(default_factory=dict)

    @property
    def operator(self) -> Operator:
        return Operator(self.directory / "host")

    @classmethod
    @contextlib.contextmanager
    def built(
        cls, directory: Path, link: str = SERIAL, appliance: str = PROCESSES, *, record: bool = False
    ) -> Iterator[Stage]:
        """A node with a funded payer and three appliances, switched on and empty; all ended on leaving.

        ``link``: what joins them to the host, SERIAL or QR. ``appliance``: one of `APPLIANCES`; the image has the
        serial line alone. ``record``: keep all that goes over a serial line (see `recorded`).
        """
        directory.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            node = stack.enter_context(Node.started(directory / "node"))
            node.fund_payer()
            started, made_of = _STARTERS[appliance]()
            stage = cls(directory, node, link, made_of)
            connections = stack.enter_context(_cameras(directory) if link == QR else _cables(directory, record=record))
            switched_on = time.monotonic()
            for name, site, region in PEOPLE:
                device = stack.enter_context(started(directory, name, connections[name]))
                stage.sites[name] = stack.enter_context(_site(device, site, region, connections[name]))
            for one in stage.sites.values():
                one.wait_until_ready()
            stage.start_seconds = time.monotonic() - switched_on
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

    def recorded(self, name: str, end: str) -> Path:
        """Where all that entered a cable at this end is, of a stage that records."""
        return _record(self.directory, name).with_suffix(f".{end}")

    def cut_power(self, name: str) -> None:
        """An appliance loses its power and is switched on again; returns when it is ready, and empty."""
        self.sites[name].device.pull_plug()
        self.switch_on(name)

    def switch_on(self, name: str) -> None:
        """Switch an appliance on that is off; returns when it is ready."""
        site = self.sites[name]
        before = site.owner.mark()
        site.device.power_on()
        site.wait_until_ready(since=before)

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
def _cables(directory: Path, *, record: bool) -> Iterator[Mapping[str, Connection]]:
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(
                Cable.started(directory, name, record=_record(directory, name) if record else None)
            )
            for name, _, _ in PEOPLE
        }


def _record(directory: Path, name: str) -> Path:
    return directory / f"{name}-line"


@contextlib.contextmanager
def _cameras(directory: Path) -> Iterator[Mapping[str, Connection]]:
    # Only who films needs numpy and OpenCV.
    from .optical_bench import optical_bench  # noqa: PLC0415

    with optical_bench(directory, [name for name, _, _ in PEOPLE]) as paths:
        yield paths


_Starter: TypeAlias = Callable[[Path, str, Connection], contextlib.AbstractContextManager[Appliance]]


def _processes() -> tuple[_Starter, str]:
    return lambda directory, name, line: Device.started(directory, name, cable=line), "processes of this computer"


def _emulated() -> tuple[_Starter, str]:
    # Only who emulates needs the packages that build an image.
    from .machine import Emulator, Machine  # noqa: PLC0415

    emulator = Emulator.ready()

    def started(directory: Path, name: str, line: Connection) -> Machine:
        if not isinstance(line, Cable):
            raise ValueError("an emulated appliance has a serial line alone")  # noqa: TRY004 - a choice that is none
        return Machine.started(directory, name, emulator=emulator, cable=line)

    return started, emulator.told


_STARTERS: Final = {PROCESSES: _processes, QEMU: _emulated}


@contextlib.contextmanager
def _site(device: Appliance, site: str, region: str, connection: Connection) -> Iterator[Site]:
    name = device.name
    owner = ScriptedOwner(
        device.master_fd,
        name=name,
        site=site,
        region=region,
        # No 16 bytes of it stand anywhere in an appliance but where they were typed: scans of memory look for them.
        passphrase=f"for tests: vexing quartz 9153 {name} jumbo flywheel",
        remote=device.terminal_is_remote,
    )
    try:
        yield Site(device, connection, owner)
    finally:
        owner.leave()
