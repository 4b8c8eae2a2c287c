"""A port process with the test as its keeper."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from undercroft_appliance.channel import Channel
from undercroft_protocol.messages.codec import Value

PATIENCE_SECONDS = 20.0


class Port:
    """A port process and the keeper's end of its channel."""

    def __init__(self, log: Path, *carriers: str) -> None:
        ours, theirs = socket.socketpair()
        self.keeper = Channel(ours)
        self.log = log
        with theirs, log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "undercroft_appliance.port", "--keeper-fd", str(theirs.fileno()),
                 "--baudrate", "115200", *carriers],
                pass_fds=(theirs.fileno(),), stderr=stderr,
            )  # fmt: skip

    def received(self) -> Value | None:
        return self.keeper.receive(PATIENCE_SECONDS)

    def close(self) -> None:
        self.keeper.close()
        self.process.kill()
        self.process.wait()
