"""`make memscan`: no secret of an appliance is found in any process's memory, but in the keeper's guarded pages.

A real appliance (supervisor, keeper, panel, port) goes from a new key to a lock, and all memory of all its processes
is scanned at each stage for all its secrets in every form. Then the same scan looks at a signer that is made of the
usual Python objects, and must find them: a scan that cannot fail proves nothing. Needs root.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from undercroft_appliance.devtools.key_secrets import KeySecrets
from undercroft_appliance.devtools.memory_search import Copy, Found, Search
from undercroft_appliance.devtools.naive_run import scans_of_naive_signer
from undercroft_appliance.devtools.process_memory import Memory, ProcessMemory, Snapshot
from undercroft_appliance.devtools.scan_table import HEAD, named, row
from undercroft_appliance.devtools.secret_forms import Secret, words_missing

from .lone import INPUTS_EACH, LoneAppliance
from .old_kernel import without_memfd_secret
from .owner import Shown
from .played_keys import NETWORK

PASSPHRASE: Final = "Vexing quartz 9153, jumbo flywheel"  # noqa: S105 - obviously a test's
"""No part of it occurs elsewhere in a Python process."""
STAGES: Final = ("mix", "create", "bind", "lock", "unlock", "arm", "sign", "lock")
_LOCKED: Final = ("create", "lock")
"""Stages at which no process holds any secret: a new key is sealed, and its keeper gone."""
_WATCHED: Final = 50
"""Every so many inputs one is looked for in every form; the keys and nonces of the others raw and reversed."""


@dataclass(frozen=True, slots=True)
class StageScan:
    """What was found at one stage in these processes; `memory` is the kind of the keeper's guarded pages."""

    stage: str
    pids: tuple[int, ...]
    keeper: int
    memory: str
    found: Found

    @property
    def wrong(self) -> tuple[Copy, ...]:
        """Copies outside of the keeper's guarded pages, and any at all where nothing is open."""
        return tuple(
            copy
            for copy in self.found.copies
            if not copy.region.guarded or copy.pid != self.keeper or self.stage in _LOCKED
        )


def scans_of_appliance(appliance: LoneAppliance, *, inputs: int = 1000) -> Iterator[StageScan]:
    """Drives an appliance through `STAGES`, signing so many inputs, and scans all its processes at each.

    Its owner types `PASSPHRASE`. Raises ConfigurationError if this user may not look into the processes.
    """
    scanner = _Scanner(appliance)
    scanner.look_when_the_key_is_mixed()
    appliance.create()
    yield scanner.scan("mix", scanner.mixed)
    yield scanner.scan("create")
    appliance.bind()
    yield scanner.scan("bind")
    appliance.lock()
    yield scanner.scan("lock")
    appliance.unlock()
    yield scanner.scan("unlock")
    appliance.arm()
    yield scanner.scan("arm")
    scanner.sign(inputs)
    yield scanner.scan("sign")
    appliance.lock()
    yield scanner.scan("lock")


