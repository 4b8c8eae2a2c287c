"""What carries whole messages between an appliance and the outside: one interface, whichever way."""

from __future__ import annotations

import select
from collections.abc import Callable, Collection
from typing import Final, Protocol, TypeAlias

from undercroft_protocol.errors import LinkError
from undercroft_protocol.fields import MAX_MESSAGE_BYTES
from undercroft_protocol.serial.link import SerialLink

from ..internal import Inbound, Way

MAX_CARRIED_BYTES: Final = MAX_MESSAGE_BYTES - 1024
"""A message from outside and what the channel adds fit into one message of the channel."""

Say: TypeAlias = Callable[[str], None]
"""Takes lines for the log; they hold nothing that came from outside."""


class Carrier(Protocol):
    """Wait until ``fileno()`` is ready for what ``wants_write`` asks or ``wait_seconds()`` are over, then ``pump``."""

    ways: Collection[int]
    """The ways (`Way`) that are its own."""

    def fileno(self) -> int:
        """For a selector."""

    @property
    def wants_write(self) -> bool:
        """``pump`` is to be called when ``fileno()`` can be written."""

    def wait_seconds(self) -> float | None:
        """Seconds until ``pump`` must be called even if nothing arrives; None if there is no such time."""

    def pump(self) -> list[Inbound]:
        """The messages that arrived; never waits for any. Raises LinkError when the device is gone."""

    def post(self, data: bytes, way: int) -> None:
        """Take a reply; one that cannot be carried is dropped. Raises LinkError when the device is gone."""

    def clear(self) -> None:
        """Show nothing any more, where something is shown. Raises LinkError when the device is gone."""


class Line:
    """The serial line: a peer that is away or refuses a message is no reason to end."""

    ways: Collection[int] = (Way.LINE,)

    def __init__(self, link: SerialLink, say: Say) -> None:
        self._link = link
        self._say = say

    def fileno(self) -> int:
        """See Carrier."""
        return self._link.fileno()

    @property
    def wants_write(self) -> bool:
        """See Carrier."""
        return self._link.wants_write

    def wait_seconds(self) -> float | None:
        """See Carrier."""
        return self._link.wait_seconds()

    def pump(self) -> list[Inbound]:
        """See Carrier."""
        try:
            messages = self._link.pump()
        except LinkError as error:
            if self._is_gone(error):
                raise
            self._say(f"a reply was not delivered [{error.code}]")
            return []
        # Attack: a message without content is none for the channel, and would end this process.
        return [Inbound(message, Way.LINE) for message in messages if message]

    def post(self, data: bytes, way: int) -> None:  # noqa: ARG002 - there is but one
        """See Carrier."""
        try:
            self._link.post(data)
        except LinkError as error:
            self._say(f"a reply was dropped [{error.code}]")

    def clear(self) -> None:
        """See Carrier; a line shows nothing."""

    def _is_gone(self, error: LinkError) -> bool:
        """Tell a lost device from a peer that is away or refused a message."""
        poller = select.poll()
        poller.register(self._link, 0)
        return isinstance(error.__cause__, OSError) or bool(poller.poll(0))
