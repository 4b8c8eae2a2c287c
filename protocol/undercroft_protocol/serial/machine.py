"""The serial link as a pure state machine: bytes and time in, bytes and whole messages out; no I/O."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from undercroft_protocol.errors import LinkDeadError, LinkError
from undercroft_protocol.link import Progress
from undercroft_protocol.serial import payload
from undercroft_protocol.serial.assembly import BITMAP_BITS
from undercroft_protocol.serial.frame import NO_TAG, Frame, FrameReader, Kind, encode_frame, whole_sequence
from undercroft_protocol.serial.handshake import NOBODY, SESSION_BYTES, Greeting, Identity
from undercroft_protocol.serial.pace import PieceSize, Window
from undercroft_protocol.serial.pulse import Pulse
from undercroft_protocol.serial.receiver import Receiver
from undercroft_protocol.serial.transfer import ANNOUNCEMENT, Outgoing, Transfer

DEFAULT_MAX_MESSAGE_BYTES = 4 * 1024 * 1024
MOST_MESSAGE_BYTES = 128 * 1024 * 1024 - 1
"""What the places of pieces reach."""
MAX_QUEUED_MESSAGES = 64
WRITE_BYTES = 4096
"""`outgoing` stops after the frame that reaches this: an answer never waits behind a whole window."""

_MAX_RESTARTS = 100
_NEW_SESSION_AT = 2**31
"""Sequence numbers have 32 bits: between two messages a new session begins long before they run out."""


@dataclass(slots=True)
class Counters:
    """What happened on the line since the start."""

    frames_sent: int = 0
    frames_received: int = 0
    retransmissions: int = 0
    crc_errors: int = 0
    """Pieces between two zeros that were no frame: noise, a wrong CRC, another session's."""
    repairs: int = 0
    """Frames with one wrong bit that was put right."""
    digest_errors: int = 0
    malformed: int = 0
    """Good frames that make no sense: only a faulty or hostile peer sends them."""
    echoes: int = 0
    other_versions: int = 0
    """Greetings of another version of the link."""


