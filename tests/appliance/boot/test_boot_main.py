"""PID 1 with everything it does to a machine replaced: what ends, ends in a machine without power."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from undercroft_appliance.boot import __main__ as boot
from undercroft_appliance.boot.board import Board
from undercroft_appliance.boot.journal import Journal
from undercroft_appliance.boot.probes import Finding
from undercroft_appliance.errors import BootError
from undercroft_appliance.sandbox.process import SWITCH_OFF
from undercroft_appliance.supervisor import Settings
from undercroft_protocol.bitcoin.network import Network

PIDS = {"panel": 11, "keeper": 12, "port": 13}


class Off(Exception):  # noqa: N818 - it is no error
    """The power went off."""


class Machine:
    """What was asked of it, in order; ``code`` is what the supervisor returns, or raises."""

    def __init__(self, folder: Path) -> None:
        self.done: list[str] = []
        self.folder = folder
        self.findings = [Finding("lockdown", "on", "on")]
        self.seen = [Finding("process: keeper", "a", "a")]
        self.usb = Finding("USB", "works", "works")
        self.keys = Finding("keys", "missing", "missing")
        self.code: int | BaseException = 0
        self.settings: Settings | None = None
        self.keeps: frozenset[int] = frozenset()
        for name in ("line", "terminal", "console", "log"):
            (folder / name).write_text("")

    def does(self, name: str) -> Callable[..., None]:
        return lambda *_: self.done.append(name)

    def supervise(self, settings: Settings, *, keeps: frozenset[int], started: Callable[[dict[str, int]], None]) -> int:
        self.settings, self.keeps = settings, keeps
        self.done.append("supervise")
        started(PIDS)
        if isinstance(self.code, BaseException):
            raise self.code
        return self.code

    def refuse_newcomers(self) -> Finding:
        self.done.append("refuse newcomers")
        return self.usb

    def take_off_orders(self) -> Finding:
        self.done.append("take off orders")
        return self.keys

    def power_off(self) -> None:
        self.done.append("power off")
        raise Off

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def console(self) -> str:
        return (self.folder / "console").read_text()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    at = {name: str(tmp_path / name) for name in ("line", "terminal", "camera", "log")}
    board = Board(
        "test", at["line"], False, ("/nowhere", at["terminal"]), at["camera"], "/nowhere", at["log"],
        Network.REGTEST, "demo",
    )  # fmt: skip
    replaced = {
        "os.getpid": lambda: 1,
        "os.setsid": made.does("lead"),
        "Journal": lambda: Journal(tmp_path / "console"),
        "files.mount_all": made.does("mount"),
        "files.seal": made.does("seal"),
        "gadget.offer_serial_port": made.does("gadget"),
        "Board.found": lambda: board,
        "probes.run": lambda _: iter(made.findings),
        "processes.seen": lambda _: iter(made.seen),
        "usb.refuse_newcomers": made.refuse_newcomers,
        "usb.wait_until_settled": made.does("settle"),
        "keys.take_off_orders": made.take_off_orders,
        "signal.pthread_sigmask": made.does("block signals"),
        "_redirect": made.does("redirect"),
        "supervise": made.supervise,
        "_end_all": made.does("end all"),
        "power_off": made.power_off,
        "time.sleep": made.does("wait"),
        "_WAIT_SECONDS": 0.0,
        "_CHIP_GENERATOR": tmp_path / "rng",
    }
    for name, value in replaced.items():
        monkeypatch.setattr(f"undercroft_appliance.boot.__main__.{name}", value)
    monkeypatch.setenv("TERM", "xterm")
    return made


def run(machine: Machine) -> None:
    with pytest.raises(Off):
        boot.main()
    assert machine.done[-2:] == ["end all", "power off"]


def test_whoever_is_not_the_first_process_changes_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "undercroft_appliance.boot"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "first process of an image" in done.stderr


def test_a_start_makes_the_machine_ready_tries_it_and_supervises(machine: Machine) -> None:
    run(machine)
    assert machine.done == [
        "block signals", "mount", "seal", "take off orders", "settle", "refuse newcomers", "redirect", "lead",
        "supervise", "end all", "power off",
    ]  # fmt: skip
    assert machine.settings is not None
    assert (machine.settings.line, machine.settings.camera, machine.settings.codes) == (
        str(machine.folder / "line"), None, None,
    )  # fmt: skip
    assert machine.settings.terminal == str(machine.folder / "terminal")
    assert machine.keeps == {SWITCH_OFF}
    assert os.environ["TERM"] == "dumb"
    assert machine.log.index("process: keeper") < machine.log.index("undercroft: ready")
    assert machine.log.endswith("undercroft: off\n")
    # By then the owner's prompt stands there.
    assert "ready" not in machine.console


def test_attack_a_system_that_lacks_a_wall_does_not_start_and_says_which(machine: Machine) -> None:
    machine.findings = [Finding("lockdown", "on", "off"), Finding("memfd_secret", "works", "ENOSYS")]
    run(machine)
    assert "supervise" not in machine.done
    assert "not what it must be: lockdown; memfd_secret" in machine.console
    assert "probe\tlockdown\ton\toff" in machine.console


def test_attack_a_process_that_lacks_a_wall_ends_the_start(machine: Machine) -> None:
    machine.seen = [Finding("process: keeper", "user 60803", "user 0")]
    run(machine)
    assert "undercroft: ready" not in machine.log
    assert "not what it must be: process: keeper" in machine.console


def test_attack_a_machine_that_goes_on_to_let_keyboards_in_ends_the_start(machine: Machine) -> None:
    machine.usb = Finding("USB", "works", "EACCES")
    run(machine)
    assert "supervise" not in machine.done
    assert "not what it must be: USB" in machine.console


def test_attack_a_machine_with_a_key_that_stops_the_owners_screen_does_not_start(machine: Machine) -> None:
    machine.keys = Finding("keys", "missing", "Scroll_Lock")
    run(machine)
    assert "supervise" not in machine.done
    assert "not what it must be: keys" in machine.console


def test_the_log_tells_the_generator_of_the_chip(machine: Machine) -> None:
    (machine.folder / "rng").write_text("fe104000.rng\n")
    run(machine)
    assert "undercroft: random numbers of the chip: fe104000.rng\n" in machine.log


def test_a_chip_without_a_generator_is_told(machine: Machine) -> None:
    run(machine)
    assert "undercroft: random numbers of the chip: none\n" in machine.log


def test_a_camera_that_is_there_comes_with_the_console_for_codes(machine: Machine) -> None:
    (machine.folder / "camera").write_text("")
    run(machine)
    assert machine.settings is not None
    assert (machine.settings.camera, machine.settings.codes) == (str(machine.folder / "camera"), "/nowhere")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (10, "ended by a fault (10)"),
        (BootError("no such thing"), "no such thing"),
        (MemoryError(), "MemoryError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (SystemExit(0), "SystemExit"),
    ],
)
def test_whatever_ends_it_says_why_and_switches_off(machine: Machine, code: int | BaseException, told: str) -> None:
    machine.code = code
    run(machine)
    assert told in machine.console
    assert machine.done[-4:] == ["end all", "wait", "end all", "power off"]


def test_attack_a_process_that_hangs_in_a_driver_does_not_keep_the_power_on(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *words: killed.append(words))
    monkeypatch.setattr(os, "waitpid", lambda *_: (0, 0))
    monkeypatch.setattr(boot, "_END_SECONDS", 0.1)
    boot._end_all()
    assert killed == [(-1, signal.SIGKILL)]


def test_a_device_that_never_comes_is_named(machine: Machine) -> None:
    (machine.folder / "line").unlink()
    run(machine)
    assert str(machine.folder / "line") in machine.console
    assert "supervise" not in machine.done
