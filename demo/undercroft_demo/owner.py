"""The person at an appliance's terminal, played by a script: it reads what is on the screen, and types."""

from __future__ import annotations

import contextlib
import datetime
import os
import random
import re
import select
import termios
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeAlias

IDLE_PROMPT: Final = "undercroft> "
MORE_PROMPT: Final = "-- more -- (Enter) "
_TITLE: Final = re.compile(r"^--- (.*?) -+$", re.MULTILINE)
_CHOICE: Final = re.compile(r" *(\d+)  (.+)")
_CODE: Final = r"code ([0-9a-f]{4}(?:-[0-9a-f]{4})+)"
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")
_LOCAL_FLAGS: Final = 3
_GLANCE_SECONDS: Final = 0.05
_STILL_SECONDS: Final = 0.3
"""So long nothing comes over a line when a screen is complete."""
_UNSEEN: Final = ("Dice", "Passphrase")
"""The titles under which nothing is echoed."""
_CLOCK_TOLERANCE_SECONDS: Final = 300
_ROLLS: Final = 60


@dataclass(frozen=True, slots=True)
class Shown:
    """A question as it stands on the screen: its title, all its lines (with the prompt), its choices."""

    title: str
    lines: tuple[str, ...]
    choices: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join((self.title, *self.lines))

    @classmethod
    def read(cls, screen: str) -> Shown | None:
        """The last block on the screen, None when there is none."""
        # Only a title begins in the first column.
        title = _TITLE.search(screen, screen.rfind("\n--- ") + 1)
        if title is None:
            return None
        lines: list[str] = []
        for row in screen[title.end() + 1 :].splitlines():
            if row.startswith("> "):
                break
            if row.startswith("+ ") and lines:
                lines[-1] += row[2:]
            elif not row.startswith(MORE_PROMPT):
                lines.append(row[2:])
        choices: list[str] = []
        while lines and (choice := _CHOICE.fullmatch(lines[-1])):
            choices.insert(0, choice[2])
            lines.pop()
        return cls(title[1], tuple(lines), tuple(choices))


Answer: TypeAlias = str | Callable[[Shown], str | None]
Rule: TypeAlias = tuple[str, Answer]
"""A regular expression that is looked for in a question's title and lines, and what to type; None leaves it open."""


