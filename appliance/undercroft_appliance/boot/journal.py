"""Where the start is told: the console, and a log that nobody types at (on an emulator a line of its own, which a test
reads). No secret passes here: what holds one, the keeper, writes no more to the log than how it ended."""

from __future__ import annotations

import contextlib
import os
import select
from pathlib import Path
from typing import Final

from ..consoles import silence
from .probes import Finding

CONSOLE: Final = Path("/dev/console")
PROBE: Final = "probe"
"""How a line begins that holds, after tabs, a finding's name, what was expected and what was seen."""
_PATIENCE_SECONDS: Final = 1.0


class Journal:
    """Writes lines to ``console`` and, once there is one, to a log; as far as they take them."""

    def __init__(self, console: Path = CONSOLE) -> None:
        self._console = _opened(console)
        self._log: int | None = None

    def keep(self, log: Path) -> None:
        """Write to this log as well; where it is a console, what is typed there is not shown."""
        self._log = _opened(log)
        if self._log is not None and os.isatty(self._log):
            silence(self._log)

    def say(self, line: str) -> None:
        """Write a line to both."""
        _write(self._console, line)
        _write(self._log, line)

    def note(self, line: str) -> None:
        """Write a line to the log alone: the console may be the owner's screen, which is the panel's by now."""
        _write(self._log, line)

    def found(self, finding: Finding) -> None:
        """Write what a probe saw; to the console only what it should not have."""
        line = "\t".join((PROBE, finding.name, finding.expected, finding.seen))
        _write(self._log, line)
        if not finding.is_good:
            _write(self._console, line)


def _opened(path: Path) -> int | None:
    # A screen that is not there is no reason not to start.
    try:
        return os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None


def _write(descriptor: int | None, line: str) -> None:
    if descriptor is None:
        return
    data = f"{line}\r\n".encode("ascii", "replace")
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    # Nor is one that takes nothing.
    with contextlib.suppress(OSError):
        while data and ready.poll(1000 * _PATIENCE_SECONDS):
            with contextlib.suppress(BlockingIOError):
                data = data[os.write(descriptor, data) :]
