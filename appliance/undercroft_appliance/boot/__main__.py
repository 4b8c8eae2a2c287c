"""``python -m undercroft_appliance.boot``: PID 1 of the image. Makes the machine ready, tries its walls, and is then
the supervisor; when that ends, for whatever reason, the power goes off."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.serial.tty import DEFAULT_BAUDRATE

from ..errors import ApplianceError, BootError
from ..firmware import firmware_hash
from ..sandbox.process import SWITCH_OFF
from ..supervisor import ASKED_TO_END, Settings, supervise
from . import files, gadget, kernel_probes, keys, probes, processes, root_probes, usb
from .board import Board
from .journal import Journal
from .kernel_calls import power_off

_CHIP_GENERATOR: Final = Path("/sys/class/misc/hw_random/rng_current")
_WAIT_SECONDS: Final = 10.0
"""For a device whose driver is still at work."""
_LAST_WORDS_SECONDS: Final = 10.0
"""How long the reason for a fault can be read before the power goes off."""
_END_SECONDS: Final = 5.0
"""For what was killed to be gone; one that hangs in a driver does not go."""


def main() -> None:
    """Never returns on a board: its power goes off. Raises BootError where it is not the first process."""
    if os.getpid() != 1:
        raise BootError("this is the first process of an image; to run an appliance here: undercroft-appliance run")
    # Attack: Ctrl-Alt-Del while something is made ready or has failed; that would be an exception at any place.
    signal.pthread_sigmask(signal.SIG_BLOCK, ASKED_TO_END)
    journal = Journal()
    try:
        _run(journal)
    except BaseException as error:
        # Whatever it is, the machine must go down.
        told = isinstance(error, (ApplianceError, ProtocolError))
        _end_all()
        journal.say(f"undercroft: {error if told else f'{type(error).__name__}: {error}'}")
        time.sleep(_LAST_WORDS_SECONDS)
    # Should this fail, PID 1 ends, and the kernel panics and starts anew.
    _end_all()
    power_off()


def _run(journal: Journal) -> None:
    files.mount_all()
    # Blocks until the kernel's pool is seeded: no key is made before.
    os.getrandom(1)
    board = Board.found()
    journal.keep(Path(board.log))
    firmware = firmware_hash()
    journal.say(f"undercroft: {board.name}, {board.network.value}, firmware {firmware.hex()}")
    journal.say(f"undercroft: random numbers of the chip: {_chip_generator()}")
    if board.is_gadget:
        gadget.offer_serial_port()
    files.seal()
    _check(journal, probes.run((*kernel_probes.ALL, *root_probes.ALL)))
    _check(journal, (keys.take_off_orders(),))
    settings = _settings(board, firmware)
    # Before anything from outside is read, a camera too: one that is slow must not keep USB open.
    _check(journal, (usb.refuse_newcomers(),))
    journal.say(f"undercroft: line {settings.line}, terminal {settings.terminal}, camera {settings.camera}")
    # A console of the kernel's own can do more than a line.
    os.environ["TERM"] = "linux" if settings.terminal.startswith("/dev/tty1") else "dumb"
    # What the supervisor says, for the processes too, goes where nobody types.
    _redirect(board.log)
    # The leader of a session gets the owner's Ctrl-C.
    os.setsid()

    def started(pids: Mapping[str, int]) -> None:
        _check(journal, processes.seen(pids))
        journal.note("undercroft: ready")

    code = supervise(settings, keeps=frozenset({SWITCH_OFF}), started=started)
    if code:
        raise BootError(f"ended by a fault ({code}); {board.log} tells more")
    journal.say("undercroft: off")


def _check(journal: Journal, findings: Iterable[probes.Finding]) -> None:
    """Raises BootError, naming what is not as it must be."""
    bad = []
    for finding in findings:
        journal.found(finding)
        if not finding.is_good:
            bad.append(finding.name)
    if bad:
        raise BootError(f"this system is not what it must be: {'; '.join(bad)}")


def _settings(board: Board, firmware: bytes) -> Settings:
    line = _present((board.line,))
    terminal = _present(board.terminals)
    if line is None or terminal is None:
        raise BootError(f"{board.line} or {' and '.join(board.terminals)} is not there")
    usb.wait_until_settled()
    camera = board.camera if Path(board.camera).exists() else None
    return Settings(
        line=line,
        terminal=terminal,
        network=board.network,
        kdf=board.kdf,
        baudrate=DEFAULT_BAUDRATE,
        firmware=firmware,
        camera=camera,
        codes=board.codes if camera else None,
    )


def _chip_generator() -> str:
    """Its name. It is one source of several: the kernel makes its own, and owners add their dice."""
    try:
        return _CHIP_GENERATOR.read_text(encoding="ascii").strip() or "none"
    except FileNotFoundError:
        return "none"


def _present(paths: Iterable[str]) -> str | None:
    """The first of them that is there, or comes while this waits."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while (found := next((one for one in paths if Path(one).exists()), None)) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _redirect(path: str) -> None:
    target = os.open(path if Path(path).exists() else os.devnull, os.O_WRONLY | os.O_NOCTTY)
    for number in (1, 2):
        os.dup2(target, number)
    os.close(target)


def _end_all() -> None:
    """End whatever is left, so that the kernel wipes its memory (init_on_free) while there is power."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    deadline = time.monotonic() + _END_SECONDS
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.05)


if __name__ == "__main__":
    main()
