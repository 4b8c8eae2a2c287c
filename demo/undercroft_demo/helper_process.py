"""Parts of the demo that run in a process of their own: each is a module that says when it is ready.

It ends by SIGTERM, or when standard input ends, which is with whoever started it.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

_READY: Final = "ready\n"


@contextlib.contextmanager
def helper_process(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a module of this package until the end of the block. Raises RuntimeError if it does not start."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.{module}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
        # Ctrl-C on the terminal reaches the demo, which then ends its helpers in order.
        start_new_session=True,
    )
    with process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != _READY:
                raise RuntimeError(f"{module} did not start: {' '.join(arguments)}")
            yield process
        finally:
            process.terminate()


def end_by_sigterm() -> None:
    """Inside: from now on SIGTERM is an orderly end."""
    signal.signal(signal.SIGTERM, _leave)


def say_ready() -> None:
    """Inside: whoever started this may go on."""
    sys.stdout.write(_READY)
    sys.stdout.flush()


def _leave(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(0)