class _Scanner:
    """Scans one appliance for what is known of its secrets by then."""

    def __init__(self, appliance: LoneAppliance) -> None:
        self.mixed: tuple[Snapshot, ...] = ()
        self._appliance = appliance
        self._inputs: tuple[Secret, ...] = ()
        self._search = Search(())
        self._searched = (0, 0)
        self._keeper = 0

    def look_when_the_key_is_mixed(self) -> None:
        """While the owner is asked whether to use a new key, nobody can know it yet: memory is kept as it is then."""

        def asked(_shown: Shown) -> str:
            self._keeper = self._appliance.device.pid_of("keeper")
            snapshots = []
            for pid in self._appliance.device.pids():
                with ProcessMemory(pid) as memory:
                    snapshots.append(memory.snapshot())
            self.mixed = tuple(snapshots)
            return "use"

        self._appliance.owner.rules.insert(0, (r"^Key\n", asked))

    def sign(self, inputs: int) -> None:
        """Sign, and learn the keys and nonces."""
        signed = self._appliance.sign(-(-inputs // INPUTS_EACH))
        behind = KeySecrets(self._appliance.envelopes[-1], PASSPHRASE, NETWORK)
        self._inputs = tuple(
            secret for number, one in enumerate(signed) for secret in behind.of_input(one, brief=number % _WATCHED != 0)
        )

    def scan(self, stage: str, snapshots: Iterable[Snapshot] = ()) -> StageScan:
        """Of the processes as they are now, or as they were."""
        device, kind = self._appliance.device, self._appliance.host.meet().memory
        memories: tuple[Memory, ...] = tuple(snapshots)
        if not memories:
            memories = tuple(ProcessMemory(pid) for pid in device.pids())
            self._keeper = device.pid_of("keeper")
        pids = tuple(memory.pid for memory in memories)
        return StageScan(stage, pids, self._keeper, kind, self._known().memories(memories))

    def _known(self) -> Search:
        envelopes = self._appliance.envelopes
        known = (len(envelopes), len(self._inputs))
        if known != self._searched:
            behind = KeySecrets(envelopes[-1], PASSPHRASE, NETWORK)
            dice = [Secret.of_text("dice", rolls) for rolls in self._appliance.owner.rolls]
            self._search = Search((*behind.everything(envelopes), *dice, *self._inputs))
            self._searched = known
        return self._search


def main() -> int:
    """Exit code 0: nothing was found where nothing may be, and the naive signer was found; 1: else; 2: not root."""
    parser = argparse.ArgumentParser(prog="make memscan", description="No secret in memory but in guarded pages.")
    parser.add_argument("--inputs", type=int, default=1000, metavar="N", help="inputs to sign (default: 1000)")
    options = parser.parse_args()
    if os.getuid() != 0:
        print("memscan: a keeper is not dumpable: it takes root (CAP_SYS_PTRACE) to look into it", file=sys.stderr)
        return 2
    if missing := words_missing():
        print(f"Not looked for: {missing}")
    clean = _show_appliance("An appliance on this kernel", options.inputs, _as_it_is)
    clean &= _show_appliance("An appliance on a kernel without memfd_secret", options.inputs, without_memfd_secret)
    seen = _show_naive(options.inputs)
    print()
    if clean:
        print("The appliance: nothing outside its keeper's guarded pages, and nothing anywhere while it is locked.")
    else:
        print("The appliance LEAVES COPIES of its secrets.")
    if seen:
        print("The naive signer: found at every stage, also after it dropped its secrets.")
    else:
        print("The naive signer is NOT FOUND: this scan proves nothing.")
    return 0 if clean and seen else 1


def _as_it_is(run: Callable[[], bool]) -> bool:
    return run()


def _show_appliance(title: str, inputs: int, on_kernel: Callable[[Callable[[], bool]], bool]) -> bool:
    def run() -> bool:
        clean, heading = True, False
        with (
            tempfile.TemporaryDirectory() as directory,
            LoneAppliance.started(Path(directory), PASSPHRASE) as appliance,
        ):
            for one in scans_of_appliance(appliance, inputs=inputs):
                if not heading:
                    print(f"\n{title}: guarded pages are {one.memory}\n{HEAD}")
                    heading = True
                print(row(one.stage, len(one.pids), one.found), flush=True)
                for line in named(one.wrong):
                    print(line)
                clean &= not one.wrong
        return clean

    return on_kernel(run)


def _show_naive(inputs: int) -> bool:
    print(f"\nA naive signer: Python objects, coincurve, PyNaCl\n{HEAD}")
    seen = True
    for stage, found in scans_of_naive_signer(inputs):
        print(row(stage, 1, found), flush=True)
        seen &= bool(found.outside)
    return seen


if __name__ == "__main__":
    sys.exit(main())
