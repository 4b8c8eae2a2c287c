"""Good inputs of the targets of the serial link."""

from __future__ import annotations

import hashlib
from typing import Final

from undercroft_protocol.serial import payload
from undercroft_protocol.serial.frame import NO_TAG, Frame, Kind, encode_frame
from undercroft_protocol.squeeze import squeeze

TAG: Final = b"tagg"
"""The tag of the session that frames belong to."""


def serial_corpus(target: str) -> list[bytes]:
    """Of "frame", "link" or "unsqueeze"."""
    match target:
        case "frame":
            return [
                encode_frame(Frame(kind, NO_TAG if kind is Kind.HELLO else TAG, 2, b"payload"))[:-1] for kind in Kind
            ]
        case "link":
            return _talks()
        case "unsqueeze":
            text = b"words that come again, words that come again and again " * 9
            return [squeeze(message) for message in (text, bytes(5000), bytes(range(64)), b"")]
    raise ValueError(f"no target {target}")


def _talks() -> list[bytes]:
    """What a peer of the link may say: a message in two pieces; answers to ours; a probe, a refusal, bare bytes."""
    message = bytes(range(150))
    sent = squeeze(message)
    opened = payload.OPEN.pack(1, 1, len(message), len(sent), hashlib.sha256(message).digest())
    whole = [
        (Kind.OPEN, 1, opened),
        (Kind.DATA, 2, payload.DATA.pack(0) + sent[:100]),
        (Kind.DATA, 3, payload.DATA.pack(100) + sent[100:]),
    ]
    answers = [(Kind.ACK, number, payload.ACK.pack(0) + b"\x02") for number in range(1, 6)]
    end = [
        (Kind.ACK, 3, payload.ACK.pack(1)),
        (Kind.RESET, 1, payload.RESET.pack(payload.Reason.UNKNOWN_MESSAGE, 0, 0)),
        (Kind.PING, 4, b""),
    ]
    talks = (whole, answers, end, whole + answers + end)
    written = [
        b"".join(bytes((kind,)) + number.to_bytes(2, "big") + bytes((len(said),)) + said for kind, number, said in talk)
        for talk in talks
    ]
    return [*written, b"\x00\x00\x00\x05\x00noise" + written[0]]
