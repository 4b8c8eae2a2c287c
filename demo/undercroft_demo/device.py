"""One appliance on the stage: its processes, its terminal, and the switch to turn it off."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

_PATIENCE_SECONDS: Final = 15.0
_GROUP_FIELD: Final = 2
"""Of what follows the name in /proc/PID/stat: state, parent, group."""


class Connection(Protocol):
    """What joins an appliance to the host."""

    @property
    def appliance_options(self) -> tuple[str, ...]:
        """Of `undercroft-appliance run`."""

    @property
    def host_link(self) -> str:
        """Of `undercroft appliance add --link`."""

    @property
    def told(self) -> str:
        """In words."""


class Appliance(Protocol):
    """An appliance on the end of a cable, whatever runs it. `log` is what it says, `told` what it is, in words.

    `master_fd` is its owner's side of the terminal, which outlives a power cut; `terminal_is_remote`: there is a line
    between, so that only what comes over it can be seen.
    """

    name: str
    log: Path
    master_fd: int

    @property
    def terminal_is_remote(self) -> bool: ...

    @property
    def told(self) -> str: ...

    @property
    def alive(self) -> bool: ...

    def power_on(self) -> None:
        """Start it; it wakes empty."""

    def power_off(self) -> None:
        """Switch it off as its owner does: it wipes its keys and ends."""

    def pull_plug(self) -> None:
        """End it at once, as a power cut does."""

    def pids(self) -> list[int]:
        """The processes on this computer that it is."""


class Device:
    """A real appliance on the end of a cable, in a process group of its own.

    `master_fd` is its owner's side of the terminal, which outlives the processes until `close`.
    """

    terminal_is_remote: Final = False

    def __init__(self, name: str, *, log: Path, arguments: Iterable[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        self.master_fd, self._slave = pty.openpty()
        self._environment = dict(environment)
        self._command = [
            sys.executable, "-m", "undercroft_appliance.main", "run", "--terminal", os.ttyname(self._slave), *arguments
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def started(
        cls,
        directory: Path,
        name: str,
        *,
        cable: Connection,
        network: str = "regtest",
        kdf: str = "demo",
        more: Sequence[str] = (),
        extra_env: Mapping[str, str] | None = None,
    ) -> Self:
        """An appliance that is switched on, with ``more`` options; what it says goes to `directory/name.log`."""
        arguments = (*cable.appliance_options, "--network", network, "--kdf", kdf, *more)
        environment = {"TERM": "dumb", **(extra_env or {})}
        device = cls(name, log=directory / f"{name}.log", arguments=arguments, environment=environment)
        device.power_on()
        return device

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def power_on(self) -> None:
        """Start the appliance; it wakes empty. Raises RuntimeError if it is on."""
        if self.alive:
            raise RuntimeError(f"{self.name} is on")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environment},
                start_new_session=True,
            )

    def power_off(self) -> None:
        """Switch it off in an orderly way: it wipes its keys and ends. Raises RuntimeError if it does not end."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.pull_plug()
            raise RuntimeError(f"{self.name} did not end by itself") from None

    def pull_plug(self) -> None:
        """End all its processes at once, as a power cut does."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.pids() and time.monotonic() < deadline:
            time.sleep(0.01)

    def close(self) -> None:
        """Switch it off and take its terminal away."""
        self.power_off()
        os.close(self.master_fd)
        os.close(self._slave)

    @property
    def told(self) -> str:
        """What it is, in words. Raises RuntimeError before it was ever on."""
        return f"{len(self.pids())} processes in group {self.supervisor_pid}"

    @property
    def alive(self) -> bool:
        """The supervisor runs, and with it the appliance."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The supervisor's exit code, None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def supervisor_pid(self) -> int:
        """The process whose group the others are in. Raises RuntimeError before it was ever on."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never on")
        return self._process.pid

    def pids(self) -> list[int]:
        """The processes of its group that live."""
        return [] if self._process is None else _group(self._process.pid)

    def pid_of(self, part: str) -> int:
        """The process of `keeper`, `panel` or `port`. Raises LookupError if it does not run."""
        for pid in self.pids():
            with contextlib.suppress(OSError):
                if f"undercroft_appliance.{part}" in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
                    return pid
        raise LookupError(f"{self.name} has no {part}")


def _group(leader: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            state, *fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[_GROUP_FIELD - 1]) == leader and state not in "ZX":
                found.append(int(entry.name))
    return sorted(found)
