"""The driver that runs a `LinkMachine` over a tty, blocking or inside somebody else's event loop."""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Callable
from typing import Self

from undercroft_protocol.errors import LinkError, LinkTimeoutError
from undercroft_protocol.link import ClosingLink, Progress
from undercroft_protocol.serial.machine import DEFAULT_MAX_MESSAGE_BYTES, Counters, LinkMachine
from undercroft_protocol.serial.tty import DEFAULT_BAUDRATE, Tty, open_tty

_READ_BYTES = 65536
_READS_PER_PUMP = 16


class SerialLink(ClosingLink):
    """A `Link` over a serial line. Not for several threads at once.

    Blocking use: `send` and `receive`. In an event loop: wait until `fileno()` is ready for what
    `wants_write` asks or `wait_seconds()` are over, then call `pump()`; `post()` queues a message without
    waiting.

    After LinkDeadError or LinkTimeoutError the link can be used again, also when the other side comes back;
    after "the device is gone" it must be opened anew.
    """

    def __init__(
        self,
        port: Tty,
        machine: LinkMachine,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._port = port
        self._fd = port.fileno()
        self._machine = machine
        self._clock = clock
        self._on_progress = on_progress
        self._reported = machine.progress()
        self._unwritten = b""
        self._ready: deque[bytes] = deque()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        baudrate: int = DEFAULT_BAUDRATE,
        clock: Callable[[], float] = time.monotonic,
        entropy: Callable[[int], bytes] = os.urandom,
        on_progress: Callable[[Progress], None] | None = None,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        dead_after: float = 10.0,
    ) -> Self:
        """Open the tty at `path` for this process alone, and greet whoever is there.

        `dead_after` is in seconds; `max_message_bytes` goes both ways.

        Raises DevicePathError for anything but the path of a tty, LinkError if it cannot be opened.
        """
        return cls.over(
            open_tty(os.fspath(path), baudrate=baudrate), clock=clock, entropy=entropy, on_progress=on_progress,
            max_message_bytes=max_message_bytes, dead_after=dead_after,
        )  # fmt: skip

    @classmethod
    def over(
        cls,
        port: Tty,
        *,
        clock: Callable[[], float] = time.monotonic,
        entropy: Callable[[int], bytes] = os.urandom,
        on_progress: Callable[[Progress], None] | None = None,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        dead_after: float = 10.0,
    ) -> Self:
        """The same over a tty that is open already, and is closed with the link. Raises LinkError if it is gone."""
        machine = LinkMachine(clock=clock, entropy=entropy, max_message_bytes=max_message_bytes, dead_after=dead_after)
        link = cls(port, machine, clock=clock, on_progress=on_progress)
        try:
            link._write()
        except OSError as error:
            port.close()
            raise link._gone() from error
        return link

    def close(self) -> None:
        """Close the tty. What was not delivered is lost."""
        self._port.close()

    def send(self, message: bytes, *, timeout: float) -> None:
        """Return when the other side has checked and taken the message and all that were posted before.

        Raises LinkDeadError if nothing answers, LinkTimeoutError after `timeout` seconds (the message is
        given up, but may have arrived), LinkError if the other side refuses it or the device is gone.
        """
        deadline = self._clock() + timeout
        self._machine.send(message)
        while True:
            self._turn()
            if self._machine.idle:
                return
            if self._clock() >= deadline:
                self._machine.cancel()
                raise LinkTimeoutError(f"a message was not taken within {timeout:.1f} s")
            self._wait(deadline)

    def receive(self, *, timeout: float, listening: bool = False) -> bytes:
        """Return the next message.

        While it waits it makes sure that the other side is alive; not if `listening`, for one who serves
        whoever may come. Raises LinkDeadError if nothing answers, LinkTimeoutError after `timeout` seconds,
        LinkError if the device is gone.
        """
        deadline = self._clock() + timeout
        self._machine.watch(not listening)
        try:
            while not self._ready:
                self._ready.extend(self.pump())
                if self._ready:
                    break
                if self._clock() >= deadline:
                    raise LinkTimeoutError(f"no message came within {timeout:.1f} s")
                self._wait(deadline)
        finally:
            self._machine.watch(False)
        return self._ready.popleft()

    def post(self, message: bytes) -> None:
        """Queue a message and write what the tty takes of it now; `pump` does the rest.

        Raises LinkError if it is too long, too many are waiting, or the device is gone.
        """
        self._machine.send(message)
        try:
            self._write()
        except OSError as error:
            raise self._gone() from error

    def pump(self) -> list[bytes]:
        """Read what is there, write what is due, never wait; return the messages that arrived.

        Raises as `send` does, for posted messages; messages that arrived meanwhile come with the next call,
        for which `wait_seconds()` is then 0.
        """
        self._turn()
        return self._machine.messages()

    def cancel(self) -> None:
        """Give up all that is being sent; the message under way may have been delivered all the same."""
        self._machine.cancel()

    def fileno(self) -> int:
        """The tty's file descriptor, for a selector."""
        return self._fd

    @property
    def wants_write(self) -> bool:
        """There are bytes that the tty did not take yet: call `pump` when it can be written."""
        return bool(self._unwritten)

    def wait_seconds(self) -> float | None:
        """Seconds until `pump` must be called even if nothing arrives; None if there is no such time."""
        if self._machine.unread:
            return 0.0
        deadline = self._machine.next_deadline()
        return None if deadline is None else max(0.0, deadline - self._clock())

    @property
    def counters(self) -> Counters:
        """What happened on the line; read only."""
        return self._machine.counters

    def progress(self) -> Progress:
        """How far the current message is, each way, in bytes."""
        return self._machine.progress()

    def _turn(self) -> None:
        try:
            self._read()
            self._machine.poll()
            self._write()
        except OSError as error:
            raise self._gone() from error
        self._report()

    def _read(self) -> None:
        for _ in range(_READS_PER_PUMP):
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._check_hang_up()
                return
            self._machine.feed(data)

    def _check_hang_up(self) -> None:
        """A tty without data and one whose other end is gone read alike; only poll(2) tells them apart."""
        poller = select.poll()
        poller.register(self._fd, 0)
        if poller.poll(0):
            raise self._gone()

    def _write(self) -> None:
        while True:
            if not self._unwritten:
                self._unwritten = self._machine.outgoing()
            if not self._unwritten:
                return
            try:
                written = os.write(self._fd, self._unwritten)
            except BlockingIOError:
                return
            if not written:
                return
            self._unwritten = self._unwritten[written:]

    def _gone(self) -> LinkError:
        return LinkError(f"the device {self._port.port} is gone; plug it in and open the link again")

    def _wait(self, deadline: float) -> None:
        poller = select.poll()
        poller.register(self._fd, select.POLLIN | (select.POLLOUT if self._unwritten else 0))
        seconds = max(0.0, deadline - self._clock())
        due = self.wait_seconds()
        poller.poll(1000 * (seconds if due is None else min(seconds, due)) + 1)

    def _report(self) -> None:
        if self._on_progress is None:
            return
        progress = self._machine.progress()
        if progress != self._reported:
            self._reported = progress
            self._on_progress(progress)
