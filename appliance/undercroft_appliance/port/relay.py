"""Carries whole messages between the carriers and the keeper, and stays alive whatever they bring."""

from __future__ import annotations

import selectors
from collections import deque
from collections.abc import Sequence
from typing import Final, NoReturn

from ..channel import Channel
from ..errors import ChannelError
from ..internal import Codes, Inbound, Outbound, Way
from .carriers import Carrier, Say

MAX_WAITING: Final = 4
"""Messages that wait here while the keeper is busy; more are dropped, and their sender asks again."""


class Relay:
    """Joins carriers and a channel. A reply goes the way that its message came, also when another came meanwhile: the
    way travels with the message to the keeper and back."""

    def __init__(self, carriers: Sequence[Carrier], keeper: Channel, say: Say) -> None:
        self._carriers = carriers
        self._by_way = {way: carrier for carrier in carriers for way in carrier.ways}
        self._keeper = keeper
        self._say = say
        self._waiting: deque[Inbound] = deque()
        self._said_busy = False

    def run(self) -> NoReturn:
        """Go on until a device is gone (LinkError) or the keeper is (ChannelError)."""
        ends: tuple[Channel | Carrier, ...] = (self._keeper, *self._carriers)
        with selectors.PollSelector() as selector:
            for end in ends:
                selector.register(end, selectors.EVENT_READ)
            while True:
                for end in ends:
                    writing = selectors.EVENT_WRITE if end.wants_write else 0
                    selector.modify(end, selectors.EVENT_READ | writing)
                ready = {key.fileobj: events for key, events in selector.select(self._wait_seconds())}
                if ready.get(self._keeper, 0) & selectors.EVENT_READ:
                    self._from_keeper()
                for carrier in self._carriers:
                    self._from_carrier(carrier)
                self._feed_keeper()

    def _wait_seconds(self) -> float | None:
        due = [seconds for carrier in self._carriers if (seconds := carrier.wait_seconds()) is not None]
        return min(due, default=None)

    def _from_carrier(self, carrier: Carrier) -> None:
        for message in carrier.pump():
            # Attack: a flood fills the memory while the owner reads a question.
            if len(self._waiting) >= MAX_WAITING:
                # Attack: the same flood, a line for each message, pushes everything else out of the log.
                if not self._said_busy:
                    self._say("the keeper is busy; a message was dropped")
                self._said_busy = True
            else:
                self._waiting.append(message)
                self._feed_keeper()

    def _from_keeper(self) -> None:
        self._keeper.fill()
        while (message := self._keeper.take()) is not None:
            match message:
                case Outbound():
                    self._carrier(message.way).post(message.data, message.way)
                case Codes() if message.data:
                    self._carrier(Way.FAST).post(message.data, Way.FAST)
                case Codes():
                    self._carrier(Way.FAST).clear()
                case other:
                    raise ChannelError(f"a port takes no {type(other).__name__}")

    def _carrier(self, way: int) -> Carrier:
        if way not in self._by_way:
            raise ChannelError(f"nothing here goes the way {way}")
        return self._by_way[way]

    def _feed_keeper(self) -> None:
        # Never waiting for the keeper: one that judges, or waits for its owner, reads nothing for minutes.
        self._keeper.flush()
        while self._waiting and not self._keeper.wants_write:
            self._keeper.post(self._waiting.popleft())
            self._said_busy = self._said_busy and bool(self._waiting)
