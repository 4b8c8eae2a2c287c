"""Carries whole messages between the line and the keeper, and stays alive whatever the line brings."""

from __future__ import annotations

import select
import selectors
from collections import deque
from collections.abc import Callable
from typing import Final, NoReturn

from undercroft_protocol.errors import LinkError
from undercroft_protocol.messages.fields import MAX_MESSAGE_BYTES
from undercroft_protocol.serial import SerialLink

from ..channel import Channel
from ..errors import ChannelError
from ..internal import Inbound, Outbound

MAX_WAITING: Final = 4
"""Messages that wait here while the keeper is busy; more are dropped, and their sender asks again."""
MAX_LINE_MESSAGE_BYTES: Final = MAX_MESSAGE_BYTES - 1024
"""A message of the line and what the channel adds fit into one message of the channel."""


class Relay:
    """Joins a link and a channel. `say` gets lines for the log; they hold nothing that came over the line."""

    def __init__(self, link: SerialLink, keeper: Channel, say: Callable[[str], None]) -> None:
        self._link = link
        self._keeper = keeper
        self._say = say
        self._waiting: deque[bytes] = deque()

    def run(self) -> NoReturn:
        """Go on until the device is gone (LinkError) or the keeper is (ChannelError)."""
        with selectors.PollSelector() as selector:
            selector.register(self._keeper, selectors.EVENT_READ)
            selector.register(self._link, selectors.EVENT_READ)
            while True:
                for end in (self._keeper, self._link):
                    writing = selectors.EVENT_WRITE if end.wants_write else 0
                    selector.modify(end, selectors.EVENT_READ | writing)
                ready = {key.fileobj: events for key, events in selector.select(self._link.wait_seconds())}
                if ready.get(self._keeper, 0) & selectors.EVENT_READ:
                    self._from_keeper()
                self._from_line()
                self._feed_keeper()

    def _from_line(self) -> None:
        try:
            messages = self._link.pump()
        except LinkError as error:
            if self._is_gone(error):
                raise
            self._say(f"a reply was not delivered [{error.code}]")
            return
        for message in messages:
            # Attack: a message without content is none for the channel, and would end this process.
            if not message:
                continue
            # Attack: a flood fills the memory while the owner reads a question.
            if len(self._waiting) >= MAX_WAITING:
                self._say("the keeper is busy; a message was dropped")
            else:
                self._waiting.append(message)
                self._feed_keeper()

    def _from_keeper(self) -> None:
        self._keeper.fill()
        while (message := self._keeper.take()) is not None:
            if not isinstance(message, Outbound):
                raise ChannelError(f"a port takes no {type(message).__name__}")
            try:
                self._link.post(message.data)
            except LinkError as error:
                self._say(f"a reply was dropped [{error.code}]")

    def _feed_keeper(self) -> None:
        # Never waiting for the keeper: one that judges, or waits for its owner, reads nothing for minutes.
        self._keeper.flush()
        while self._waiting and not self._keeper.wants_write:
            self._keeper.post(Inbound(self._waiting.popleft()))

    def _is_gone(self, error: LinkError) -> bool:
        """Tell a lost device from a peer that is away or refused a message."""
        poller = select.poll()
        poller.register(self._link, 0)
        return isinstance(error.__cause__, OSError) or bool(poller.poll(0))
