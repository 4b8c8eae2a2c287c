"""The operator at the host: types ``undercroft`` commands, as a person would, and reads what they print."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_PLAIN: Final = {"NO_COLOR": "1"}
_ENDING_SECONDS: Final = 60.0


class UnexpectedExitError(AssertionError):
    """A command of the operator ended otherwise than the story says."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command printed: ``data`` is its JSON from stdout (None when there is none), ``said`` its stderr."""

    exit_code: int
    data: Any
    said: str


@dataclass(frozen=True, slots=True)
class Operator:
    """Runs the real CLI in its own process against one home folder."""

    home: Path

    def run(self, *arguments: str, expect: Collection[int] = (0,), timeout: float = 180) -> Outcome:
        """One command with ``--json``; raises UnexpectedExitError for an exit code that is not expected."""
        done = subprocess.run(
            self._command(arguments),
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **_PLAIN},
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode not in expect:
            raise UnexpectedExitError(
                f"undercroft {' '.join(arguments)}\nended with {done.returncode}, expected {sorted(expect)}\n"
                f"{done.stdout}{done.stderr}"
            )
        return Outcome(done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr)

    @contextlib.contextmanager
    def given_up(self, *arguments: str) -> Iterator[None]:
        """One command, which has begun, and is ended afterwards however far it is."""
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(
            self._command(arguments), stdin=quiet, stdout=quiet, stderr=quiet, env={**os.environ, **_PLAIN}
        )
        try:
            yield
        finally:
            # As Ctrl-C does; but that is ignored by what a shell started in the background, and by all below it.
            process.terminate()
            process.wait(_ENDING_SECONDS)

    def _command(self, arguments: Collection[str]) -> list[str]:
        return [sys.executable, "-m", "undercroft_host.cli.main", "--home", str(self.home), "--json", *arguments]

    def __call__(self, *arguments: str, timeout: float = 180) -> Any:
        """One command that must succeed; what it printed."""
        return self.run(*arguments, timeout=timeout).data
