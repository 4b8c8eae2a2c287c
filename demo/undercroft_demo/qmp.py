"""The emulator's control line (QMP, the QEMU Machine Protocol): JSON objects, one a line, over a socket of our own."""

from __future__ import annotations

import json
import socket
from typing import Any, Final

_PATIENCE_SECONDS: Final = 120.0


class EmulatorError(Exception):
    """The emulator is not there, ended, or refused a command; the argument says which."""


class Control:
    """Asks an emulator that was started with the other end of ``line``."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._line.settimeout(_PATIENCE_SECONDS)
        self._reader = line.makefile("rb")
        self._events: list[str] = []
        # The greeting comes first; commands are taken after this one only.
        self._next()
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        """What the emulator answers to a command. Raises EmulatorError."""
        try:
            self._line.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        except OSError as error:
            raise EmulatorError(f"{command}: {error.strerror}") from error
        while True:
            said = self._next()
            if "error" in said:
                raise EmulatorError(f"{command}: {said['error'].get('desc')}")
            if "return" in said:
                return said["return"]

    def wait_for_event(self, name: str) -> None:
        """Return when the emulator tells of it, or has told since the last call. Raises EmulatorError."""
        while name not in self._events:
            self._next()
        self._events.clear()

    def close(self) -> None:
        """Hang up; the emulator goes on."""
        self._reader.close()
        self._line.close()

    def _next(self) -> dict[str, Any]:
        try:
            line = self._reader.readline()
        except OSError as error:
            raise EmulatorError(f"it says nothing ({error})") from error
        if not line:
            raise EmulatorError("it ended")
        said: dict[str, Any] = json.loads(line)
        if "event" in said:
            self._events.append(said["event"])
        return said
