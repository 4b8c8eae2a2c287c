"""The real processes of an appliance, started and ended in every way: none is ever left behind."""

from __future__ import annotations

import os
import signal
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from undercroft_appliance.endings import EXIT_CODES
from undercroft_appliance.process_log import LOOK_SECONDS
from undercroft_appliance.supervisor import PATIENCE_SECONDS
from undercroft_demo.cable import Cable
from undercroft_demo.device import Device
from undercroft_demo.owner import IDLE_PROMPT, ScriptedOwner
from undercroft_protocol.serial.link import SerialLink

LONG_SECONDS = 30.0
PARTS = ("keeper", "panel", "port")


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    with Cable.started(tmp_path, "line") as laid:
        yield laid


@pytest.fixture
def device(tmp_path: Path, cable: Cable) -> Iterator[Device]:
    with Device.started(tmp_path, "north", cable=cable, extra_env={"SECRET_OF_THE_SHELL": "x"}) as started:
        yield started
        started.pull_plug()


@pytest.fixture
def owner(device: Device) -> Iterator[ScriptedOwner]:
    with ScriptedOwner(device.master_fd, "Ada", "vault-north", "north", "only for tests") as someone:
        wait_ready(device, someone)
        yield someone


def wait_ready(device: Device, owner: ScriptedOwner, since: int = 0) -> None:
    """Until the keeper has spoken, and so all three processes run."""
    try:
        owner.wait_for(rf"--- Ready [\s\S]*{IDLE_PROMPT}", LONG_SECONDS, since=since)
    except TimeoutError as error:
        raise AssertionError(device.log.read_text()) from error
    assert len(device.pids()) == 1 + len(PARTS)


def until(condition: Callable[[], bool], device: Device) -> None:
    deadline = time.monotonic() + LONG_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{device.pids()} live\n{device.log.read_text()}"
        time.sleep(0.02)


def test_an_appliance_answers_its_host_and_its_owner(device: Device, owner: ScriptedOwner, cable: Cable) -> None:
    assert "demo key strength: for regtest only" in owner.transcript
    owner.command("help")
    owner.wait_for("wipe all secrets now", LONG_SECONDS)
    with SerialLink.open(cable.host_path) as host:
        host.send(b"hostile bytes", timeout=LONG_SECONDS)
        assert host.receive(timeout=LONG_SECONDS)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into a hardened process")
def test_attack_each_process_holds_only_the_descriptors_and_settings_that_it_needs(
    device: Device, owner: ScriptedOwner, cable: Cable
) -> None:
    # Once it answers, the port has all that it holds too.
    with SerialLink.open(cable.host_path) as host:
        host.send(b"hostile bytes", timeout=LONG_SECONDS)
        assert host.receive(timeout=LONG_SECONDS)
    line = os.path.realpath(cable.appliance_path)
    terminal = os.ttyname(device.master_fd) if os.isatty(device.master_fd) else ""
    open_files = {part: _open_files(device.pid_of(part)) for part in ("panel", "port")}
    assert line in open_files["port"]
    assert line not in open_files["panel"]
    assert sum(name.startswith("/dev/pts/") for name in open_files["port"]) == 1
    assert terminal not in open_files["port"]
    # Attack: whoever may write to a terminal gives it orders, and reads it where a shell opened it for both.
    for part in PARTS:
        assert Path(f"/proc/{device.pid_of(part)}/fd/2").readlink().name.startswith("pipe:")
    for part, sockets in (("panel", 1), ("port", 1)):
        assert sum(name.startswith("socket:") for name in open_files[part]) == sockets
        assert _environment(device.pid_of(part)).keys() == {"PATH", "LANG", "LD_BIND_NOW", "TERM"}
    keeper = Path(f"/proc/{device.pid_of('keeper')}/environ").read_text()
    assert "PYTHONMALLOC=malloc\0" in keeper
    # glibc cuts its own variable in two when it reads it.
    assert "glibc.malloc.tcache_count=0" in keeper
    assert "glibc.malloc.perturb=90" in keeper
    assert "SECRET_OF_THE_SHELL" not in keeper


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_to_the_supervisor_ends_all_of_them(
    device: Device, owner: ScriptedOwner, number: signal.Signals
) -> None:
    os.kill(device.supervisor_pid, number)
    until(lambda: not device.alive, device)
    assert device.exit_code == 0
    assert device.pids() == []
    assert "error" not in device.log.read_text()