class LinkMachine:
    """One end of a reliable line for whole messages.

    `clock` gives seconds that never go back, `entropy` n random bytes. Messages arrive whole, checked against
    their SHA-256, in order, each exactly once while both sides live. A message whose sender was restarted is
    dropped; one whose receiver was restarted is sent again from its start. `dead_after` is in seconds. Raises
    LinkError if `max_message_bytes` is more than the link can carry.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        entropy: Callable[[int], bytes],
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        dead_after: float = 10.0,
    ) -> None:
        if max_message_bytes > MOST_MESSAGE_BYTES:
            raise LinkError(f"messages of {max_message_bytes} bytes; at most {MOST_MESSAGE_BYTES} can be carried")
        self._clock = clock
        self._entropy = entropy
        self._limit = max_message_bytes
        self._identity = Identity(entropy(SESSION_BYTES))
        self._reader = FrameReader()
        self._receiver = Receiver(self._identity, limit=max_message_bytes)
        self._pulse = Pulse(dead_after)
        self._watching = False
        self._counters = Counters()
        self._sequence = 1
        self._outbox: deque[Outgoing] = deque()
        self._transfer: Transfer | None = None
        self._message_number = 0
        self._piece_size = PieceSize()
        self._window = Window()
        self._delivered = 0
        self._refusals: deque[LinkError] = deque()
        self._sent_progress = (0, 0)
        self._hello_to: bytes | None = NOBODY
        self._ping_now = False
        self._last_ping = (0, 0.0)

    # What the owner of the machine asks for.

    def send(self, message: bytes) -> None:
        """Squeeze and queue a message. `delivered` rises when the other side has checked and taken it.

        Raises LinkError if it is longer than `max_message_bytes` or if 64 messages are waiting.
        """
        if len(message) > self._limit:
            raise LinkError(f"a message of {len(message)} bytes; at most {self._limit} can be sent")
        if len(self._outbox) >= MAX_QUEUED_MESSAGES:
            raise LinkError(f"{MAX_QUEUED_MESSAGES} messages are waiting already; nothing takes them")
        self._outbox.append(Outgoing.of(message))
        self._update_waiting()

    def cancel(self) -> None:
        """Give up all queued messages. The one under way may have been delivered all the same."""
        self._outbox.clear()
        self._transfer = None
        self._update_waiting()

    def watch(self, watching: bool) -> None:
        """While watching, the other side is asked for signs of life although nothing is being sent."""
        self._watching = watching
        self._update_waiting()

    def messages(self) -> list[bytes]:
        """Take the messages that have arrived. While 16 lie here untaken no further one is accepted."""
        return self._receiver.messages()

    @property
    def unread(self) -> bool:
        """`messages` has something to give."""
        return self._receiver.unread

    @property
    def idle(self) -> bool:
        """Every message queued was delivered, refused or cancelled."""
        return self._transfer is None and not self._outbox

    @property
    def delivered(self) -> int:
        """How many of our messages the other side has acknowledged as whole."""
        return self._delivered

    @property
    def counters(self) -> Counters:
        """Live counters; read only."""
        self._counters.crc_errors = self._reader.errors
        self._counters.repairs = self._reader.repairs
        self._counters.digest_errors = self._receiver.digest_errors
        return self._counters

    def progress(self) -> Progress:
        """How far the current or last message is, each way."""
        if self._transfer is not None:
            self._sent_progress = (self._transfer.progress, self._transfer.message.length)
        return Progress(*self._sent_progress, *self._receiver.progress)

    # Time.

    def next_deadline(self) -> float | None:
        """When `poll` has something to do (seconds on the clock); None if only new bytes can change that."""
        refused_at = self._clock() if self._refusals else None
        times = (refused_at, self._receiver.ack_at, self._pulse.deadline())
        return min((time for time in times if time is not None), default=None)

    def poll(self) -> None:
        """Run what is due.

        Raises LinkError for a message that the other side refused, LinkDeadError if nothing was heard for
        `dead_after` seconds while something was waited for. The machine stays usable: a refused message is
        dropped alone, a dead line drops all that was queued.
        """
        if self._refusals:
            raise self._refusals.popleft()
        now = self._clock()
        self._receiver.tick(now)
        if self._pulse.dead(now):
            self._identity.forget()
            self._reader.tags = self._identity.tags
            self._receiver.begin_again()
            self._watching = False
            self.cancel()
            raise LinkDeadError(self._diagnosis())
        if self._pulse.probe_due(now):
            if not self._identity.known or self._pulse.unanswered > 2:
                self._hello_to = self._identity.peer
            self._ping_now = self._identity.known

    def _update_waiting(self) -> None:
        if self.idle and not self._watching:
            self._pulse.stop()
        else:
            self._pulse.start(self._clock(), sending=not self.idle, known=self._identity.known)

    def _diagnosis(self) -> str:
        counters = self.counters
        if counters.other_versions and not counters.frames_received:
            return "the other side speaks another version; update the older one"
        if counters.echoes and not counters.frames_received:
            return "only our own frames came back; the line is looped"
        if counters.crc_errors and not counters.frames_received:
            return "only noise was received; check that both sides use the same speed and the same version"
        return f"nothing was heard for {self._pulse.dead_after:g} s"

    # Bytes in.

    def feed(self, data: bytes) -> None:
        """Take what the line brought, in pieces of any size. Never raises, whatever the bytes are."""
        for frame in self._reader.feed(data):
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        if frame.tag == self._identity.tag_out != NO_TAG:
            self._counters.echoes += 1
            return
        try:
            if frame.kind is Kind.HELLO:
                self._on_hello(frame)
            else:
                self._counters.frames_received += 1
                self._pulse.heard(self._clock())
                self._on_peer(frame)
        # A peer that frames nonsense correctly must not stop the reader.
        except struct.error:
            self._counters.malformed += 1

    def _on_hello(self, frame: Frame) -> None:
        version, sender, receiver, following = payload.HELLO.unpack_from(frame.payload)
        if version != payload.LINK_VERSION:
            self._counters.other_versions += 1
            return
        greeting = self._identity.greet(sender, receiver)
        if greeting is Greeting.ECHO:
            self._counters.echoes += 1
            return
        self._counters.frames_received += 1
        if greeting is not Greeting.KNOWN:
            self._hello_to = sender
        if greeting is not Greeting.ASKS:
            self._pulse.heard(self._clock())
        if greeting is Greeting.NEW_PEER:
            self._reader.tags = self._identity.tags
            self._receiver.begin_again(following - 1)
            self._ping_now = False
            if self._transfer is not None:
                self._transfer.restart(self._sequence)

    def _on_peer(self, frame: Frame) -> None:
        ours = frame.kind in (Kind.ACK, Kind.RESET)
        whole = whole_sequence(frame.sequence, self._sequence if ours else self._receiver.latest)
        if whole < 0:
            self._counters.malformed += 1
            return
        frame = replace(frame, sequence=whole)
        match frame.kind:
            case Kind.OPEN:
                self._receiver.on_open(frame, self._clock())
            case Kind.DATA:
                self._receiver.on_data(frame, self._clock())
            case Kind.PING:
                self._receiver.on_ping(frame, self._clock())
            case Kind.ACK:
                self._on_ack(frame)
            case Kind.RESET:
                self._on_reset(frame)

    def _on_ack(self, frame: Frame) -> None:
        (delivered,) = payload.ACK.unpack_from(frame.payload)
        bitmap = frame.payload[payload.ACK.size :]
        # Attack: an acknowledgement of frames never sent is believed for those that come.
        if frame.sequence >= self._sequence or len(bitmap) * 8 > BITMAP_BITS:
            self._counters.malformed += 1
            # Attack: an old frame, played again, looks like one far ahead, behind which the other side hears nothing.
            if self._sequence <= frame.sequence < _NEW_SESSION_AT:
                self._sequence = frame.sequence + 1
            return
        if frame.sequence == self._last_ping[0]:
            self._pulse.round_trip(self._clock() - self._last_ping[1])
        transfer = self._transfer
        if transfer is None:
            return
        arrived, lost, sent_at = transfer.acknowledge(frame.sequence, int.from_bytes(bitmap, "little"))
        for pieces, was_lost in ((arrived, False), (lost, True)):
            for piece in pieces:
                self._piece_size.note(piece.size or payload.OPEN.size, lost=was_lost)
        self._counters.retransmissions += len(lost)
        if sent_at is not None:
            seconds = self._clock() - sent_at
            self._pulse.round_trip(seconds)
            self._window.note(sum(piece.size for piece in arrived), seconds)
        if delivered >= transfer.number:
            self._sent_progress = (transfer.message.length, transfer.message.length)
            self._delivered += 1
            self._transfer = None
            self._update_waiting()
        elif transfer.settled:
            self._send_again(transfer)

    def _on_reset(self, frame: Frame) -> None:
        reason, number, limit = payload.RESET.unpack(frame.payload)
        transfer = self._transfer
        if transfer is None or frame.sequence >= self._sequence:
            return
        if reason == payload.Reason.TOO_LONG and number == transfer.number:
            length = transfer.message.length
            self._drop(f"a message of {length} bytes was refused; the other side takes at most {limit}")
        elif reason == payload.Reason.UNKNOWN_MESSAGE and frame.sequence >= transfer.first:
            self._send_again(transfer)

    def _send_again(self, transfer: Transfer) -> None:
        # Attack: a peer that always loses the message keeps us sending for ever.
        if transfer.restarts >= _MAX_RESTARTS:
            self._drop(f"the other side lost the message {_MAX_RESTARTS} times")
        else:
            transfer.restart(self._sequence)

    def _drop(self, why: str) -> None:
        self._transfer = None
        self._refusals.append(LinkError(why))
        self._update_waiting()

    # Bytes out.

    def outgoing(self) -> bytes:
        """The bytes to write now, about 4 kB; call again when they are written, until nothing comes."""
        out = bytearray()
        if self._hello_to is not None:
            # The zero in front ends whatever garbage the other side has read so far.
            hello = payload.HELLO.pack(payload.LINK_VERSION, self._identity.session, self._hello_to, self._sequence)
            out += b"\0" + self._frame(Kind.HELLO, 0, hello)
            self._hello_to = None
        if not self._identity.known:
            return bytes(out)
        for kind, sequence, content in self._receiver.replies():
            out += self._frame(kind, sequence, content)
        if self._ping_now:
            out += b"\0" + self._ping()
        self._start_transfer()
        while self._transfer is not None and len(out) < WRITE_BYTES:
            frame = self._next_piece(self._transfer)
            if frame is None:
                break
            out += frame
            # Behind the last frame follows nothing that would show its loss: this does, sooner than a timer.
            if self._transfer.asks():
                out += self._ping()
        return bytes(out)

    def _ping(self) -> bytes:
        self._ping_now = False
        self._last_ping = (self._take_sequence(), self._clock())
        return self._frame(Kind.PING, self._last_ping[0], b"")

    def _start_transfer(self) -> None:
        if self._transfer is not None or not self._outbox:
            return
        if self._sequence >= _NEW_SESSION_AT:
            self._identity.renew(self._entropy(SESSION_BYTES))
            self._reader.tags = self._identity.tags
            self._sequence = 1
            self._hello_to = NOBODY
            return
        self._message_number += 1
        self._transfer = Transfer(self._outbox.popleft(), number=self._message_number, first=self._sequence)

    def _next_piece(self, transfer: Transfer) -> bytes | None:
        now = self._clock()
        size = self._piece_size.bytes_now()
        piece = transfer.next_piece(self._sequence, size, self._window.bytes_for(size), now)
        if piece is None:
            return None
        self._pulse.sent(now)
        sequence = self._take_sequence()
        if piece is ANNOUNCEMENT:
            message = transfer.message
            content = payload.OPEN.pack(
                transfer.number, transfer.first, message.length, len(message.squeezed), message.digest
            )
            return b"\0" + self._frame(Kind.OPEN, sequence, content)
        content = payload.DATA.pack(piece.start // transfer.unit) + transfer.message.squeezed[piece.start : piece.stop]
        return self._frame(Kind.DATA, sequence, content)

    def _take_sequence(self) -> int:
        self._sequence += 1
        return self._sequence - 1

    def _frame(self, kind: Kind, sequence: int, content: bytes) -> bytes:
        self._counters.frames_sent += 1
        tag = NO_TAG if kind is Kind.HELLO else self._identity.tag_out
        return encode_frame(Frame(kind, tag, sequence, content))
