"""The keeper's three descriptors: whatever the port does on its own, the owner is heard first."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from undercroft_appliance.channel import Channel
from undercroft_appliance.internal import Command, Inbound
from undercroft_appliance.keeper.wires import FromPanel, FromPort, Wires


@pytest.fixture
def ends() -> Iterator[tuple[Wires, socket.socket, Channel]]:
    """The keeper's wires, and the ends of port and panel."""
    pairs = [socket.socketpair() for _ in range(2)]
    (to_port, port), (to_panel, panel) = pairs
    reading, writing = os.pipe()
    wires = Wires(Channel(to_port), Channel(to_panel), reading)
    # As in a keeper, where nobody makes it wait for ever.
    for one in (to_port, to_panel):
        one.settimeout(10)
    yield wires, port, Channel(panel)
    for one in (to_port, port, to_panel, panel):
        one.close()
    os.close(reading)
    os.close(writing)


def test_the_owner_is_heard_before_the_port(ends: tuple[Wires, socket.socket, Channel]) -> None:
    wires, port, panel = ends
    Channel(port).send(Inbound(b"batch"))
    panel.send(Command("freeze"))
    assert wires.next(10) == FromPanel(Command("freeze"))
    assert wires.next(10) == FromPort(b"batch")


def test_attack_a_byte_out_of_band_does_not_keep_the_owner_waiting(ends: tuple[Wires, socket.socket, Channel]) -> None:
    wires, port, panel = ends
    try:
        port.send(b"x", socket.MSG_OOB)
    except OSError:
        pytest.skip("this kernel has no bytes out of band here")
    assert wires.next(0.1) is None
    panel.send(Command("freeze"))
    # The port ends the wait by a batch, should there be one.
    later = threading.Timer(2, lambda: Channel(port).send(Inbound(b"batch")))
    later.start()
    assert wires.next(10) == FromPanel(Command("freeze"))
    later.join()
    assert wires.next(10) == FromPort(b"batch")
