"""A port process with the test as its keeper."""

from __future__ import annotations

import contextlib
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from undercroft_appliance.channel import Channel
from undercroft_appliance.devices import Devices
from undercroft_protocol.codec import Value
from undercroft_protocol.serial.tty import DEFAULT_BAUDRATE

PATIENCE_SECONDS = 20.0


@contextlib.contextmanager
def devices(*carriers: str) -> Iterator[Devices]:
    """As the supervisor opens what these options of `run` name, with some other terminal as the owner's."""
    named = dict(zip(carriers[::2], carriers[1::2], strict=True))
    master, slave = pty.openpty()
    try:
        with Devices.opened(
            line=named.get("--line"), baudrate=DEFAULT_BAUDRATE, camera=named.get("--camera"),
            codes=named.get("--codes"), terminal=os.ttyname(slave),
        ) as opened:  # fmt: skip
            yield opened
    finally:
        os.close(master)
        os.close(slave)


class Port:
    """A port process and the keeper's end of its channel."""

    def __init__(self, log: Path, *carriers: str) -> None:
        ours, theirs = socket.socketpair()
        self.keeper = Channel(ours)
        self.log = log
        with theirs, devices(*carriers) as opened, log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "undercroft_appliance.port", "--keeper-fd", str(theirs.fileno()),
                 *opened.options],
                pass_fds=(theirs.fileno(), *opened.named.values()), stderr=stderr,
            )  # fmt: skip

    def received(self) -> Value | None:
        return self.keeper.receive(PATIENCE_SECONDS)

    def close(self) -> None:
        self.keeper.close()
        self.process.kill()
        self.process.wait()
