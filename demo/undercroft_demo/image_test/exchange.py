"""What goes over a recorded line from some moment on: which message the appliance has whole, and whether it answers.

Read as a sniffer reads it, from the bytes alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from undercroft_protocol.serial import payload
from undercroft_protocol.serial.frame import Kind

from ..sniffer import frames
from ..stage import APPLIANCE_END, HOST_END, Stage


@dataclass(frozen=True, slots=True)
class Exchange:
    """Of one command of the host: ``asked`` is what it announced last, (message number, bytes), None before anything.

    ``is_delivered``: the appliance confirmed that it has all of that. ``replies``: how many messages the appliance has
    announced. ``is_amid_frame``: the last bytes are of no whole frame yet; it may be any, so also an announcement.
    """

    asked: tuple[int, int] | None
    is_delivered: bool
    replies: int
    is_amid_frame: bool

    @property
    def is_answered(self) -> bool:
        """The reply to what was asked last is announced."""
        return self.asked is not None and self.has_answered(self.asked)

    @property
    def is_at_work(self) -> bool:
        """The appliance has all of what was asked last, and no byte of a reply to it was seen."""
        return self.is_delivered and not self.is_answered and not self.is_amid_frame

    def has_answered(self, asked: tuple[int, int]) -> bool:
        """The reply to this is announced; it may have been asked before the last one."""
        # A host's session begins with the message number 1, and each message has one reply.
        return self.replies >= asked[0]

    @classmethod
    def read(cls, sent: bytes, answered: bytes) -> Self:
        """From the bytes of either way."""
        asked = None
        for kind, body in frames(sent):
            if kind is Kind.OPEN and len(body) == payload.OPEN.size:
                number, _, length, _, _ = payload.OPEN.unpack(body)
                asked = (number, length)
        delivered = 0
        announced = set()
        for kind, body in frames(answered):
            if kind is Kind.ACK and len(body) >= payload.ACK.size:
                [delivered] = payload.ACK.unpack_from(body)
            elif kind is Kind.OPEN and len(body) == payload.OPEN.size:
                announced.add(payload.OPEN.unpack(body)[0])
        is_delivered = asked is not None and delivered >= asked[0]
        return cls(asked, is_delivered, len(announced), is_amid_frame=answered[-1:] not in (b"", b"\0"))


@dataclass(frozen=True, slots=True)
class Watch:
    """Recordings of both ways, and how long each was when the watch began."""

    places: tuple[tuple[Path, int], ...]

    @classmethod
    def begun(cls, stage: Stage, name: str) -> Self:
        """From now on, on the line of an appliance."""
        paths = (stage.recorded(name, end) for end in (HOST_END, APPLIANCE_END))
        return cls(tuple((path, path.stat().st_size) for path in paths))

    def seen(self) -> Exchange:
        """What went over the line since then."""
        sent, answered = (path.read_bytes()[since:] for path, since in self.places)
        return Exchange.read(sent, answered)
