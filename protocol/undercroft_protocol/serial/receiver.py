"""The receiving half of the link: announcements and pieces in, acknowledgements and whole messages out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from undercroft_protocol.errors import FrameError
from undercroft_protocol.serial import payload
from undercroft_protocol.serial.assembly import BITMAP_BITS, Assembly, TakenFrames
from undercroft_protocol.serial.frame import Frame, Kind
from undercroft_protocol.serial.handshake import Identity

MAX_UNREAD_MESSAGES = 16
_ACK_EVERY_FRAMES = 4
_ACK_EVERY_BYTES = 512
_ACK_DELAY = 0.02


class Receiver:
    """Takes the frames of the known peer that carry its messages. `limit` is the longest message in bytes.

    Times are seconds on the caller's clock.
    """

    __slots__ = (
        "_ack_now",
        "_assembly",
        "_identity",
        "_inbox",
        "_limit",
        "_refused_number",
        "_reset",
        "_taken",
        "_unacknowledged",
        "_unacknowledged_bytes",
        "ack_at",
        "digest_errors",
        "progress",
    )

    def __init__(self, identity: Identity, *, limit: int) -> None:
        self._identity = identity
        self._limit = limit
        self._inbox: deque[bytes] = deque()
        self.digest_errors = 0
        self.progress = (0, 0)
        """Bytes received and expected of the current or last message."""
        self.begin_again()

    def begin_again(self, latest: int = 0) -> None:
        """There is a new peer, or none: what was half received is dropped. Its next frame is `latest` + 1."""
        self._assembly: Assembly | None = None
        self._taken = TakenFrames(latest)
        self._refused_number: int | None = None
        self._reset: tuple[int, payload.Reason, int] | None = None
        self._unacknowledged = 0
        self._unacknowledged_bytes = 0
        self._ack_now = False
        self.ack_at: float | None = None

    def messages(self) -> list[bytes]:
        """Take the messages that have arrived."""
        taken = list(self._inbox)
        self._inbox.clear()
        return taken

    @property
    def latest(self) -> int:
        """The highest sequence number heard of the peer."""
        return self._taken.latest

    @property
    def unread(self) -> bool:
        """There are messages that nobody has taken yet."""
        return bool(self._inbox)

    def tick(self, now: float) -> None:
        """An acknowledgement that was held back may be due."""
        if self.ack_at is not None and now >= self.ack_at:
            self._ack_now = True

    def replies(self) -> Iterator[tuple[Kind, int, bytes]]:
        """Kind, sequence number and payload of the frames to answer with, each once."""
        if self._ack_now:
            content = payload.ACK.pack(self._identity.delivered) + self._taken.bitmap()
            yield Kind.ACK, self._taken.latest, content
            self._ack_now = False
            self.ack_at = None
            self._unacknowledged = 0
            self._unacknowledged_bytes = 0
        if self._reset is not None:
            sequence, reason, number = self._reset
            yield Kind.RESET, sequence, payload.RESET.pack(reason, number, min(self._limit, 2**32 - 1))
            self._reset = None

    def on_open(self, frame: Frame, now: float) -> None:
        """An announcement. Raises struct.error if it is malformed."""
        number, first, length, squeezed, digest = payload.OPEN.unpack(frame.payload)
        if number <= self._identity.delivered:
            self._note(frame, now, taken=True, urgent=True)
            return
        if self._assembly is not None and first <= self._assembly.first:
            self._note(frame, now, taken=first == self._assembly.first, urgent=True)
            return
        if self._full:
            return
        # Attack: an announced gigabyte; it is refused before a byte of it is allocated.
        if length > self._limit or squeezed > length + 1:
            self._assembly = None
            self._refused_number = number
            self._reset = (frame.sequence, payload.Reason.TOO_LONG, number)
            return
        self._refused_number = None
        self._assembly = Assembly(number=number, first=first, length=length, squeezed=squeezed, digest=digest)
        self._note(frame, now, taken=True, urgent=True)
        self._proceed(self._assembly)

    def on_data(self, frame: Frame, now: float) -> None:
        """A piece of a message. Raises struct.error if it is malformed."""
        (place,) = payload.DATA.unpack_from(frame.payload)
        assembly = self._assembly
        # Attack: noise that is repaired into a frame; one of this message comes soon after those heard.
        if frame.repaired and (assembly is None or not 0 < frame.sequence - self.latest < BITMAP_BITS):
            return
        if assembly is None:
            if self._refused_number is not None:
                # It belongs to the refused message, or to the next one, whose announcement was lost.
                self._reset = (frame.sequence, payload.Reason.TOO_LONG, self._refused_number)
                self._note(frame, now, taken=False, urgent=True)
            elif not self._full:
                self._reset = (frame.sequence, payload.Reason.UNKNOWN_MESSAGE, 0)
            return
        # Attack: a late piece of an earlier attempt, or of an earlier message, gets into this one.
        taken = frame.sequence >= assembly.first and assembly.add(place, frame.payload[payload.DATA.size :])
        self._note(frame, now, taken=taken, urgent=not taken)
        self._proceed(assembly)

    def on_ping(self, frame: Frame, now: float) -> None:
        """A question whether we are there and what we have."""
        self._note(frame, now, taken=True, urgent=True)
        if self._refused_number is not None:
            self._reset = (frame.sequence, payload.Reason.TOO_LONG, self._refused_number)

    @property
    def _full(self) -> bool:
        # Attack: messages that nobody fetches fill the memory; the sender has to wait.
        return len(self._inbox) >= MAX_UNREAD_MESSAGES

    def _note(self, frame: Frame, now: float, *, taken: bool, urgent: bool) -> None:
        self._taken.note(frame.sequence, taken=taken)
        self._unacknowledged += 1
        self._unacknowledged_bytes += len(frame.payload)
        many = self._unacknowledged >= _ACK_EVERY_FRAMES or self._unacknowledged_bytes >= _ACK_EVERY_BYTES
        if urgent or many or self._taken.gap:
            self._ack_now = True
        elif self.ack_at is None:
            self.ack_at = now + _ACK_DELAY

    def _proceed(self, assembly: Assembly) -> None:
        self.progress = (assembly.progress, assembly.length)
        if not assembly.complete:
            return
        self._assembly = None
        self._ack_now = True
        # Bytes that slipped through the CRCs end here; the acknowledgement without delivery has them sent
        # again.
        try:
            message = assembly.verified()
        except FrameError:
            self.digest_errors += 1
            return
        self._inbox.append(message)
        self._identity.delivered = assembly.number
