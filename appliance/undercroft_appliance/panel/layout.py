"""How a notice or a question is laid out: plain rows of ASCII for a terminal of a given width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from undercroft_protocol.errors import MessageError

from ..internal import Notice, Question

MARGIN: Final = "  "
CONTINUED: Final = "+ "
"""The margin of a row that goes on with the line above. No text reaches the margin, so no text can forge it."""
_LEAST_WIDTH: Final = 20


def block(message: Notice | Question, width: int) -> list[str]:
    """All rows of a notice, or of a question with its prompt and its choices; the first one is the ruled title."""
    rows = [ruled(message.title, width), ""]
    for line in message.lines:
        rows += wrapped(line, width)
    if isinstance(message, Question):
        if message.lines:
            rows.append("")
        rows += asked(message, width)
    return rows


def asked(question: Question, width: int) -> list[str]:
    """The rows with the prompt and the numbered choices."""
    rows = wrapped(question.prompt, width)
    for number, choice in enumerate(question.choices, start=1):
        rows += wrapped(f"{number:4}  {choice}", width)
    return rows


def ruled(title: str, width: int) -> str:
    """The title in a rule of the terminal's width, or longer if the title is."""
    return f"--- {checked(title)} ".ljust(max(width, _LEAST_WIDTH) - 1, "-")


def wrapped(line: str, width: int) -> list[str]:
    """The rows of one line: cut where a word ends if that can be done, and every character is in one of them."""
    room = max(width, _LEAST_WIDTH) - len(MARGIN) - 1
    rest = checked(line)
    rows = []
    while len(rest) > room:
        cut = rest.rfind(" ", room // 2, room) + 1 or room
        rows.append(rest[:cut])
        rest = rest[cut:]
    rows.append(rest)
    return [(CONTINUED if number else MARGIN) + row for number, row in enumerate(rows)] if line else [""]


def checked(text: str) -> str:
    """The text itself. Raises MessageError if it is not printable ASCII, which the types of messages already forbid."""
    # Attack: escape sequences that clear the screen or move the cursor back make it show what nobody sent.
    if not (text.isascii() and text.isprintable()):
        raise MessageError("text for the screen must be printable ASCII")
    return text


def paged(rows: Sequence[str], height: int) -> tuple[list[str], list[str]]:
    """The rows that fit a screen of `height` rows with one to spare, and those that do not; 0 means no paging."""
    room = len(rows) if height <= 0 or len(rows) < height else max(height - 1, 1)
    return list(rows[:room]), list(rows[room:])