class ScriptedOwner:
    """Plays one owner in a thread of its own, by the first rule that fits a question. `passphrase` is for tests only.

    `decisions` (regular expression, answer) come before the rules that every sensible owner follows. Set
    `expected_quorum_code` and `expected_policy_code` to what the others read out: anything else is declined. `checks`
    is how many new keys are checked and thrown away before one is used; `rolls` is what was rolled for each. `half`:
    what is typed in the place of a passphrase, without Enter. `remote`: the terminal is at the other end of a line, and
    whether it echoes cannot be seen from here.
    """

    def __init__(  # noqa: PLR0917 - what makes an owner
        self,
        master_fd: int,
        name: str,
        site: str,
        region: str,
        passphrase: str,
        decisions: Mapping[str, Answer] | None = None,
        *,
        remote: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.site = site
        self.region = region
        self.passphrase = passphrase
        self.expected_quorum_code: str | None = None
        self.expected_policy_code: str | None = None
        self.attest_empty = True
        self.attest_complete = True
        self.held_answer = "later"
        self.half: str | None = None
        self.checks = 0
        self.rolls: list[str] = []
        self.rules: list[Rule] = [*(decisions or {}).items(), *self._sensible()]
        self.unanswered: list[Shown] = []
        self._master = master_fd
        self._remote = remote
        self._clock = clock
        self._raw = b""
        self._transcript = ""
        self._seen = 0
        self._taken = True
        self._changed = threading.Condition()
        self._stopping, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._live, name=f"owner {name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    @property
    def transcript(self) -> str:
        """All that the terminal has shown, as plain text."""
        with self._changed:
            return self._transcript

    def leave(self) -> None:
        """Go away from the terminal."""
        if self._thread.is_alive():
            os.write(self._stop, b"x")
            self._thread.join()
            os.close(self._stop)
            os.close(self._stopping)

    def type(self, line: str) -> None:
        """Type a line and press Enter."""
        os.write(self._master, f"{line}\n".encode())

    def command(self, word: str, timeout: float = 10.0) -> None:
        """Type a command when a prompt stands there, again if a question came in between and it was thrown away.

        Raises TimeoutError if the panel does not take it within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            left = max(0.0, deadline - time.monotonic())
            since = self.wait_for(rf"(?:{IDLE_PROMPT}|\n> )\Z", left).end()
            self.type(word)
            left = max(0.0, deadline - time.monotonic())
            if self.wait_for(rf"{word}\n({IDLE_PROMPT}|> |\n)", left, since=since)[1] != "\n":
                return

    def lock(self) -> None:
        """Wipe the appliance's secrets now."""
        self.command("lock")

    def freeze(self) -> None:
        """Stop all signing now."""
        self.command("freeze")

    def approve_held(self) -> None:
        """Ask for what is held, and approve it from now on."""
        self.held_answer = "approve"
        self.command("held")

    def decline_held(self) -> None:
        """Ask for what is held, and decline it from now on."""
        self.held_answer = "decline"
        self.command("held")

    def mark(self) -> int:
        """Where the transcript ends now, for `wait_for`."""
        return len(self.transcript)

    def wait_for(self, pattern: str, timeout: float, *, since: int = 0) -> re.Match[str]:
        """Wait until the pattern is in the transcript after `since`. Raises TimeoutError after `timeout` seconds."""
        wanted = re.compile(pattern)
        deadline = time.monotonic() + timeout
        with self._changed:
            while (found := wanted.search(self._transcript, since)) is None:
                if not self._changed.wait(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    raise TimeoutError(f"{self.name} does not see {pattern!r}; the screen:\n{self._transcript[-2000:]}")
        return found

    # What a sensible owner does.

    def _sensible(self) -> Iterable[Rule]:
        return (
            (r"^New key\n[\s\S]*Your name$", lambda _: self.name),
            (r"^New key\n[\s\S]*Your site$", lambda _: self.site),
            (r"^New key\n[\s\S]*Your region$", lambda _: self.region),
            (r"^New key\n[\s\S]*Make a key", "make"),
            (r"^Key\n", self._uses_or_checks),
            (r"^Check\n", "next"),
            (r"^Quorum\n", self._compares_quorum),
            (r"^Policy\n", self._compares_policy),
            (r"^Activation\n[\s\S]*At which site", lambda _: self.site),
            (r"^Time\n", self._looks_at_watch),
            (r"^Grant\n[\s\S]*Type EMPTY", lambda _: "EMPTY" if self.attest_empty else "no"),
            (r"^Grant\n[\s\S]*Type COMPLETE", lambda _: "COMPLETE" if self.attest_complete else "no"),
            (r"^Grant\n", "grant"),
            (r"^Arm\n", "arm"),
            (r"^Held\n", lambda _: self.held_answer),
        )

    def _uses_or_checks(self, _shown: Shown) -> str:
        self.checks -= 1
        return "check" if self.checks >= 0 else "use"

    def _compares_quorum(self, shown: Shown) -> str:
        return "accept" if _agrees(f"Quorum {_CODE}", shown, self.expected_quorum_code) else "decline"

    def _compares_policy(self, shown: Shown) -> str:
        return "approve" if _agrees(f"Policy {_CODE}", shown, self.expected_policy_code) else "decline"

    def _looks_at_watch(self, shown: Shown) -> str:
        found = _MOMENT.search(shown.text)
        if found is None:
            return "wrong"
        said = datetime.datetime.strptime(found[0], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=datetime.UTC)
        return "right" if abs(said.timestamp() - self._clock()) <= _CLOCK_TOLERANCE_SECONDS else "wrong"

    # Eyes and hands.

    def _live(self) -> None:
        while True:
            pause = _STILL_SECONDS if self._remote else _GLANCE_SECONDS
            ready = select.select([self._master, self._stopping], [], [], pause)[0]
            if self._stopping in ready:
                return
            if self._master in ready:
                try:
                    self._look(os.read(self._master, 65536))
                except OSError:
                    return  # the terminal was taken away
                # What comes over a line comes in pieces: it is read when it is whole.
                if self._remote:
                    continue
            with contextlib.suppress(termios.error):
                self._act()

    def _look(self, data: bytes) -> None:
        self._raw += data
        # A carriage return at the end belongs to a newline that is still to come.
        whole = self._raw[:-1] if self._raw.endswith(b"\r") else self._raw
        self._raw = self._raw[len(whole) :]
        text = re.sub(r"\x1b\[[0-9;]*m", "", whole.decode("ascii", "replace")).replace("\r\n", "\n")
        with self._changed:
            self._transcript += re.sub(r"\r *", "", text)
            self._changed.notify_all()

    def _act(self) -> None:
        news = self._transcript[self._seen :]
        # A prompt that was repeated while the answer was on its way is no new question.
        self._taken = self._taken or IDLE_PROMPT in news
        if news.endswith(MORE_PROMPT):
            self._answer("")
        elif news.endswith("\n> "):
            shown = Shown.read(self._transcript)
            if shown is None:
                return
            if not self._echoes(shown):
                if shown.title == "Passphrase":
                    self._answer(self.passphrase if self.half is None else self.half, enters=self.half is None)
                elif shown.title == "Dice":
                    self.rolls.append("".join(random.choices("123456", k=_ROLLS)))
                    self._answer(self.rolls[-1])
            elif self._taken:
                self._decide(shown)

    def _decide(self, shown: Shown) -> None:
        for pattern, answer in self.rules:
            if re.search(pattern, shown.text):
                typed = answer(shown) if callable(answer) else answer
                if typed is None:
                    break
                self._taken = False
                self._answer(typed)
                return
        if shown not in self.unanswered[-1:]:
            self.unanswered.append(shown)

    def _answer(self, typed: str, *, enters: bool = True) -> None:
        self._seen = len(self._transcript)
        os.write(self._master, f"{typed}\n".encode() if enters else typed.encode())

    def _echoes(self, shown: Shown) -> bool:
        if self._remote:
            return shown.title not in _UNSEEN
        return bool(termios.tcgetattr(self._master)[_LOCAL_FLAGS] & termios.ECHO)


def _agrees(pattern: str, shown: Shown, expected: str | None) -> bool:
    found = re.search(pattern, shown.text)
    return found is not None and expected in (None, found[1])
