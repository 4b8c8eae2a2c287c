"""The port's process on a real line of two pseudo-terminals, with the test as its keeper and as the host."""

from __future__ import annotations

import os
import random
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.port.port_support import PATIENCE_SECONDS, Port
from undercroft_appliance.endings import OTHER_GONE
from undercroft_appliance.internal import Codes, Inbound, Notice, Outbound, Way
from undercroft_appliance.port.carriers import MAX_CARRIED_BYTES
from undercroft_appliance.port.relay import MAX_WAITING
from undercroft_demo.cable import Cable
from undercroft_protocol.codec import Value
from undercroft_protocol.errors import LinkError
from undercroft_protocol.serial.link import SerialLink


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    with Cable.started(tmp_path, "line") as laid:
        yield laid


@pytest.fixture
def port(cable: Cable, tmp_path: Path) -> Iterator[Port]:
    started = Port(tmp_path / "port.log", "--line", cable.appliance_path)
    yield started
    started.close()


@pytest.fixture
def host(cable: Cable) -> Iterator[SerialLink]:
    with SerialLink.open(cable.host_path) as link:
        yield link


def test_messages_go_both_ways_whole(port: Port, host: SerialLink) -> None:
    large = random.Random(1).randbytes(300_000)
    host.send(b"request", timeout=PATIENCE_SECONDS)
    host.send(large, timeout=PATIENCE_SECONDS)
    assert port.received() == Inbound(b"request")
    assert port.received() == Inbound(large)
    port.keeper.send(Outbound(b"reply"))
    port.keeper.send(Outbound(large))
    assert host.receive(timeout=PATIENCE_SECONDS) == b"reply"
    assert host.receive(timeout=PATIENCE_SECONDS) == large


def test_attack_noise_and_an_empty_message_leave_the_port_working(port: Port, host: SerialLink) -> None:
    noise = random.Random(2)
    for _ in range(50):
        select.select([], [host.fileno()], [], PATIENCE_SECONDS)
        os.write(host.fileno(), noise.randbytes(1000))
        time.sleep(0.005)
    host.send(b"", timeout=PATIENCE_SECONDS)
    host.send(b"request", timeout=PATIENCE_SECONDS)
    assert port.received() == Inbound(b"request")


def test_the_host_may_close_the_line_and_open_it_again(port: Port, cable: Cable) -> None:
    for content in (b"first", b"second"):
        with SerialLink.open(cable.host_path) as link:
            link.send(content, timeout=PATIENCE_SECONDS)
            assert port.received() == Inbound(content)


def test_attack_a_flood_while_the_keeper_is_busy_is_dropped_and_the_line_stays_alive(
    port: Port, host: SerialLink
) -> None:
    # Each is larger than a socket pair takes, so that the keeper's channel is full with the first.
    for number in range(MAX_WAITING + 4):
        host.send(bytes([number]) * 400_000, timeout=PATIENCE_SECONDS)
    host.send(b"last", timeout=PATIENCE_SECONDS)
    taken = []
    while (message := port.keeper.receive(0.5)) is not None:
        taken.append(message)
    assert 1 + MAX_WAITING <= len(taken) <= 2 + MAX_WAITING
    assert "a message was dropped" in port.log.read_text()
    host.send(b"again", timeout=PATIENCE_SECONDS)
    assert port.received() == Inbound(b"again")


def test_attack_a_message_too_long_for_the_channel_is_refused_on_the_line(port: Port, host: SerialLink) -> None:
    with pytest.raises(LinkError, match="refused"):
        host.send(bytes(MAX_CARRIED_BYTES + 1), timeout=PATIENCE_SECONDS)
    host.send(b"request", timeout=PATIENCE_SECONDS)
    assert port.received() == Inbound(b"request")


def test_a_reply_while_the_keeper_is_being_fed_does_not_lock_up(port: Port, host: SerialLink) -> None:
    large = bytes(400_000)
    host.send(large, timeout=PATIENCE_SECONDS)
    host.send(large, timeout=PATIENCE_SECONDS)
    port.keeper.send(Outbound(large))
    assert host.receive(timeout=PATIENCE_SECONDS) == large
    assert port.received() == Inbound(large)
    assert port.received() == Inbound(large)


def test_a_line_that_vanishes_ends_the_port_with_its_reason(port: Port, host: SerialLink, cable: Cable) -> None:
    host.send(b"request", timeout=PATIENCE_SECONDS)
    cable.unplug()
    assert port.process.wait(PATIENCE_SECONDS) == 1
    assert "error [link]" in port.log.read_text()
    assert "is gone" in port.log.read_text()


def test_the_port_ends_when_the_keeper_does(port: Port) -> None:
    port.keeper.close()
    assert port.process.wait(PATIENCE_SECONDS) == OTHER_GONE


@pytest.mark.parametrize(
    "message",
    [Notice("title", ()), Outbound(b"reply", Way.UR), Codes(b"log"), Codes(b"")],
    ids=["none", "reply", "log", "blank"],
)
def test_a_message_that_is_none_for_a_port_without_codes_ends_it(port: Port, message: Value) -> None:
    port.keeper.send(message)
    assert port.process.wait(PATIENCE_SECONDS) == OTHER_GONE


def test_attack_the_process_at_the_line_opens_nothing_by_a_name(tmp_path: Path) -> None:
    for option in ("--line", "--camera", "--codes"):
        port = "undercroft_appliance.port"
        done = subprocess.run([sys.executable, "-m", port, "--keeper-fd", "0", option, "/dev/tty"], check=False)
        assert done.returncode == 2


def test_what_is_no_line_ends_the_port_with_its_reason(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, (tmp_path / "file").open("w") as file:
        descriptors = (theirs.fileno(), file.fileno())
        command = [sys.executable, "-m", "undercroft_appliance.port", "--keeper-fd", str(descriptors[0])]
        command += ["--line-fd", str(descriptors[1])]
        done = subprocess.run(command, pass_fds=descriptors, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error [device-path]: " in done.stderr
