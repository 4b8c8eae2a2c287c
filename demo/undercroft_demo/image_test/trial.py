"""The chapters of `make image-test`. Every figure that is printed was measured, every word read from an answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from ..machine import MEMORY_MIB, Machine
from ..ram_dump import Expect, Findings, dump, scan_file
from ..stage import PEOPLE, Stage
from ..story import CUSTOMERS, Story, StoryError
from ..telling import Telling
from . import abandoned, power_cut
from .derailed import derail_kernel, derail_program
from .memory import secrets_of
from .probe_table import faults, findings, rows
from .refused import line_was_opened, refusals

FUNDS_SATS: Final = 90_000_000
_END_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.5
_WHOLE: Final = "undercroft: ready"
"""The last line of a journal."""


class Trial:
    """Tells, measures and checks; raises StoryError as soon as something is not as it must be."""

    def __init__(self, stage: Stage, telling: Telling) -> None:
        self.stage = stage
        self.tell = telling
        self.operator = stage.operator
        self.story = Story(stage, telling)
        self.seconds: dict[str, float] = {}
        self.seen: dict[str, Any] = {}
        self._dump = stage.directory / "ram.elf"

    def run(self) -> dict[str, Any]:
        """All chapters; returns what was measured and counted."""
        with ThreadPoolExecutor(1) as pool:
            # These start beside the payment, in which one appliance at a time is at work.
            refusing = pool.submit(refusals, self.stage.directory / "refused")
            for name, chapter in {
                "probes": self.the_probes,
                "payment": self.a_payment,
                "power_cut": self.a_power_cut,
                "memory": self.the_memory,
                "refused": lambda: self.the_refused(refusing.result()),
                "ends": self.the_ends,
            }.items():
                began = time.monotonic()
                chapter()
                self.seconds[name] = round(time.monotonic() - began, 1)
        return {
            "appliances": len(self.stage.sites),
            "start_seconds": round(self.stage.start_seconds, 1),
            "seconds": self.seconds,
            **self.seen,
        }

    def machine(self, name: str) -> Machine:
        """The emulator of an appliance. Raises TypeError where it is none."""
        device = self.stage.sites[name].device
        if not isinstance(device, Machine):
            raise TypeError(f"{name} is not emulated")
        return device

    # --- a, b --------------------------------------------------------------------------------------------------

    def the_probes(self) -> None:
        self.tell.chapter(f"{len(PEOPLE)} appliances of the file that ships, and what each found out about its kernel")
        self.tell.say(f"{self.stage.made_of}; no network card, no disk, no screen")
        self.tell.shown(f"all ready after {self.stage.start_seconds:.1f} s")
        resident = {name: self.machine(name).resident_mib for name in self.stage.sites}
        for name, mib in resident.items():
            self.tell.say(f"{name}: {MEMORY_MIB} MiB of RAM; the emulator has {mib} MiB of this computer's")
        self.seen["emulator_mib"] = resident
        tables = {name: findings(self._journal(name)) for name in self.stage.sites}
        for name, table in tables.items():
            if wrong := faults(table):
                raise StoryError(f"{name}: {'; '.join(wrong)}")
        table = tables["alice"]
        self._check(set(tables.values()) == {table}, "they found out different things")
        for row in rows(table):
            self.tell.say(f"   {row}")
        self.tell.shown(f"{len(table)} findings, the same on all three, each as expected")
        self.seen["probes"] = len(table)

    # --- c -----------------------------------------------------------------------------------------------------

    def a_payment(self) -> None:
        story = self.story
        story.the_stage()
        story.ceremony()
        story.activation()
        story.deposits()
        number = story.withdrawals()
        self.seen["payment"] = self._paid(number)

    # --- d -----------------------------------------------------------------------------------------------------

    def a_power_cut(self) -> None:
        self.tell.chapter("The power is cut in the middle of a batch")
        for account in CUSTOMERS:
            self.stage.deposit(account, FUNDS_SATS)
        amounts = power_cut.orders(self.stage, CUSTOMERS)
        payment = self.operator("payment", "build", "--feerate", "5")
        number = str(payment["id"])
        self.tell.say(f"transaction {payment['txid']}: {len(payment['inputs'])} inputs, {len(amounts)} payees")
        batch = power_cut.send_to_first(self.stage, "alice", number)
        self.tell.say(f"alice got {batch.request_bytes} bytes, and answered {batch.signing_seconds:.1f} s later")
        seconds = power_cut.cut_while_it_signs(self.stage, "bob", number, batch)
        self.tell.shown(
            f"bob confirmed all of it; {seconds:.1f} s later, no byte of an answer out, its emulator was killed; "
            "the host says: silent"
        )
        self.seen["cut"] = {"after_seconds": round(seconds, 1), "other_seconds": round(batch.signing_seconds, 1)}
        self.stage.switch_on("bob")
        state = self.operator("appliance", "show", "bob")["state"]
        self._check(state == "empty", f"bob is {state}")
        self.tell.shown("switched on again, bob is empty: it knows nothing of a batch")
        self.operator("activation", "open", "bob")
        self.operator("activation", "grant", "alice", "bob")
        self.operator("payment", "send", number, "--to", "bob")
        shown = power_cut.check_paid_once(self.stage, number, amounts)
        self._check(shown["txid"] == payment["txid"], "another transaction was made")
        self.tell.shown(f"activated anew, bob signed the same batch; {len(amounts)} payees have their money, each once")
        self.seen["cut_payment"] = self._paid(int(number))

    # --- e -----------------------------------------------------------------------------------------------------

    def the_memory(self) -> None:
        self.tell.chapter(f"All {MEMORY_MIB} MiB of RAM, and the registers, seen from outside")
        self.seen["dumps"] = []
        self.operator("activation", "open", "carol")
        self.operator("activation", "grant", "alice", "carol")
        self._scan("carol", "armed", Expect.KEPT)
        self._empties("carol", lambda: self.operator("appliance", "lock", "carol"))
        self._scan("carol", "locked", Expect.NOTHING)
        self._scan("alice", "armed, after two batches", Expect.KEPT)
        self._abandoned("carol")
        # Attack: whoever presses a reset button looks at what memory still holds.
        alice = self.machine("alice")
        alice.control.ask("set-action", reboot="reset")
        # Carol's is needed once more, and two start in the time of one.
        carol = self.stage.sites["carol"]
        before = carol.owner.mark()
        carol.device.power_on()
        self._empties("alice", lambda: alice.control.ask("system_reset"))
        carol.wait_until_ready(since=before)
        alice.control.ask("set-action", reboot="shutdown")
        self._scan("alice", "reset while it was armed", Expect.NOTHING)
        bob = self.machine("bob")
        bob.keep_when_off()
        bob.press_ctrl_c()
        bob.wait_until_off()
        self._scan("bob", "switched off by its owner while it was armed", Expect.NOTHING)
        bob.pull_plug()

    def _abandoned(self, name: str) -> None:
        """Half a passphrase is typed at an empty appliance, twice; it is off afterwards."""
        # Attack: what an owner typed and never sent is read out of the terminal's buffers, after a lock or the end.
        machine = self.machine(name)
        with abandoned.half_typed(self.stage, name, machine, self._dump) as copies:
            self.tell.say(f"{name}: half a passphrase is typed, and no Enter; it is found in RAM, copies: {copies}")
        abandoned.locked(self.stage, name)
        self._gone(name, "half a passphrase typed, then locked by the host")
        with abandoned.half_typed(self.stage, name, machine, self._dump):
            machine.keep_when_off()
            machine.press_ctrl_c()
            machine.wait_until_off()
        self._gone(name, "half a passphrase typed, then switched off by its owner")
        machine.pull_plug()

    def _gone(self, name: str, when: str) -> None:
        found = abandoned.search(self.machine(name), self._dump)
        self._report(name, when, "the half, and its first characters", 1, found)

    def _scan(self, name: str, when: str, expect: Expect) -> None:
        secrets = secrets_of(self.stage, name)
        dump(self.machine(name), self._dump)
        found = scan_file(self._dump, secrets, expect=expect)
        self._report(name, when, f"{len(secrets)} secrets in all their forms", len(secrets), found)

    def _report(self, name: str, when: str, what: str, secrets: int, found: Findings) -> None:
        if found.wrong:
            raise StoryError(f"{name}, {when}, see {self._dump}: {'; '.join(found.wrong)}")
        self._dump.unlink()
        where = f"{len(found.copies)} copies, the kept keys in their guarded slots" if found.copies else "nothing"
        self.tell.shown(f"{name}, {when}: {what}: {where}")
        self.seen["dumps"].append(
            {"appliance": name, "when": when, "secrets": secrets, "copies": len(found.copies),
             "bytes": found.read_bytes}
        )  # fmt: skip

    def _empties(self, name: str, act: Callable[[], object]) -> None:
        """Do something after which the appliance shows that it is ready, and empty."""
        site = self.stage.sites[name]
        before = site.owner.mark()
        act()
        site.wait_until_ready(since=before)

    # --- f -----------------------------------------------------------------------------------------------------

    def the_refused(self, said: Mapping[str, str]) -> None:
        self.tell.chapter("Where the image does not start: mainnet in an emulator, a board that it is not made for")
        # The same register of a machine whose line is in use: it can tell.
        self._check(line_was_opened(self.machine("alice").control), "the line of alice seems never to have been opened")
        for line in said.values():
            self.tell.shown(f"on its screen: {line!r}; its line was never opened, and it is off")
        self.seen["refused"] = sorted(said)

    # --- g -----------------------------------------------------------------------------------------------------

    def the_ends(self) -> None:
        self.tell.chapter("Whatever dies, its end is power-off")
        carol, alice = self.machine("carol"), self.machine("alice")
        # Attack: a fault that only one process falls for leaves the others, and what they hold, to the one who made it.
        with ThreadPoolExecutor(1) as pool:
            # Asked, the appliance has something to work at.
            asking = pool.submit(self.operator.run, "appliance", "show", "carol", expect=range(256))
            place = derail_program(carol)
            carol.wait_for_end(_END_SECONDS)
            asking.result()
        self.tell.shown(f"carol: a program goes wrong at {place:x}: the machine is off")
        place = derail_kernel(alice)
        alice.wait_for_end(_END_SECONDS)
        self.tell.shown(f"alice: the kernel goes wrong at {place:x}: the machine is off")
        self.seen["ends"] = ["Ctrl-C", "program", "kernel"]

    def _journal(self, name: str) -> str:
        """What an appliance wrote down until it was ready. Raises StoryError."""
        deadline = time.monotonic() + _END_SECONDS
        while _WHOLE not in (text := self.machine(name).journal.read_text("ascii")):
            self._check(time.monotonic() < deadline, f"{name} does not end its journal:\n{text}")
            time.sleep(_LOOK_SECONDS)
        return text

    # --- helpers -----------------------------------------------------------------------------------------------

    def _check(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise StoryError(otherwise)

    def _paid(self, number: int) -> dict[str, Any]:
        shown = self.operator("payment", "show", str(number))
        chain = self.stage.node.rpc("gettransaction", shown["txid"], True, wallet="undercroft")
        return {
            "txid": shown["txid"], "inputs": len(shown["inputs"]), "outputs": len(shown["outputs"]),
            "confirmations": chain["confirmations"],
        }  # fmt: skip
