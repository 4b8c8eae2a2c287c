"""Starts the three processes of an appliance, and ends them all when one ends or the appliance is switched off.

A keeper serves one unlock. One that has wiped what it held, and says so by its exit code, is followed by a fresh one
with the same descriptors; any other end of a process is a fault, and the end of the appliance. The supervisor holds no
key and reads no message; what the processes say it passes on to the log. It alone opens devices; the others start with
descriptors, and where it is root as users of their own without any capability (but the one to read programs that are
root's alone, until their walls are up). They stay in its process group, so that one kill(2) of the group is a pulled
plug; the kernel ends them when the supervisor itself is killed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeAlias

from undercroft_protocol.bitcoin.network import Network

from .devices import Devices
from .endings import EXIT_CODES, HANDED_OVER, OTHER_GONE
from .errors import ApplianceError, ConfigurationError
from .process_log import LOOK_SECONDS, ProcessLog, tell
from .sandbox.process import READ_ANY_FILE, USERS, become, die_with, harden_process, held, keep_few_capabilities
from .sandbox.swap import swap_warnings
from .sandbox.syscalls import this_machine

PATIENCE_SECONDS: Final = 3.0
"""How long a process may take to wipe and end before it is killed."""
GRACE_SECONDS: Final = 1.0
"""How long one that lost its channel to another waits here for that other's end."""

ASKED_TO_END: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPWR)
"""By these a supervisor is asked to end; it fetches them when it looks for them."""
_AWAITED: Final = (signal.SIGCHLD, signal.SIGALRM, *ASKED_TO_END)
_LEFT_TO_THE_SUPERVISOR: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
# A stopped keeper cannot lock itself when its time is over.
_NEVER_STOPPED: Final = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)

# PYTHONMALLOC and the tunables wipe every freed object: a backstop, should a secret ever become one. `-I` would make
# Python ignore the first, so `-s -P` and an environment made from nothing take its place. An image has no module site.
_PYTHON: Final = ("-s", "-P", *(("-S",) if sys.flags.no_site else ()), "-m")
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LD_BIND_NOW": "1"}
_KEEPER_ENVIRONMENT: Final = {
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.perturb=90",
}
_DEMO_WARNING: Final = """
*******************************************************************************
*                                                                             *
*   WARNING: demo key strength: for regtest only.                             *
*   Whoever gets hold of an envelope made here can guess its passphrase.      *
*                                                                             *
*******************************************************************************
"""
_MFD_NOEXEC_SEAL: Final = 8
_OFF: Final = "\r\nThe appliance is off.\r\n"


@dataclass(frozen=True, slots=True)
class Settings:
    """What an appliance is started with. `line` and `terminal` are paths, `firmware` is the hash (32 bytes).

    `camera` and `codes` (the terminal on which codes are shown) are both there or both None; without `line` they are.
    """

    line: str | None
    terminal: str
    network: Network
    kdf: str
    baudrate: int
    firmware: bytes
    camera: str | None = None
    codes: str | None = None


Started: TypeAlias = Callable[[Mapping[str, int]], None]
"""Is told the process ids by name, once, when all three are started; what it raises ends them."""


def supervise(
    settings: Settings, *, keeps: frozenset[int] = frozenset(), started: Started = lambda _: None
) -> int:  # fmt: skip
    """Run an appliance until it ends; returns the exit code: 0 if it was asked to end, else one of EXIT_CODES.

    ``keeps``: capabilities that a supervisor that is root needs afterwards. Raises ConfigurationError if the terminal
    is none, or if this machine cannot keep keys as they must be kept; DevicePathError, LinkError, CameraError for what
    cannot be opened.
    """
    this_machine()
    swap_warnings(settings.network)
    with Devices.opened(
        line=settings.line, baudrate=settings.baudrate, camera=settings.camera, codes=settings.codes,
        terminal=settings.terminal,
    ) as devices:  # fmt: skip
        return _supervise(settings, devices, keeps, started)


