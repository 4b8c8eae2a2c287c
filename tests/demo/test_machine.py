"""An emulated appliance is switched on and off, cut off its power, asked by its control line; QEMU is played."""

from __future__ import annotations

import os
import sys
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from undercroft_demo.machine import Emulator, Machine
from undercroft_demo.owner import ScriptedOwner
from undercroft_demo.qmp import EmulatorError


@dataclass
class Line:
    """An end of a cable."""

    appliance_path: str


@pytest.fixture
def line() -> Iterator[tuple[int, Line]]:
    """The host's end, and the appliance's."""
    host, appliance = os.openpty()
    tty.setraw(appliance)
    yield host, Line(os.ttyname(appliance))
    os.close(host)
    os.close(appliance)


@pytest.fixture
def emulator(tmp_path: Path) -> Emulator:
    image = tmp_path / "kernel8.img"
    image.write_bytes(b"image")
    return Emulator((sys.executable, str(Path(__file__).with_name("played_emulator.py"))), image, "9.9")


@pytest.fixture
def machine(tmp_path: Path, emulator: Emulator, line: tuple[int, Line]) -> Iterator[Machine]:
    # In an option of QEMU a comma ends a value.
    folder = tmp_path / "a folder, with a comma"
    folder.mkdir()
    with Machine.started(folder, "alice", emulator=emulator, cable=line[1]) as started:
        yield started


def test_it_has_a_line_a_terminal_and_a_journal(machine: Machine, line: tuple[int, Line]) -> None:
    with ScriptedOwner(machine.master_fd, "alice", "here", "there", "a test passphrase", remote=True) as owner:
        owner.wait_for("--- Ready -", 10)
    os.write(line[0], b"hello")
    assert os.read(line[0], 5) == b"HELLO"
    assert machine.journal.read_text("ascii") == "probe\tcolour\tred\tred\n"
    assert machine.alive
    assert machine.pids()
    assert machine.resident_mib > 0


def test_it_ends_by_ctrl_c_at_its_terminal_and_can_be_switched_on_again(machine: Machine) -> None:
    machine.power_off()
    assert (machine.alive, machine.exit_code, machine.pids()) == (False, 0, [])
    with pytest.raises(EmulatorError, match="alice is off"):
        _ = machine.control
    machine.power_on()
    assert machine.alive
    with pytest.raises(RuntimeError, match="alice is on"):
        machine.power_on()


def test_a_pulled_plug_ends_it_at_once_and_its_terminal_stays(machine: Machine) -> None:
    terminal = os.ttyname(machine.master_fd)
    machine.pull_plug()
    assert machine.exit_code == -9
    machine.power_on()
    assert machine.alive
    assert os.ttyname(machine.master_fd) == terminal


def test_the_control_line_answers_refuses_and_tells_of_events(machine: Machine) -> None:
    assert machine.control.ask("query-status") == {"status": "query-status"}
    machine.control.wait_for_event("SHUTDOWN")
    with pytest.raises(EmulatorError, match="refuse: not today"):
        machine.control.ask("refuse")
    control = machine.control
    machine.press_ctrl_c()
    with pytest.raises(EmulatorError, match="ended"):
        control.wait_for_event("SHUTDOWN")


def test_an_emulator_that_does_not_start_says_why(tmp_path: Path, emulator: Emulator, line: tuple[int, Line]) -> None:
    broken = Emulator((*emulator.program, "--broken"), emulator.image, emulator.version)
    with pytest.raises(EmulatorError, match="no such machine"):
        Machine.started(tmp_path, "alice", emulator=broken, cable=line[1])


def test_mishap_an_emulator_that_crashes_is_no_appliance_that_switched_itself_off(
    tmp_path: Path, emulator: Emulator, line: tuple[int, Line]
) -> None:
    crashing = Emulator((*emulator.program, "--crashes"), emulator.image, emulator.version)
    with (
        Machine.started(tmp_path, "alice", emulator=crashing, cable=line[1]) as machine,
        pytest.raises(EmulatorError, match="failed with code 134"),
    ):
        machine.power_off()


def test_an_image_that_is_not_built_is_told(tmp_path: Path) -> None:
    with pytest.raises(EmulatorError, match="make image"):
        Emulator.ready(tmp_path / "kernel8.img")


def test_the_machine_has_no_network_card_and_a_hostile_boot_loader(emulator: Emulator, tmp_path: Path) -> None:
    words = emulator.command(tmp_path / "another-root")
    assert words[words.index("-initrd") + 1] == str(tmp_path / "another-root")
    assert words[words.index("-nic") + 1] == "none"
    assert "init=/bin/sh" in words[words.index("-append") + 1]
