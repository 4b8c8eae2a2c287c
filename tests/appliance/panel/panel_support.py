"""A panel process on a real pseudo-terminal, with the test as its keeper and as its owner."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from pathlib import Path

from undercroft_appliance.channel import Channel
from undercroft_protocol.codec import Value

PATIENCE_SECONDS = 20.0
IDLE = "undercroft> "


class Stage:
    """The keeper's end of the channel, the owner's end of the terminal, and the panel process between them."""

    def __init__(self, *, rows: int, columns: int) -> None:
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (rows, columns))
        ours, theirs = socket.socketpair()
        self.keeper = Channel(ours)
        self.screen = ""
        self._seen = 0
        self._unread = b""
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "undercroft_appliance.panel", "--keeper-fd", str(theirs.fileno()),
                 "--tty-fd", str(self.slave)],
                pass_fds=(theirs.fileno(), self.slave),
                env={**os.environ, "TERM": "dumb"},
            )  # fmt: skip
        self.expect(IDLE)

    def close(self) -> None:
        self.keeper.close()
        try:
            self.process.wait(PATIENCE_SECONDS)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self.master)
            os.close(self.slave)

    def pause(self) -> None:
        """Stop the panel, so that what comes now lies there when it goes on."""
        self.process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def type_ahead(self, text: str) -> None:
        """Type while nobody reads, and wait until it lies there: the kernel brings it to the terminal by and by."""
        echoes = self.echoes()
        self.type(text)
        if echoes:
            self.expect(re.escape(text))
        else:
            assert select.select([self.slave], [], [], PATIENCE_SECONDS)[0]

    def expect(self, pattern: str) -> str:
        """Read on until the pattern appears after what was expected last; returns all up to its end."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := re.compile(pattern).search(self.screen, self._seen)) is None:
            if not select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"{pattern!r} is not on the screen:\n{self.screen}")
            read = self._unread + os.read(self.master, 4096)
            # A row's end may come in two pieces.
            self._unread = b"\r" if read.endswith(b"\r") else b""
            self.screen += read.removesuffix(self._unread).decode("utf-8", "replace").replace("\r\n", "\n")
        text = self.screen[self._seen : found.end()]
        self._seen = found.end()
        return text

    def received(self) -> Value:
        """The next message of the panel."""
        message = self.keeper.receive(PATIENCE_SECONDS)
        assert message is not None, f"the panel says nothing; its screen:\n{self.screen}"
        return message

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)
