"""What is fuzzed of the serial link: frames, the machine behind them, compression."""

from __future__ import annotations

from typing import Final

from fuzz.serial_corpus import TAG
from undercroft_protocol.errors import LinkError, ProtocolError, SqueezeError
from undercroft_protocol.serial.frame import NO_TAG, Frame, Kind, decode_frame, encode_frame
from undercroft_protocol.serial.handshake import tag_of
from undercroft_protocol.serial.machine import LinkMachine
from undercroft_protocol.serial.payload import HELLO, LINK_VERSION
from undercroft_protocol.squeeze import squeeze, unsqueeze

_LIMIT: Final = 100_000
"""Bytes of a message that a link takes here."""


def fuzz_frame(data: bytes) -> None:
    """Only ProtocolError: what stands on the line between two delimiters."""
    try:
        decode_frame(data, (TAG, NO_TAG))
    except ProtocolError:
        return


def fuzz_link(data: bytes) -> None:
    """Nothing but LinkError, from a peer that frames correctly what it likes; it never makes us talk without end.

    The bytes say what comes: kind (1), sequence number (2), length (1), so many bytes of payload; kind 0: bare bytes.
    """
    now = [0.0]
    machine = LinkMachine(
        clock=lambda: now[0], entropy=lambda count: b"\x11" * count, max_message_bytes=_LIMIT, dead_after=10.0
    )
    own, peer = b"\x11" * 8, b"stranger"
    machine.feed(encode_frame(Frame(Kind.HELLO, NO_TAG, 0, HELLO.pack(LINK_VERSION, peer, own, 1))))
    machine.send(bytes(range(200)))
    tag, heard, said = tag_of(peer, own), 0, 0
    while len(data) >= 4:
        kind, sequence, content = data[0] % 7, int.from_bytes(data[1:3], "big"), data[4 : 4 + data[3]]
        data = data[4 + len(content) :]
        wire = content
        if kind:
            wire = encode_frame(Frame(Kind(kind), NO_TAG if kind == Kind.HELLO else tag, sequence, content))
        heard += len(wire)
        machine.feed(wire)
        now[0] += 0.05
        try:
            machine.poll()
        except LinkError:
            machine.send(b"again")
        said += len(machine.outgoing())
        if any(len(message) > _LIMIT for message in machine.messages()):
            raise AssertionError("more than the limit")
    # The 200 bytes, told again at most so often; a probe and an answer for each thing heard.
    if said > 20_000 + 100 * heard:
        raise AssertionError(f"{said} bytes said, {heard} heard")


def fuzz_unsqueeze(data: bytes) -> None:
    """Only SqueezeError, never more than the limit; what comes out goes in again."""
    try:
        message = unsqueeze(data, limit=_LIMIT)
    except SqueezeError:
        return
    if len(message) > _LIMIT or unsqueeze(squeeze(message), limit=_LIMIT) != message:
        raise AssertionError("more than the limit, or another message")
