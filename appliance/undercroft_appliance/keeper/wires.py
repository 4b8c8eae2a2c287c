"""The keeper's three descriptors (port, panel, terminal) as one stream of events."""

from __future__ import annotations

import selectors
from dataclasses import dataclass
from typing import TypeAlias

from undercroft_appliance.channel import Channel
from undercroft_appliance.errors import ChannelError
from undercroft_appliance.internal import Codes, Inbound, Outbound
from undercroft_protocol.messages import Value


@dataclass(frozen=True, slots=True)
class FromPort:
    """A whole message, and the way it came, which its reply goes."""

    data: bytes
    way: int = 0


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
        self._tty_fd = tty_fd

    @property
    def tty_fd(self) -> int:
        """The terminal on which the owner types a passphrase."""
        return self._tty_fd

    def send_port(self, data: bytes, way: int = 0) -> None:
        """Send the reply to a message that came this way."""
        self._port.send(Outbound(data, way))

    def show_codes(self, data: bytes) -> None:
        """Put a message on the screen for codes; empty: blank it."""
        self._port.send(Codes(data))

    def send_panel(self, message: Value) -> None:
        """Tell the panel what to show."""
        self._panel.send(message)

    def next(self, timeout: float, *, terminal: bool = False) -> Event | None:
        """The next event, or None after ``timeout`` seconds; the terminal is looked at only when asked for."""
        ready = self._ready(0.0 if self._panel.complete or self._port.complete else max(0.0, timeout), terminal)
        for channel in (self._panel, self._port):
            if channel in ready:
                channel.fill()
        # Attack: a flood from the line, so that the owner's "lock" waits behind it.
        if (message := self._panel.take()) is not None:
            return FromPanel(message)
        if (message := self._port.take()) is not None:
            return self._from_port(message)
        return TerminalReady() if self._tty_fd in ready else None

    def rests(self) -> tuple[bytes, bytes]:
        """What was read from port and panel and not acted on, for the keeper that comes after this one."""
        return self._port.rest, self._panel.rest

    def _ready(self, timeout: float, terminal: bool) -> list[object]:
        with selectors.PollSelector() as selector:
            selector.register(self._panel, selectors.EVENT_READ)
            # Never read ahead of a message that lies there whole: what is handed on stays small.
            if not self._port.complete:
                selector.register(self._port, selectors.EVENT_READ)
            if terminal:
                selector.register(self._tty_fd, selectors.EVENT_READ)
            return [key.fileobj for key, _ in selector.select(timeout)]

    @staticmethod
    def _from_port(message: Value) -> Event:
        # Attack: a port that was taken over speaks to the keeper as if it were the owner.
        if not isinstance(message, Inbound):
            raise ChannelError(f"the port sent {type(message).__name__}")
        return FromPort(message.data, message.way)
