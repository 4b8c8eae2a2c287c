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


class Telling:
    """Writes chapters and lines to a stream; keeps the time since the start."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._styled = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._width = min(shutil.get_terminal_size().columns, 110)
        self._chapter = 0
        self._started = time.monotonic()

    def chapter(self, title: str) -> None:
        self._chapter += 1
        seconds = f"{time.monotonic() - self._started:6.1f} s"
        self._write("")
        self._write(f"{self._style(_BOLD, f'{self._chapter}. {title}')}  {self._style(_DIM, seconds)}")

    def say(self, text: str) -> None:
        """An ordinary line."""
        self._wrapped("   ", text)

    def shown(self, text: str) -> None:
        """A line that states what was proved."""
        self._wrapped(f"   {self._style(_GREEN, 'ok')} ", text, hanging="      ")

    def screen(self, owner: str, lines: str) -> None:
        """A piece of an owner's screen."""
        self._write(f"   {self._style(_DIM, f'on the screen of the appliance of {owner}:')}")
        for line in lines.splitlines():
            self._write(f"      {self._style(_DIM, '|')} {line}")

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
