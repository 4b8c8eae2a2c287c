"""Asking the owner. While a question is open the line is still heard: a freeze or a lock acts at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

from undercroft_appliance.internal import (
    Answer,
    Command,
    Notice,
    PassphraseOver,
    PassphraseTurn,
    Question,
    Withdrawn,
    Yielded,
)

from .clock import Clock
from .refusals import INTERRUPTED, OWNER_TIMEOUT, Refusal
from .text import wrapped
from .wires import Event, FromPanel, FromPort, TerminalReady, Wires

ASK_SECONDS: Final = 600
TURN_TITLE: Final = "Passphrase"
MOST_LINES: Final = 4000
_GLANCE_SECONDS: Final = 1.0
_Found = TypeVar("_Found")


class Attention(Protocol):
    """What goes on beside an open question."""

    def epoch(self) -> bytes:
        """Changes when the appliance is locked: then the question is void."""

    def port_message(self, message: FromPort) -> None:
        """A message from outside, to be answered while a question is open."""

    def command(self, name: str) -> None:
        """The owner typed a command instead of an answer."""

    def tick(self) -> None:
        """Time passes: lock what is overdue."""


class OwnerScreen:
    """Shows, asks, and lends the keyboard to the keyring. ``ask_seconds`` is how long a question stays open.

    ``question`` is the number that the last question had.
    """

    def __init__(
        self, wires: Wires, clock: Clock, attention: Attention, ask_seconds: float = ASK_SECONDS, *, question: int = 0
    ) -> None:
        self._wires = wires
        self._clock = clock
        self._attention = attention
        self._ask_seconds = ask_seconds
        self._number = question

    @property
    def question(self) -> int:
        """The number of the last question. The next process goes on from it: no old answer counts for a new one."""
        return self._number

    def notice(self, title: str, lines: Sequence[str] = ()) -> None:
        """Show something; nothing is asked. What is longer than 4000 lines goes on in further notices."""
        shown = wrapped(lines)
        for at in range(0, max(len(shown), 1), MOST_LINES):
            self._wires.send_panel(Notice(wrapped([title])[0], shown[at : at + MOST_LINES]))

    def ask(self, title: str, lines: Sequence[str], prompt: str, choices: Sequence[str]) -> str:
        """One of ``choices``, as the owner chose. Raises Refusal (owner-timeout, interrupted)."""
        deadline = self._clock.now() + self._ask_seconds
        while True:
            answer = self._question(title, lines, prompt, tuple(choices), deadline)
            # The panel is another process: what it says is checked again.
            if answer in choices:
                return answer

    def text(self, title: str, lines: Sequence[str], prompt: str) -> str:
        """A line of text (at most 200 characters) without spaces around it. Raises Refusal as ``ask``."""
        return self._question(title, lines, prompt, (), self._clock.now() + self._ask_seconds).strip()

    @contextmanager
    def passphrase_turn(self, prompt: str, title: str = TURN_TITLE) -> Iterator[Callable[[str], None]]:
        """The panel stops to read the keyboard; gives the ``announce`` that the keyring calls before it reads a line.

        ``announce`` shows the keyring's prompt and waits until a line is there, so that a freeze is heard meanwhile;
        each line may take ``ask_seconds``. Raises Refusal as ``ask``.
        """
        number = self._next_number()
        deadline = self._clock.now() + self._ask_seconds
        self._wires.send_panel(PassphraseTurn(number, prompt))
        try:
            self._wait(lambda event: self._is_yield(event, number), deadline, terminal=False)
            yield lambda line: self._announce(title, line)
        finally:
            self._wires.send_panel(PassphraseOver(number))

    def _announce(self, title: str, line: str) -> None:
        self.notice(title, [line])
        deadline = self._clock.now() + self._ask_seconds
        self._wait(lambda event: event if isinstance(event, TerminalReady) else None, deadline, terminal=True)

    def _question(
        self, title: str, lines: Sequence[str], prompt: str, choices: tuple[str, ...], deadline: float
    ) -> str:
        number = self._next_number()
        shown = wrapped(lines)
        # Never cut off: what one question cannot hold is shown before it.
        if len(shown) > MOST_LINES:
            self.notice(title, shown[:-MOST_LINES])
        self._wires.send_panel(Question(number, title, shown[-MOST_LINES:], prompt, choices))
        try:
            answer = self._wait(lambda event: self._answer_to(event, number), deadline, terminal=False)
        except Refusal:
            self._wires.send_panel(Withdrawn(number))
            raise
        return answer.text

    def _wait(self, wanted: Callable[[object], _Found | None], deadline: float, *, terminal: bool) -> _Found:
        epoch = self._attention.epoch()
        event: Event | None = None
        while True:
            # Before the event that came last is believed: an answer may have waited while this process was stopped.
            self._attention.tick()
            # Attack: an owner approves what was asked before the freeze.
            if self._attention.epoch() != epoch:
                raise Refusal(INTERRUPTED)
            left = deadline - self._clock.now()
            if left <= 0:
                raise Refusal(OWNER_TIMEOUT, f"{int(self._ask_seconds)} s")
            found = wanted(event)
            if found is not None:
                return found
            event = self._wires.next(min(left, _GLANCE_SECONDS), terminal=terminal)
            if isinstance(event, FromPort):
                self._attention.port_message(event)
            elif isinstance(event, FromPanel) and isinstance(event.message, Command):
                self._attention.command(event.message.name)

    @staticmethod
    def _answer_to(event: object, number: int) -> Answer | None:
        # Keys pressed for an earlier question carry its number, and count for nothing here (signers.md 81).
        if isinstance(event, FromPanel) and isinstance(event.message, Answer) and event.message.number == number:
            return event.message
        return None

    @staticmethod
    def _is_yield(event: object, number: int) -> Yielded | None:
        if isinstance(event, FromPanel) and isinstance(event.message, Yielded) and event.message.number == number:
            return event.message
        return None

    def _next_number(self) -> int:
        self._number += 1
        return self._number