def test_ctrl_c_at_the_terminal_ends_all_of_them(device: Device, owner: ScriptedOwner) -> None:
    os.write(device.master_fd, b"\x03")
    owner.wait_for("The appliance is off", LONG_SECONDS)
    until(lambda: not device.alive, device)
    assert device.exit_code == 0
    assert device.pids() == []


def test_a_terminal_that_hangs_up_ends_all_of_them(device: Device, owner: ScriptedOwner) -> None:
    owner.leave()
    os.close(device.master_fd)
    device.master_fd = os.dup(0)
    until(lambda: not device.alive, device)
    assert device.exit_code in {0, EXIT_CODES["panel"]}
    assert device.pids() == []


@pytest.mark.parametrize("part", PARTS)
def test_when_one_process_is_killed_the_others_end(device: Device, owner: ScriptedOwner, part: str) -> None:
    os.kill(device.pid_of(part), signal.SIGKILL)
    until(lambda: not device.alive, device)
    assert device.exit_code == EXIT_CODES[part]
    assert device.pids() == []
    assert f"error [{part}-ended]: the {part} was ended by SIGKILL" in device.log.read_text()


def test_attack_a_killed_supervisor_leaves_no_keeper_behind(device: Device, owner: ScriptedOwner) -> None:
    os.kill(device.supervisor_pid, signal.SIGKILL)
    until(lambda: not device.alive and not device.pids(), device)


def test_a_pulled_plug_ends_all_at_once_and_it_can_be_switched_on_again(device: Device, owner: ScriptedOwner) -> None:
    device.pull_plug()
    assert device.pids() == []
    since = owner.mark()
    device.power_on()
    wait_ready(device, owner, since)
    device.power_off()
    assert device.pids() == []


def test_a_line_that_vanishes_ends_all_of_them_with_the_reason(
    device: Device, owner: ScriptedOwner, cable: Cable
) -> None:
    cable.unplug()
    until(lambda: not device.alive, device)
    assert device.exit_code == EXIT_CODES["port"]
    assert device.pids() == []
    assert "is gone" in device.log.read_text()


def test_an_appliance_that_was_stopped_for_a_while_goes_on(device: Device, owner: ScriptedOwner, cable: Cable) -> None:
    pids = device.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    # Longer than the supervisor ever waits at once.
    time.sleep(2.5 * LOOK_SECONDS)
    for pid in reversed(pids):
        os.kill(pid, signal.SIGCONT)
    with SerialLink.open(cable.host_path) as host:
        host.send(b"hostile bytes", timeout=LONG_SECONDS)
        assert host.receive(timeout=LONG_SECONDS)
    time.sleep(1.5 * LOOK_SECONDS)
    assert device.pids() == pids


def test_attack_a_keeper_that_hangs_is_killed(device: Device, owner: ScriptedOwner) -> None:
    os.kill(device.pid_of("keeper"), signal.SIGSTOP)
    start = time.monotonic()
    os.kill(device.supervisor_pid, signal.SIGTERM)
    until(lambda: not device.alive, device)
    assert device.pids() == []
    assert time.monotonic() - start >= PATIENCE_SECONDS


def test_the_terminal_is_left_as_it_was_found(tmp_path: Path, cable: Cable) -> None:
    with Device.started(tmp_path, "north", cable=cable) as device:
        before = termios.tcgetattr(device.master_fd)
        with ScriptedOwner(device.master_fd, "Ada", "vault-north", "north", "only for tests") as owner:
            wait_ready(device, owner)
            assert termios.tcgetattr(device.master_fd) != before
            device.power_off()
            assert termios.tcgetattr(device.master_fd) == before


def _open_files(pid: int) -> list[str]:
    return [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]


def _environment(pid: int) -> dict[str, str]:
    text = Path(f"/proc/{pid}/environ").read_text()
    return dict(entry.split("=", 1) for entry in text.split("\0") if entry)
