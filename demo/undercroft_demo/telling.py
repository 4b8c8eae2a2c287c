"""How the demo tells its story on the terminal: numbered chapters, short lines, plain text when it is piped."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import time
from typing import Final, TextIO

_BOLD: Final = "\x1b[1m"
_GREEN: Final = "\x1b[32m"
_DIM: Final = "\x1b[2m"
_PLAIN: Final = "\x1b[0m"
_FRAME: Final = "      | "
_CONTINUED: Final = "+ "


class Telling:
    """Writes chapters and lines to a stream; keeps the time since the start."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._styled = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._width = min(max(shutil.get_terminal_size().columns, 40), 110)
        self._chapter = 0
        self._started = time.monotonic()

    def chapter(self, title: str) -> None:
        self._chapter += 1
        seconds = f"{time.monotonic() - self._started:6.1f} s"
        self._write("")
        *lines, last = textwrap.wrap(f"{self._chapter}. {title}", self._width - len(seconds) - 2)
        for line in lines:
            self._write(self._style(_BOLD, line))
        self._write(f"{self._style(_BOLD, last)}  {self._style(_DIM, seconds)}")

    def say(self, text: str) -> None:
        """An ordinary line. One that begins with a space is to be copied, as a command is: it is never broken."""
        if text.startswith(" "):
            self._write("   " + text)
        else:
            self._wrapped("   ", text)

    def shown(self, text: str) -> None:
        """A line that states what was proved."""
        self._wrapped(f"   {self._style(_GREEN, 'ok')} ", text, hanging="      ")

    def screen(self, owner: str, lines: str) -> None:
        """A piece of an owner's screen."""
        self._write(f"   {self._style(_DIM, f'on the screen of the appliance of {owner}:')}")
        # An appliance's terminal has 80 columns; on one as narrow, the frame would push its rows over the edge.
        room = self._width - len(_FRAME)
        if any(len(line) > room for line in lines.splitlines()):
            lines = lines.replace(f"\n{_CONTINUED}", "")
        for line in lines.splitlines():
            rows = [line[:room]]
            if not line.startswith("--- "):
                rows = textwrap.wrap(line, room, subsequent_indent=_CONTINUED, break_on_hyphens=False) or [""]
            for row in rows:
                self._write(self._style(_DIM, _FRAME) + row)

    def money(self, amount_sats: int) -> str:
        """Sats with thin grouping: 1 234 567 sats."""
        return f"{amount_sats:,}".replace(",", " ") + " sats"

    def _wrapped(self, lead: str, text: str, hanging: str | None = None) -> None:
        lines = textwrap.wrap(text, self._width - 8, break_long_words=False, break_on_hyphens=False) or [""]
        for position, line in enumerate(lines):
            self._write((lead if position == 0 else hanging or lead) + line)

    def _style(self, code: str, text: str) -> str:
        return f"{code}{text}{_PLAIN}" if self._styled else text

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()
