"""Who is at the other end: session ids of 8 random bytes, made anew at every start, and their tags.

A side that does not know the other says HELLO(own, nobody); the answer is HELLO(own, asker). Only a HELLO that
names our own session is believed, so an old one, or the echo of our own, cannot make a peer. All other frames
carry, within their CRC, a tag made from both ids and the direction: frames of an earlier start, and our own frames
coming back, are told apart.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from enum import Enum, auto

from undercroft_protocol.serial.frame import NO_TAG

SESSION_BYTES = 8
NOBODY = bytes(SESSION_BYTES)
_REMEMBERED_PEERS = 16


def tag_of(sender: bytes, receiver: bytes) -> bytes:
    """The tag of the frames from session `sender` to session `receiver`."""
    return hashlib.sha256(b"undercroft serial link 2" + sender + receiver).digest()[: len(NO_TAG)]


class Greeting(Enum):
    """What a HELLO means for us."""

    ECHO = auto()
    """Our own words came back."""
    ASKS = auto()
    """It does not know us: answer, believe nothing."""
    NEW_PEER = auto()
    """It knows us and is not the one we knew: everything begins again."""
    KNOWN = auto()
    """Nothing new."""


class Identity:
    """This side's session, the other's, and the last message delivered from each of the last 16 peers."""

    __slots__ = ("_delivered", "peer", "session", "tag_in", "tag_out")

    def __init__(self, session: bytes) -> None:
        self.session = session
        self.peer = NOBODY
        self.tag_in = self.tag_out = NO_TAG
        self._delivered: OrderedDict[bytes, int] = OrderedDict()

    @property
    def tags(self) -> tuple[bytes, ...]:
        """The tags of the frames that mean something here, the peer's first, our own last."""
        return (self.tag_in, NO_TAG, self.tag_out) if self.known else (NO_TAG,)

    @property
    def known(self) -> bool:
        """There is a peer."""
        return self.peer != NOBODY

    def greet(self, sender: bytes, receiver: bytes) -> Greeting:
        """Judge a HELLO and, if it proves a new peer, adopt it."""
        if sender in (self.session, NOBODY):
            return Greeting.ECHO
        # A HELLO recorded from an earlier start does not name this session: it resets nothing.
        if receiver != self.session:
            return Greeting.ASKS
        if sender == self.peer:
            return Greeting.KNOWN
        self.peer = sender
        self.tag_in = tag_of(sender, self.session)
        self.tag_out = tag_of(self.session, sender)
        return Greeting.NEW_PEER

    def renew(self, session: bytes) -> None:
        """Go on as a new session; what was delivered stays known."""
        self.session = session
        self.forget()

    def forget(self) -> None:
        """The peer is gone."""
        self.peer = NOBODY
        self.tag_in = self.tag_out = NO_TAG

    @property
    def delivered(self) -> int:
        """Number of the last message delivered from the peer; 0 if none was."""
        return self._delivered.get(self.peer, 0)

    @delivered.setter
    def delivered(self, number: int) -> None:
        self._delivered[self.peer] = number
        self._delivered.move_to_end(self.peer)
        while len(self._delivered) > _REMEMBERED_PEERS:
            self._delivered.popitem(last=False)
