"""What the three processes of an appliance say to each other over their socket pairs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from undercroft_protocol.codec import Value
from undercroft_protocol.fields import MAX_MESSAGE_BYTES, Line, Range, Size, UInt32

WholeMessage = Annotated[bytes, Size(1, MAX_MESSAGE_BYTES)]
Lines = Annotated[tuple[Line, ...], Size(0, 4000)]


class Way(IntEnum):
    """How a message came, and so how its reply goes out: over the line, or as codes in one of these formats."""

    LINE = 0
    FAST = 1
    UR = 2
    BBQR = 3


WayNumber = Annotated[int, Range(min(Way), max(Way))]
"""The port's business alone: the keeper copies it from a message into its reply."""


@dataclass(frozen=True, slots=True)
class Inbound(Value):
    """port to keeper: one whole message, not looked into."""

    data: WholeMessage
    way: WayNumber = Way.LINE


@dataclass(frozen=True, slots=True)
class Outbound(Value):
    """keeper to port: one whole message for whoever sent the one that came this way."""

    data: WholeMessage
    way: WayNumber = Way.LINE


@dataclass(frozen=True, slots=True)
class Codes(Value):
    """keeper to port: show this on the screen for codes, in place of what stands there; nothing if it is empty."""

    data: Annotated[bytes, Size(0, MAX_MESSAGE_BYTES)]


@dataclass(frozen=True, slots=True)
class Notice(Value):
    """keeper to panel: show this; nothing is asked."""

    title: Line
    lines: Lines


@dataclass(frozen=True, slots=True)
class Question(Value):
    """keeper to panel: show this and bring back one of ``choices``, or, where there are none, a line of text."""

    number: UInt32
    title: Line
    lines: Lines
    prompt: Line
    choices: Annotated[tuple[Line, ...], Size(0, 20)]


@dataclass(frozen=True, slots=True)
class Withdrawn(Value):
    """keeper to panel: the question with this number is void (time ran out, or the appliance was frozen)."""

    number: UInt32


@dataclass(frozen=True, slots=True)
class PassphraseTurn(Value):
    """keeper to panel: show the prompt, stop reading the keyboard, and say ``Yielded``; the keeper reads the terminal
    itself until ``PassphraseOver``, so that a passphrase never passes through the panel."""

    number: UInt32
    prompt: Line


@dataclass(frozen=True, slots=True)
class PassphraseOver(Value):
    """keeper to panel: the keyboard is yours again."""

    number: UInt32


@dataclass(frozen=True, slots=True)
class Yielded(Value):
    """panel to keeper: I no longer read the keyboard."""

    number: UInt32


@dataclass(frozen=True, slots=True)
class Answer(Value):
    """panel to keeper: what the owner typed in answer to this question (one of its choices, or text)."""

    number: UInt32
    text: Line


@dataclass(frozen=True, slots=True)
class Command(Value):
    """panel to keeper: what the owner wants of their own accord: ``lock``, ``freeze`` with or without a reason,
    ``held``, ``log``, ``status``, ``help``."""

    name: Line


KINDS: tuple[type[Value], ...] = (
    Inbound,
    Outbound,
    Notice,
    Question,
    Withdrawn,
    PassphraseTurn,
    PassphraseOver,
    Yielded,
    Answer,
    Command,
    Codes,
)
