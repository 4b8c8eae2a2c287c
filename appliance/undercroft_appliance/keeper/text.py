"""Text for the owner's screen and the log: printable ASCII, whole, in lines of at most 200 characters."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Final

LINE_CHARACTERS: Final = 200
CONTINUED: Final = "  + "
"""What a row begins with that goes on with the line above."""
_SATS_PER_BTC: Final = 100_000_000
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


def amount(amount_sats: int) -> str:
    """Satoshis and the exact decimal of bitcoin, made of integers: ``150000 sats (0.00150000 BTC)``."""
    return f"{amount_sats} sats ({amount_sats // _SATS_PER_BTC}.{amount_sats % _SATS_PER_BTC:08d} BTC)"


def moment(utc: int) -> str:
    """A time (seconds since 1970) as ``2026-11-22 14:20:05 UTC``."""
    # The widest time of the protocol (2^40 s) lies beyond what the calendar of the standard library knows.
    if utc > 253_402_300_799:
        return f"{utc} s after 1970"
    return datetime.datetime.fromtimestamp(utc, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: int) -> str:
    """``90 s``, ``45 min``, ``8 h``, ``7 d``: the largest unit that is exact."""
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds and seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def minute_of_day(minute: int) -> str:
    """A minute of the day as ``08:30``."""
    return f"{minute // _MINUTE:02d}:{minute % _MINUTE:02d}"


def ascii_text(text: str) -> str:
    """The text with every character that is not printable ASCII written as ``?``: a screen must not be steered."""
    return "".join(one if one.isascii() and one.isprintable() else "?" for one in text)


def wrapped(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines in ASCII, longer ones broken and their rows marked, never cut off."""
    room = LINE_CHARACTERS - len(CONTINUED)
    parts: list[str] = []
    for line in lines:
        text = ascii_text(line)
        parts.append(text[:LINE_CHARACTERS])
        # Attack: a reason to freeze that is so long that it goes on as a line of its own: another policy's code.
        parts.extend(CONTINUED + text[at : at + room] for at in range(LINE_CHARACTERS, len(text), room))
    return tuple(parts)
