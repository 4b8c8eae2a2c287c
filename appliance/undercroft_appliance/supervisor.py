"""Starts the three processes of an appliance, and ends them all when one ends or the appliance is switched off.

It holds no key and reads no message. The processes stay in its process group, so that one kill(2) of the group is a
pulled plug; the kernel ends them when the supervisor itself is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from undercroft_protocol.bitcoin.network import Network

from .errors import ApplianceError, ConfigurationError

EXIT_CODES: Final = {"port": 10, "panel": 11, "keeper": 12}
"""The exit code when this process was the first to end by itself."""
PATIENCE_SECONDS: Final = 3.0
"""How long a process may take to wipe and end before it is killed."""
KEEPER_GONE: Final = 3
"""The exit code of a port or a panel that ends because the keeper did."""

_ASKED_TO_END: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_LEFT_TO_THE_SUPERVISOR: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
# A stopped keeper cannot lock itself when its time is over.
_NEVER_STOPPED: Final = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_libc: Final = ctypes.CDLL(None, use_errno=True)

# PYTHONMALLOC and the tunables wipe every freed object: a backstop, should a secret ever become one. `-I` would make
# Python ignore the first, so `-s -P` and an environment made from nothing take its place.
_PYTHON: Final = ("-s", "-P", "-m")
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
_OFF: Final = "\r\nThe appliance is off.\r\n"


@dataclass(frozen=True, slots=True)
class Settings:
    """What an appliance is started with. `line` and `terminal` are paths, `firmware` is the hash (32 bytes)."""

    line: str
    terminal: str
    network: Network
    kdf: str
    baudrate: int
    firmware: bytes


@dataclass(frozen=True, slots=True)
class _Child:
    name: str
    process: subprocess.Popen[bytes]


def supervise(settings: Settings) -> int:
    """Run an appliance until it ends; returns the exit code: 0 if it was asked to end, else one of EXIT_CODES.

    Raises ConfigurationError if the terminal is none.
    """
    # Blocked signals wait until `_wait` fetches them: none is lost between two looks.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, *_ASKED_TO_END))
    for number in _NEVER_STOPPED:
        signal.signal(number, signal.SIG_IGN)
    with _terminal(settings.terminal) as terminal:
        if settings.kdf == "demo":
            os.write(terminal, _DEMO_WARNING.encode())
        children: list[_Child] = []
        try:
            _start(settings, terminal, children)
            first = _wait(children)
        finally:
            _end(children)
    if first is None:
        return 0
    _report(first)
    return EXIT_CODES[first.name]


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


def _start(settings: Settings, terminal: int, children: list[_Child]) -> None:
    keeper_to_port, port = socket.socketpair()
    keeper_to_panel, panel = socket.socketpair()
    with keeper_to_port, port, keeper_to_panel, panel:
        commands: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
            "panel": (
                ("--keeper-fd", str(panel.fileno()), "--tty-fd", str(terminal)),
                (panel.fileno(), terminal),
            ),
            "keeper": (
                ("--port-fd", str(keeper_to_port.fileno()), "--panel-fd", str(keeper_to_panel.fileno()),
                 "--tty-fd", str(terminal), "--network", settings.network.value, "--kdf", settings.kdf,
                 "--firmware-hash", settings.firmware.hex()),
                (keeper_to_port.fileno(), keeper_to_panel.fileno(), terminal),
            ),
            "port": (
                ("--keeper-fd", str(port.fileno()), "--line", settings.line, "--baudrate", str(settings.baudrate)),
                (port.fileno(),),
            ),
        }  # fmt: skip
        for name, (arguments, descriptors) in commands.items():
            children.append(_Child(name, _started(name, arguments, descriptors)))


def _started(name: str, arguments: Sequence[str], descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
    environment = _ENVIRONMENT | {"TERM": os.environ.get("TERM", "dumb")}
    supervisor = os.getpid()
    try:
        return subprocess.Popen(
            [sys.executable, *_PYTHON, f"undercroft_appliance.{name}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=environment | (_KEEPER_ENVIRONMENT if name == "keeper" else {}),
            cwd="/",
            pass_fds=descriptors,
            umask=0o077,
            preexec_fn=lambda: _prepare(supervisor),  # noqa: PLW1509 - the supervisor has one thread
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ApplianceError(f"the {name} cannot be started ({error})") from error


def _prepare(supervisor: int) -> None:
    """Runs in the new process before its program does."""
    # No process may live on, with keys, after its supervisor was killed.
    if _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_PDEATHSIG")
    # It may have been killed before that.
    if os.getppid() != supervisor:
        os.kill(os.getpid(), signal.SIGKILL)
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A Ctrl-C or a hang-up reaches the whole group; the supervisor alone acts on it, and lets the keeper wipe.
    for number in _LEFT_TO_THE_SUPERVISOR:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _wait(children: Sequence[_Child]) -> _Child | None:
    """The first child that ends, or None when the appliance is asked to end."""
    while True:
        number = signal.sigwait((signal.SIGCHLD, *_ASKED_TO_END))
        if number != signal.SIGCHLD:
            return None
        ended = _first_ended(children)
        if ended is not None:
            return ended


def _first_ended(children: Sequence[_Child]) -> _Child | None:
    ended = {child.name: child for child in children if child.process.poll() is not None}
    for name in ("port", "panel"):
        if name in ended and ended[name].process.returncode != KEEPER_GONE:
            return ended[name]
    # The keeper ends too when one of the others does, so it comes last here.
    return next((child for child in children if ended and child.name == "keeper"), None)


def _end(children: Sequence[_Child]) -> None:
    """End all of them, the keeper first: it wipes its keys."""
    for child in sorted(children, key=lambda child: child.name != "keeper"):
        if child.process.poll() is None:
            child.process.terminate()
    deadline = time.monotonic() + PATIENCE_SECONDS
    for child in children:
        try:
            child.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()


def _report(child: _Child) -> None:
    code = child.process.returncode
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    print(f"undercroft-appliance: error [{child.name}-ended]: the {child.name} {how}", file=sys.stderr)