def _supervise(settings: Settings, devices: Devices, keeps: frozenset[int], started: Started) -> int:
    # Blocked signals wait until `_wait` fetches them: none is lost between two looks.
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    for number in _NEVER_STOPPED:
        signal.signal(number, signal.SIG_IGN)
    with _terminal(settings.terminal) as terminal:
        if settings.kdf == "demo":
            os.write(terminal, _DEMO_WARNING.encode())
        keep = _to_read_programs()
        _unlimit_locked_memory()
        keep_few_capabilities(keeps if keep is None else keeps | {keep})
        with _Processes.started(settings, terminal, devices, keep) as processes:
            started(processes.pids)
            first = processes.wait()
    if first is None:
        return 0
    name, code = first
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    tell(f"undercroft-appliance: error [{name}-ended]: the {name} {how}")
    return EXIT_CODES[name]


@contextlib.contextmanager
def _terminal(path: str) -> Iterator[int]:
    """The owner's terminal, left as it was found also when the keeper dies while it does not echo."""
    try:
        # Without O_NOCTTY: of a supervisor that leads its session this becomes the controlling terminal, so that
        # Ctrl-C and hanging up reach it.
        terminal = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigurationError(f"the terminal {path} cannot be opened ({error.strerror})") from error
    try:
        try:
            before = termios.tcgetattr(terminal)
        except termios.error as error:
            raise ConfigurationError(f"{path} is no terminal") from error
        try:
            yield terminal
        finally:
            # It may be gone, or take nothing any more: that must not keep the supervisor.
            with contextlib.suppress(OSError, termios.error):
                os.set_blocking(terminal, False)
                termios.tcflush(terminal, termios.TCIFLUSH)
                termios.tcsetattr(terminal, termios.TCSANOW, before)
                os.write(terminal, _OFF.encode())
    finally:
        os.close(terminal)


