"""The walls around the running processes, as the kernel tells of them."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from ..sandbox.process import SWITCH_OFF, USERS
from .probes import Finding

START_SECONDS: Final = 600.0
"""How long the processes may take until they stand behind their walls: an emulator is slow."""
_PROC: Final = Path("/proc")
_FILTERED: Final = "2"
_NONE: Final = f"{0:016x}"
_SUPERVISOR: Final = f"{sum(1 << number for number in (5, 6, 7, 8, SWITCH_OFF)):016x}"
"""To end its processes, to make them other users without rights, and to switch off."""


def seen(pids: Mapping[str, int], proc: Path = _PROC) -> Iterator[Finding]:
    """A finding for each process once its last wall is up, and one for their supervisor; none for one that ended.

    Once all are asked to end (a signal that the supervisor has not fetched yet), nothing is waited for.

    See proc_pid_status(5): users, groups, the sets of capabilities, no_new_privs, seccomp, threads.
    """
    deadline = time.monotonic() + START_SECONDS
    for name, pid in pids.items():
        status = _status(proc, pid)
        while status.get("Seccomp", _FILTERED) != _FILTERED and time.monotonic() < deadline:
            if signal.sigpending() - {signal.SIGCHLD}:
                break
            time.sleep(0.05)
            status = _status(proc, pid)
        if status:
            yield Finding(f"process: {name}", _line(str(USERS[name]), _NONE, _NONE, _FILTERED), _told(status))
    yield Finding("process: supervisor", _line("0", _SUPERVISOR, _SUPERVISOR, "0"), _told(_status(proc, 1)))


def _line(user: str, rights: str, bound: str, filtered: str) -> str:
    return (
        f"user {user}, group {user}, groups none, may {rights} of {bound}, inherits {_NONE} {_NONE}, "
        f"no new privileges 1, seccomp {filtered}, threads 1"
    )


def _told(status: Mapping[str, str]) -> str:
    user, group = ("/".join(sorted(set(status[name].split()))) for name in ("Uid", "Gid"))
    rights = "/".join(sorted({status["CapPrm"], status["CapEff"]}))
    return (
        f"user {user}, group {group}, groups {status['Groups'] or 'none'}, may {rights} of {status['CapBnd']}, "
        f"inherits {status['CapInh']} {status['CapAmb']}, no new privileges {status['NoNewPrivs']}, "
        f"seccomp {status['Seccomp']}, threads {status['Threads']}"
    )


def _status(proc: Path, pid: int) -> dict[str, str]:
    """Empty for a process that is no more, or is not waited for yet."""
    try:
        lines = (proc / str(pid) / "status").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return status if "VmSize" in status else {}
