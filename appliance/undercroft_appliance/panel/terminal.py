"""The terminal: a plain Linux console, a serial console or a pseudo-terminal, in line mode."""

from __future__ import annotations

import os
import termios
from typing import Any, Final

from ..errors import TerminalGoneError

_INPUT_FLAGS: Final = 0
_OUTPUT_FLAGS: Final = 1
_LOCAL_FLAGS: Final = 3
_CONTROL_CHARACTERS: Final = 6
_DISABLED: Final = b"\0"
_LONGEST_LINE: Final = 4096
_DEFAULT_WIDTH: Final = 80


class Terminal:
    """The owner's screen and keyboard behind the descriptor `tty`. Raises TerminalGoneError when it hangs up."""

    def __init__(self, tty: int, *, bold: bool) -> None:
        self._tty = tty
        self._bold = bold
        try:
            self._mode = _line_mode(termios.tcgetattr(tty))
        except termios.error as error:
            raise TerminalGoneError(str(error.args[-1])) from error
        self.echo(on=True)

    def fileno(self) -> int:
        return self._tty

    def size(self) -> tuple[int, int]:
        """Columns and rows; 0 rows where nobody knows, as on a serial line or under a script."""
        try:
            size = os.get_terminal_size(self._tty)
        except OSError:
            return _DEFAULT_WIDTH, 0
        return size.columns or _DEFAULT_WIDTH, size.lines

    def write(self, text: str) -> None:
        data = text.encode("ascii")
        try:
            while data:
                data = data[os.write(self._tty, data) :]
        except OSError as error:
            raise TerminalGoneError(str(error.strerror)) from error

    def emphasised(self, text: str) -> str:
        """The text in bold where the terminal can do that."""
        return f"\x1b[1m{text}\x1b[0m" if self._bold else text

    def read_line(self) -> bytes:
        """One typed line without its end; call it when ``fileno()`` is readable."""
        try:
            line = os.read(self._tty, _LONGEST_LINE)
        except OSError as error:
            raise TerminalGoneError(str(error.strerror)) from error
        # Ctrl-D cannot be the reason: `_line_mode` took its meaning from it.
        if not line:
            raise TerminalGoneError("it hung up")
        return line.rstrip(b"\n")

    def discard_typed(self) -> None:
        """Wait until all that was written has reached the screen, then throw away what was typed so far."""
        try:
            termios.tcdrain(self._tty)
            termios.tcflush(self._tty, termios.TCIFLUSH)
        except termios.error as error:
            raise TerminalGoneError(str(error.args[-1])) from error

    def echo(self, *, on: bool) -> None:
        """Show what is typed, or do not; what was typed so far is thrown away."""
        mode = list(self._mode)
        if not on:
            mode[_LOCAL_FLAGS] &= ~(termios.ECHO | termios.ECHONL)
        try:
            termios.tcsetattr(self._tty, termios.TCSAFLUSH, mode)
        except termios.error as error:
            raise TerminalGoneError(str(error.args[-1])) from error


def _line_mode(found: list[Any]) -> list[Any]:
    mode = list(found)
    # Ctrl-S would stop the screen, and with it the panel.
    mode[_INPUT_FLAGS] &= ~(termios.IXON | termios.ISTRIP | termios.IGNCR | termios.INLCR)
    mode[_INPUT_FLAGS] |= termios.ICRNL
    mode[_OUTPUT_FLAGS] |= termios.OPOST | termios.ONLCR
    mode[_LOCAL_FLAGS] |= termios.ICANON | termios.ISIG | termios.IEXTEN
    # ECHOCTL shows an arrow key as ^[[A instead of moving the cursor over what stands there.
    mode[_LOCAL_FLAGS] |= termios.ECHO | termios.ECHOE | termios.ECHOK | termios.ECHOKE | termios.ECHOCTL
    mode[_CONTROL_CHARACTERS] = list(mode[_CONTROL_CHARACTERS])
    for name in (termios.VEOF, termios.VEOL, termios.VEOL2):
        mode[_CONTROL_CHARACTERS][name] = _DISABLED
    return mode
