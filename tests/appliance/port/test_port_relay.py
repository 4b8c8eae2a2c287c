"""What a port says while it is flooded."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection

import pytest

from undercroft_appliance.channel import Channel
from undercroft_appliance.errors import ChannelError
from undercroft_appliance.internal import Inbound, Way
from undercroft_appliance.port.relay import Relay


class Flood:
    """A carrier that brings messages without end; after so many turns the keeper is gone."""

    ways: Collection[int] = (Way.LINE,)
    wants_write = False

    def __init__(self, keeper: socket.socket, turns: int) -> None:
        self._keeper = keeper
        self._turns = turns
        self._readable, self._writable = os.pipe()

    def fileno(self) -> int:
        return self._readable

    def wait_seconds(self) -> float | None:
        return 0.0

    def pump(self) -> list[Inbound]:
        self._turns -= 1
        if not self._turns:
            self._keeper.close()
        # The first is more than a socket pair takes.
        return [Inbound(bytes(400_000))] * 20

    def post(self, data: bytes, way: int) -> None:
        raise AssertionError

    def clear(self) -> None:
        raise AssertionError

    def close(self) -> None:
        os.close(self._readable)
        os.close(self._writable)


def test_attack_a_flood_does_not_push_everything_else_out_of_the_log() -> None:
    keeper, port = socket.socketpair()
    flood = Flood(keeper, turns=10)
    said: list[str] = []
    try:
        with port, pytest.raises(ChannelError):
            Relay([flood], Channel(port), said.append).run()
    finally:
        flood.close()
    assert said == ["the keeper is busy; a message was dropped"]
