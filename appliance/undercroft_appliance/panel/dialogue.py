"""The talk with the owner: which question is on the screen, and what a typed line means at this moment."""

from __future__ import annotations

import selectors
from collections import deque
from typing import Final, NoReturn

from undercroft_protocol.codec import Value

from ..channel import Channel
from ..errors import ChannelError
from ..internal import (
    Answer,
    Command,
    Notice,
    PassphraseOver,
    PassphraseTurn,
    Question,
    Withdrawn,
    Yielded,
)
from . import layout
from .terminal import Terminal

COMMANDS: Final = ("lock", "held", "freeze", "log", "status", "help")
STOPS: Final = ("lock", "freeze")
"""Understood whenever no free text is asked for: any one owner can stop the signing at once. Behind ``freeze`` a reason
may follow, for the other owners."""
IDLE_PROMPT: Final = "undercroft> "
PROMPT: Final = "> "
MORE: Final = "-- more -- (Enter) "
_LONGEST_ANSWER: Final = 200


class Dialogue:
    """Shows one message of the keeper after the other and sends back the owner's answers and commands."""

    def __init__(self, keeper: Channel, terminal: Terminal) -> None:
        self._keeper = keeper
        self._terminal = terminal
        self._waiting: deque[Question] = deque()
        self._showing: Notice | Question | None = None
        self._unshown: list[str] = []
        self._question: Question | None = None
        self._prompt = ""

    def run(self) -> NoReturn:
        """Go on until the keeper is gone (ChannelError) or the terminal is (TerminalGoneError)."""
        self._show_prompt()
        with selectors.PollSelector() as selector:
            selector.register(self._keeper, selectors.EVENT_READ)
            selector.register(self._terminal, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                # The keeper comes first: a passphrase that was typed too early is thrown away unread.
                if self._keeper in ready:
                    # One by one: what follows a passphrase's turn is read while that is under way.
                    while (message := self._keeper.receive(0.0)) is not None:
                        self.take(message)
                else:
                    self.typed(self._terminal.read_line())

    def take(self, message: Value) -> None:
        """Act on a message of the keeper. Raises ChannelError if it is none for a panel."""
        if isinstance(message, Withdrawn):
            self._withdraw(message.number)
        elif isinstance(message, PassphraseTurn):
            self._yield_keyboard(message)
        elif isinstance(message, Notice):
            self._make_room()
            self._show(message)
        elif isinstance(message, Question):
            self._waiting.append(message)
            if self._question is None and not isinstance(self._showing, Question):
                self._make_room()
                self._show(self._waiting.popleft())
        else:
            raise ChannelError(f"a panel takes no {type(message).__name__}")

    def typed(self, line: bytes) -> None:
        """Act on a line that the owner typed."""
        self._prompt = ""
        text = line.decode("ascii", "replace").strip()
        stop = _stop(text)
        if stop and (self._question is None or self._question.choices):
            self._keeper.send(Command(stop))
            self._show_prompt()
        elif self._unshown:
            self._show_page()
        elif not (text.isascii() and text.isprintable()):
            self._say("Only plain letters, digits and signs are taken. Please type it again.")
        elif self._question is not None:
            self._answer(self._question, text)
        elif text.lower() in COMMANDS:
            self._keeper.send(Command(text.lower()))
            self._show_prompt()
        elif text:
            self._say(f"Please type one of: {', '.join(COMMANDS)}.")
        else:
            self._show_prompt()

    def _answer(self, question: Question, text: str) -> None:
        answer = _chosen(question, text) if question.choices else text
        if answer is None:
            self._say(f"Please type a number from 1 to {len(question.choices)}, or the word beside it.")
        elif len(answer) > _LONGEST_ANSWER:
            self._say(f"That is longer than {_LONGEST_ANSWER} characters. Please type it again.")
        else:
            self._question = None
            self._keeper.send(Answer(question.number, answer))
            self._proceed()

    def _withdraw(self, number: int) -> None:
        self._waiting = deque(question for question in self._waiting if question.number != number)
        if _is_question(self._showing, number):
            self._showing, self._unshown = None, []
        elif _is_question(self._question, number):
            self._question = None
        else:
            return
        self._terminal.discard_typed()
        self._leave_prompt()
        self._print(layout.wrapped("This question is void now; it takes no answer any more.", self._width()))
        self._proceed()

    def _yield_keyboard(self, turn: PassphraseTurn) -> None:
        # From before the prompt to after the keeper is done nothing is echoed, and the panel reads nothing.
        self._terminal.echo(on=False)
        self._leave_prompt()
        self._print(layout.wrapped(turn.prompt, self._width()))
        self._print(layout.wrapped("What you type is not shown. Enter ends it.", self._width()))
        self._keeper.send(Yielded(turn.number))
        later = []
        while (message := self._keeper.receive(None)) != PassphraseOver(turn.number):
            if isinstance(message, Notice):
                self._show_at_once(message)
            elif message is not None:
                later.append(message)
        # What was typed after the keeper stopped reading may be a passphrase: it is thrown away unread.
        self._terminal.echo(on=True)
        self._prompt = ""
        self._terminal.write("\n")
        self._proceed(repeat=not self._unshown)
        for message in later:
            self.take(message)

    def _show_at_once(self, notice: Notice) -> None:
        """For what the keeper says while it reads the keyboard: it then waits for the owner to type."""
        self._terminal.write("\n")
        self._print(layout.block(notice, self._width()))
        self._terminal.write(PROMPT)

    def _make_room(self) -> None:
        """Something new comes while a page waits: a notice scrolls by to its end, a question begins anew afterwards."""
        if isinstance(self._showing, Question):
            self._waiting.appendleft(self._showing)
        elif self._unshown:
            self._leave_prompt()
            self._print(self._unshown)
        self._showing, self._unshown = None, []

    def _show(self, message: Notice | Question) -> None:
        self._leave_prompt()
        title, *self._unshown = layout.block(message, self._width())
        self._showing = message
        self._terminal.write(self._terminal.emphasised(title) + "\n")
        self._show_page(used=2)

    def _show_page(self, used: int = 0) -> None:
        height = self._terminal.size()[1]
        page, self._unshown = layout.paged(self._unshown, max(height - used, 1) if height else 0)
        self._print(page)
        if self._unshown:
            self._write_prompt(MORE)
            return
        shown, self._showing = self._showing, None
        if isinstance(shown, Question):
            self._question = shown
            # Attack: keys typed, or injected, before the screen appeared would approve what nobody has read.
            self._terminal.discard_typed()
            self._write_prompt(PROMPT)
        else:
            self._proceed(repeat=True)

    def _proceed(self, *, repeat: bool = False) -> None:
        """Go on with what there is: the rest of a page, the open question, the next one, or none."""
        if repeat and self._question is not None:
            self._repeat(self._question)
        self._show_prompt()
        if self._waiting and self._question is None and self._showing is None:
            self._show(self._waiting.popleft())

    def _repeat(self, question: Question) -> None:
        """Show the open question again, below what came in between: whole, or without its lines if it fills pages."""
        columns, rows = self._terminal.size()
        title, *whole = layout.block(question, columns)
        _, rest = layout.paged(whole, rows)
        self._print(["", title, *(["", *layout.asked(question, columns)] if rest else whole)])

    def _say(self, text: str) -> None:
        self._print(layout.wrapped(text, self._width()))
        self._show_prompt()

    def _show_prompt(self) -> None:
        if self._unshown:
            self._write_prompt(MORE)
        else:
            self._write_prompt(PROMPT if self._question is not None else IDLE_PROMPT)

    def _write_prompt(self, prompt: str) -> None:
        self._prompt = prompt
        self._terminal.write(prompt)

    def _leave_prompt(self) -> None:
        """Blank the prompt that stands there, keep what the owner began to type after it, and go to the next row."""
        self._terminal.write(f"\r{' ' * len(self._prompt)}\n" if self._prompt else "\n")
        self._prompt = ""

    def _print(self, rows: list[str]) -> None:
        self._terminal.write("".join(f"{row}\n" for row in rows))

    def _width(self) -> int:
        return self._terminal.size()[0]


def _chosen(question: Question, text: str) -> str | None:
    for choice in question.choices:
        if choice.lower() == text.lower():
            return choice
    if text.isdigit() and 1 <= int(text) <= len(question.choices):
        return question.choices[int(text) - 1]
    return None


def _stop(text: str) -> str:
    """The command to stop that a line is, or nothing. A stop is never refused for the form of its reason."""
    word, _, reason = text.partition(" ")
    if text.lower() in STOPS:
        return text.lower()
    if word.lower() != "freeze":
        return ""
    plain = "".join(one if one.isascii() and one.isprintable() else "?" for one in reason)
    return f"freeze {plain}"[:_LONGEST_ANSWER]


def _is_question(message: Notice | Question | None, number: int) -> bool:
    return isinstance(message, Question) and message.number == number
