"""What the processes say, on its way to the log: by pipes, for a terminal takes orders with what is written to it."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Iterator
from typing import Final

LOOK_SECONDS: Final = 1.0
"""How often a supervisor passes on what was said."""
MOST_BYTES: Final = 2048
"""Of what one process says between two looks; the rest is dropped."""
MOST_LINES: Final = 40
"""Of that: each gets the process's name before it."""
PATIENCE_SECONDS: Final = 1.0
"""How long the log may take until it takes a word."""
_PIPE_BYTES: Final = 65536
_PRINTABLE: Final = range(0x20, 0x7F)


class ProcessLog:
    """The supervisor's ends of the pipes. Whoever fills a pipe waits for the next look, and nobody else does."""

    def __init__(self) -> None:
        self._ends: list[tuple[str, int]] = []

    @contextlib.contextmanager
    def end_for(self, name: str) -> Iterator[int]:
        """What a process of this name writes to; open here until it has started."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        self._ends.append((name, reading))
        try:
            yield writing
        finally:
            os.close(writing)

    def pass_on(self) -> None:
        """Write to standard error what the processes have said, each line under its process's name; never waits."""
        for name, end in tuple(self._ends):
            try:
                data = os.read(end, _PIPE_BYTES)
            except BlockingIOError:
                continue
            if not data:
                os.close(end)
                self._ends.remove((name, end))
            # Attack: a flood pushes everything else out of the log.
            for line in data[:MOST_BYTES].splitlines()[:MOST_LINES]:
                # Attack: the log is a console, and ESC [ 12 ; n ] brings it before the owner's, with a false question.
                text = "".join(chr(one) if one in _PRINTABLE else "?" for one in line)
                tell(f"undercroft-appliance {name}: {text}", patience=0.0)

    def close(self) -> None:
        """Pass on the last words, and close the pipes."""
        self.pass_on()
        for _, end in self._ends:
            os.close(end)
        self._ends.clear()


def tell(text: str, patience: float = PATIENCE_SECONDS) -> None:
    """Write a line to standard error, unless that takes nothing for so many seconds."""
    # Somebody may have stopped that terminal (Ctrl-S): that must not keep the supervisor.
    if select.select([], [2], [], patience)[1]:
        print(text, file=sys.stderr)
