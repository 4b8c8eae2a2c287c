"""The keeper's three descriptors (port, panel, terminal) as one stream of events."""

from __future__ import annotations

import selectors
from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from undercroft_appliance.channel import Channel
from undercroft_appliance.errors import ChannelError
from undercroft_appliance.internal import Inbound, Outbound
from undercroft_protocol.messages import Value


@dataclass(frozen=True, slots=True)
class FromPort:
    """A whole message from the line."""

    data: bytes


@dataclass(frozen=True, slots=True)
class FromPanel:
    """A message of the panel."""

    message: Value


@dataclass(frozen=True, slots=True)
class TerminalReady:
    """The terminal has a line to read."""


Event: TypeAlias = FromPort | FromPanel | TerminalReady


class Wires:
    """Reads what arrives, one event at a time; raises ChannelError when the port or the panel is gone."""

    def __init__(self, port: Channel, panel: Channel, tty_fd: int) -> None:
        self._port = port
        self._panel = panel
        self._waiting: deque[Event] = deque()
        self._tty_fd = tty_fd

    @property
    def tty_fd(self) -> int:
        """The terminal on which the owner types a passphrase."""
        return self._tty_fd

    def send_port(self, data: bytes) -> None:
        """Send one message to the line."""
        self._port.send(Outbound(data))

    def send_panel(self, message: Value) -> None:
        """Tell the panel what to show."""
        self._panel.send(message)

    def next(self, timeout: float, *, terminal: bool = False) -> Event | None:
        """The next event, or None after ``timeout`` seconds; the terminal is looked at only when asked for."""
        if self._waiting:
            return self._waiting.popleft()
        with selectors.DefaultSelector() as selector:
            for channel in (self._port, self._panel):
                selector.register(channel, selectors.EVENT_READ)
            if terminal:
                selector.register(self._tty_fd, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select(max(0.0, timeout))]
        # The panel comes first: its owner's "lock" must not wait behind a flood from the line.
        if self._panel in ready:
            self._panel.fill()
            self._waiting.extend(FromPanel(message) for message in self._panel.pending())
        if self._port in ready:
            self._port.fill()
            self._waiting.extend(self._from_port(message) for message in self._port.pending())
        if self._waiting:
            return self._waiting.popleft()
        return TerminalReady() if self._tty_fd in ready else None

    @staticmethod
    def _from_port(message: Value) -> Event:
        # Attack: a port that was taken over speaks to the keeper as if it were the owner.
        if not isinstance(message, Inbound):
            raise ChannelError(f"the port sent {type(message).__name__}")
        return FromPort(message.data)