class _Processes:
    """The three of them, and what a fresh keeper inherits: its ends of the channels, the terminal, the handover."""

    def __init__(
        self, settings: Settings, terminal: int, handover: int, ends: Sequence[socket.socket], *, keep: int | None,
        log: ProcessLog,
    ) -> None:  # fmt: skip
        self._keeper_arguments = (
            "--port-fd", str(ends[0].fileno()), "--panel-fd", str(ends[1].fileno()), "--tty-fd", str(terminal),
            "--handover-fd", str(handover), "--network", settings.network.value, "--kdf", settings.kdf,
            "--firmware-hash", settings.firmware.hex(), *(("--codes",) if settings.codes else ()),
        )  # fmt: skip
        self._keeper_descriptors = (ends[0].fileno(), ends[1].fileno(), terminal, handover)
        self._keep = keep
        self._log = log
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @classmethod
    @contextlib.contextmanager
    def started(cls, settings: Settings, terminal: int, devices: Devices, keep: int | None) -> Iterator[Self]:
        """All three, ended again in the end. Raises ApplianceError if one cannot be started."""
        with contextlib.ExitStack() as stack:
            handover = _memory_file()
            stack.callback(os.close, handover)
            # These two stay open here, so that port and panel do not notice when one keeper follows another.
            keeper_to_port, port = map(stack.enter_context, socket.socketpair())
            keeper_to_panel, panel = map(stack.enter_context, socket.socketpair())
            log = ProcessLog()
            stack.callback(log.close)
            processes = cls(settings, terminal, handover, (keeper_to_port, keeper_to_panel), keep=keep, log=log)
            stack.callback(processes.end)
            processes.start("panel", ("--keeper-fd", str(panel.fileno()), "--tty-fd", str(terminal)),
                            (panel.fileno(), terminal))  # fmt: skip
            processes.start_keeper()
            processes.start("port", ("--keeper-fd", str(port.fileno()), *devices.options),
                            (port.fileno(), *devices.named.values()))  # fmt: skip
            port.close()
            panel.close()
            devices.close()
            yield processes

    @property
    def pids(self) -> dict[str, int]:
        """Of the processes, by their names."""
        return {name: process.pid for name, process in self._running.items()}

    def start_keeper(self) -> None:
        """Start a keeper, the first or the next. Raises ApplianceError."""
        self.start("keeper", self._keeper_arguments, self._keeper_descriptors)

    def start(self, name: str, arguments: Sequence[str], descriptors: Sequence[int]) -> None:
        """Start one of the three. Raises ApplianceError."""
        with self._log.end_for(name) as log:
            self._running[name] = _started(name, arguments, descriptors, log, self._keep)

    def wait(self) -> tuple[str, int] | None:
        """Which ends first by a fault, and its exit code; None when the appliance is asked to end."""
        # A timer, for sigtimedwait may tell of a signal that nobody sent, when this process was stopped meanwhile.
        signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)
        while True:
            number = signal.sigwait(_AWAITED)
            self._log.pass_on()
            if number in ASKED_TO_END:
                return None
            ended = self._ended()
            if ended == ("keeper", HANDED_OVER):
                self.start_keeper()
            elif ended is not None:
                return ended

    def _ended(self) -> tuple[str, int] | None:
        """Which has ended first, and its exit code; None while all run."""
        deadline = time.monotonic() + GRACE_SECONDS
        while True:
            ended = {name: code for name, process in self._running.items() if (code := process.poll()) is not None}
            for name in EXIT_CODES:
                if ended.get(name, OTHER_GONE) != OTHER_GONE:
                    return name, ended[name]
            left = deadline - time.monotonic()
            if not ended or left <= 0:
                return next(iter(ended.items()), None)
            # Whoever closed the channel of this one is about to end, and knows why.
            signal.sigtimedwait((signal.SIGCHLD,), left)

    def end(self) -> None:
        """End all of them, the keeper first: it wipes its keys."""
        for _, process in sorted(self._running.items(), key=lambda one: one[0] != "keeper"):
            if process.poll() is None:
                process.terminate()
        self._wait_for_all()
        for process in self._running.values():
            if process.poll() is None:
                process.kill()
        self._wait_for_all()

    def _wait_for_all(self) -> None:
        """Until all have ended, PATIENCE_SECONDS at most: one that hangs in a driver is not even killed."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        for process in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))


def _memory_file() -> int:
    """For the handover. No secret is ever in it, so it may be swapped; and it is nothing that could be run."""
    try:
        return os.memfd_create("handover", os.MFD_CLOEXEC | _MFD_NOEXEC_SEAL)
    except OSError:
        # Before Linux 6.3 nobody knows that flag.
        return os.memfd_create("handover", os.MFD_CLOEXEC)


def _to_read_programs() -> int | None:
    """The capability that a process needs until it has loaded its programs, where they are root's alone, as below its
    home; None where everybody may read them."""
    files = {file for module in sys.modules.values() if (file := getattr(module, "__file__", None))} | {sys.executable}
    there = [Path(file) for file in files if Path(file).exists()]
    paths = {path for file in there for path in (file.absolute(), file.resolve())}
    folders = {folder for path in paths for folder in path.parents}
    if all(path.stat().st_mode & 0o4 for path in paths) and all(folder.stat().st_mode & 0o1 for folder in folders):
        return None
    return next((number for number in READ_ANY_FILE if number in held()), None)


def _unlimit_locked_memory() -> None:
    """So that the keeper can lock Argon2's working memory, up to 1 GiB; who may not raise the limit goes on without."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, resource.RLIM_INFINITY))


def _started(
    name: str, arguments: Sequence[str], descriptors: Sequence[int], log: int, keep: int | None
) -> subprocess.Popen[bytes]:
    environment = _ENVIRONMENT | {"TERM": os.environ.get("TERM", "dumb")}
    supervisor = os.getpid()
    try:
        return subprocess.Popen(
            [sys.executable, *_PYTHON, f"undercroft_appliance.{name}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env=environment | (_KEEPER_ENVIRONMENT if name == "keeper" else {}),
            cwd="/",
            pass_fds=descriptors,
            umask=0o077,
            preexec_fn=lambda: _prepare(name, supervisor, keep),  # noqa: PLW1509 - the supervisor has one thread
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ApplianceError(f"the {name} cannot be started ({error})") from error


def _prepare(name: str, supervisor: int, keep: int | None) -> None:
    """Runs in the new process before its program does."""
    # No process may live on, with keys, after its supervisor was killed.
    die_with(supervisor)
    become(USERS[name], keep)
    harden_process()
    _, most = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    locked = most if name == "keeper" else 0
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (locked, locked))
    # A Ctrl-C or a hang-up reaches the whole group; the supervisor alone acts on it, and lets the keeper wipe.
    for number in _LEFT_TO_THE_SUPERVISOR:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
