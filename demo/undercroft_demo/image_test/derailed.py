"""A program that goes wrong inside an appliance: from outside, a processor is sent where no code is.

By the emulator's debugger (GDB Remote Serial Protocol): the machine is stopped again and again until a processor is in
the mode that is wanted, then its program counter becomes 0.
"""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..machine import Machine
from ..qmp import EmulatorError

_PROGRAM_COUNTER: Final = "20"
"""Register 32 of a 64-bit Arm processor, as the protocol numbers them."""
_PROCESSORS: Final = (1, 2)
_KERNEL: Final = 1 << 63
"""Where the kernel's half of all addresses begins."""
_STOP: Final = b"\x03"
_RUN_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 60.0


def derail_program(machine: Machine) -> int:
    """Let the next program of the appliance go wrong that a processor is at work on; the address where it was.

    Raises EmulatorError when none is at work for a minute.
    """
    return _derail(machine, lambda address: address < _KERNEL)


def derail_kernel(machine: Machine) -> int:
    """Let the kernel go wrong; the address where it was. Raises EmulatorError."""
    return _derail(machine, lambda address: address >= _KERNEL)


def _derail(machine: Machine, is_wanted: Callable[[int], bool]) -> int:
    with tempfile.TemporaryDirectory(prefix="undercroft-") as folder:
        place = Path(folder) / "debugger"
        machine.control.ask(
            "human-monitor-command", **{"command-line": f"gdbserver unix:{place},server=on,wait=off"}
        )  # fmt: skip
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_PATIENCE_SECONDS)
            line.connect(str(place))
            return _Debugger(line).derail(is_wanted)


class _Debugger:
    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._unread = b""

    def derail(self, is_wanted: Callable[[int], bool]) -> int:
        self._ask("?")
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for processor in _PROCESSORS:
                self._ask(f"Hg{processor}")
                address = int.from_bytes(bytes.fromhex(self._ask(f"p{_PROGRAM_COUNTER}")), "little")
                if is_wanted(address):
                    self._ask(f"P{_PROGRAM_COUNTER}={bytes(8).hex()}")
                    self._send("D")
                    return address
            self._send("c")
            time.sleep(_RUN_SECONDS)
            self._line.sendall(_STOP)
            self._answer()
        raise EmulatorError("no processor came to where it was wanted")

    def _ask(self, words: str) -> str:
        self._send(words)
        return self._answer()

    def _send(self, words: str) -> None:
        self._line.sendall(f"${words}#{sum(words.encode()) % 256:02x}".encode())

    def _answer(self) -> str:
        """The next packet: after any acknowledgements a dollar sign, words, a hash sign, two digits."""
        while (end := self._unread.find(b"#")) < 0 or len(self._unread) < end + 3:
            more = self._line.recv(4096)
            if not more:
                raise EmulatorError("the debugger hung up")
            self._unread += more
        packet, self._unread = self._unread[: end + 3], self._unread[end + 3 :]
        self._line.sendall(b"+")
        return packet[packet.index(b"$") + 1 : end].decode()
