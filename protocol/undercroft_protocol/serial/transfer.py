"""The sending half of one message: what is still to be sent, what is under way, what was lost.

Every frame sent has a sequence number of its own, also when it repeats bytes. As a line keeps the order, a
frame that is missing in an acknowledgement of a later one was lost: no timer is needed to see it.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass

from undercroft_protocol.serial.assembly import BITMAP_BITS
from undercroft_protocol.serial.payload import unit_bytes
from undercroft_protocol.squeeze import squeeze

WINDOW_FRAMES = BITMAP_BITS - 64
"""Fewer than an acknowledgement can name, so that pings fit between."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message and what is sent in its place."""

    length: int
    digest: bytes
    squeezed: bytes

    @classmethod
    def of(cls, message: bytes) -> Outgoing:
        return cls(len(message), hashlib.sha256(message).digest(), squeeze(message))


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the squeezed message under way in one frame; no bytes at all: the announcement."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


ANNOUNCEMENT = Piece(0, 0)


class Transfer:
    """One message on its way out. `number` rises with every message of a session."""

    __slots__ = (
        "_asked_at",
        "_due",
        "_fresh",
        "_under_way",
        "_under_way_bytes",
        "acknowledged",
        "first",
        "message",
        "number",
        "restarts",
        "unit",
    )

    def __init__(self, message: Outgoing, *, number: int, first: int) -> None:
        self.message = message
        self.unit = unit_bytes(len(message.squeezed))
        self.number = number
        self.restarts = -1
        self._asked_at = -1
        self.restart(first)

    def restart(self, first: int) -> None:
        """Begin again from the announcement, which will have the sequence number `first` or a later one."""
        self.first = first
        self.restarts += 1
        self.acknowledged = 0
        self._fresh = 0
        self._due: deque[Piece] = deque([ANNOUNCEMENT])
        self._under_way: dict[int, tuple[Piece, float]] = {}
        self._under_way_bytes = 0

    @property
    def all_sent(self) -> bool:
        """There is nothing to send unless something is lost."""
        return not self._due and self._fresh == len(self.message.squeezed)

    def asks(self) -> bool:
        """All is sent, and something has arrived since this was asked last: a question is worth its bytes.

        A receiver that takes nothing at present is asked by a timer, not as fast as the line goes.
        """
        if not self.all_sent or self._asked_at == self.acknowledged:
            return False
        self._asked_at = self.acknowledged
        return True

    @property
    def settled(self) -> bool:
        """Every frame was taken by the other side."""
        return self.all_sent and not self._under_way

    @property
    def progress(self) -> int:
        """How much has arrived, in bytes of the message."""
        return self.message.length * self.acknowledged // len(self.message.squeezed)

    def next_piece(self, sequence: int, size: int, window: int, now: float) -> Piece | None:
        """What frame `sequence` shall carry, about `size` bytes.

        None if `window` bytes are under way, or all is sent.
        """
        if len(self._under_way) >= WINDOW_FRAMES or self._under_way_bytes >= window:
            return None
        size = max(size - size % self.unit, self.unit)
        if self._due:
            piece = self._due.popleft()
            if piece.size > size:
                self._due.appendleft(Piece(piece.start + size, piece.stop))
                piece = Piece(piece.start, piece.start + size)
        elif self._fresh < len(self.message.squeezed):
            piece = Piece(self._fresh, min(self._fresh + size, len(self.message.squeezed)))
            self._fresh = piece.stop
        else:
            return None
        self._under_way[sequence] = (piece, now)
        self._under_way_bytes += piece.size
        return piece

    def acknowledge(self, latest: int, missed: int) -> tuple[list[Piece], list[Piece], float | None]:
        """Take an acknowledgement: bit i of `missed` is frame `latest - i`.

        Returns the pieces that arrived, those that were lost (they will be sent again), and when the newest of
        the arrived ones was sent.
        """
        arrived: list[Piece] = []
        lost: list[Piece] = []
        sent_at: float | None = None
        for sequence in [number for number in self._under_way if number <= latest]:
            piece, when = self._under_way.pop(sequence)
            self._under_way_bytes -= piece.size
            behind = latest - sequence
            if behind < BITMAP_BITS and not missed >> behind & 1:
                arrived.append(piece)
                self.acknowledged += piece.size
                sent_at = when
            else:
                lost.append(piece)
                # Without the announcement the other side takes none of the pieces.
                (self._due.appendleft if piece is ANNOUNCEMENT else self._due.append)(piece)
        return arrived, lost, sent_at
