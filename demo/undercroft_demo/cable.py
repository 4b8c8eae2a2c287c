"""A null-modem cable: two pseudo-terminals and a process that carries the bytes between them.

    python -m undercroft_demo.cable --a PATH --b PATH [--bit-error-rate X] [--drop-rate X] [--seed N]

prints "ready" when both paths can be opened, and ends by SIGTERM. As on a real line, bytes that nobody reads
are lost.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import random
import selectors
import signal
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

_CHUNK_BYTES = 4096
_STALLED_SECONDS = 0.5
"""After that long without a reader the bytes on their way to it are lost."""


class Noise:
    """Spoils a stream of bytes, the same way for the same seed. Rates are chances per bit and per byte."""

    def __init__(self, *, bit_error_rate: float, drop_rate: float, seed: int) -> None:
        self._random = random.Random(seed)
        self._bit_error_rate = bit_error_rate
        self._drop_rate = drop_rate
        self._bits_to_error = self._distance(bit_error_rate)
        self._bytes_to_drop = self._distance(drop_rate)

    def spoil(self, data: bytes) -> bytes:
        """Return what arrives of `data`."""
        out = bytearray(data)
        while self._bits_to_error < 8 * len(out):
            out[self._bits_to_error // 8] ^= 1 << self._bits_to_error % 8
            self._bits_to_error += 1 + self._distance(self._bit_error_rate)
        self._bits_to_error -= 8 * len(data)
        dropped = 0
        while self._bytes_to_drop < len(data):
            del out[self._bytes_to_drop - dropped]
            dropped += 1
            self._bytes_to_drop += 1 + self._distance(self._drop_rate)
        self._bytes_to_drop -= len(data)
        return bytes(out)

    def _distance(self, rate: float) -> int:
        return int(self._random.expovariate(rate)) if rate > 0 else 2**62


class _End:
    """One end: a pseudo-terminal whose slave stays open, so that nobody's closing hangs it up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.waiting = b""
        self._device = os.ttyname(self.slave)

    def appear(self) -> None:
        """Put the symlink in its place in one step, whatever was there."""
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fresh.symlink_to(self._device)
        fresh.replace(self.path)

    def vanish(self) -> None:
        """Remove the symlink, unless it is another cable's by now."""
        with contextlib.suppress(OSError):
            if str(self.path.readlink()) == self._device:
                self.path.unlink()

    def read(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            return os.read(self.master, _CHUNK_BYTES)
        return b""

    def write(self) -> bool:
        """Hand on what waits for this end's reader; False if it takes nothing now."""
        try:
            written = os.write(self.master, self.waiting)
        except BlockingIOError:
            return False
        self.waiting = self.waiting[written:]
        return written > 0

    def flush(self) -> None:
        """Nobody reads: what waits is lost."""
        self.waiting = b""
        termios.tcflush(self.slave, termios.TCIFLUSH)


def carry(a: Path, b: Path, *, bit_error_rate: float, drop_rate: float, seed: int, with_parent: bool) -> None:
    """Be the cable until SIGTERM, or, `with_parent`, until standard input ends."""
    ends = (_End(a), _End(b))
    noise = [Noise(bit_error_rate=bit_error_rate, drop_rate=drop_rate, seed=2 * seed + way) for way in (0, 1)]
    selector = selectors.DefaultSelector()
    if with_parent:
        selector.register(sys.stdin.fileno(), selectors.EVENT_READ, None)
    try:
        for end in ends:
            end.appear()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        _copy(ends, noise, selector)
    finally:
        for end in ends:
            end.vanish()


def _copy(ends: tuple[_End, _End], noise: list[Noise], selector: selectors.BaseSelector) -> None:
    interest = [0, 0]
    while True:
        for index, end in enumerate(ends):
            other = ends[1 - index]
            wanted = 0 if other.waiting else selectors.EVENT_READ
            wanted |= selectors.EVENT_WRITE if end.waiting else 0
            if wanted == interest[index]:
                continue
            if interest[index]:
                selector.unregister(end.master)
            if wanted:
                selector.register(end.master, wanted, index)
            interest[index] = wanted
        stalled = any(end.waiting for end in ends)
        events = selector.select(_STALLED_SECONDS if stalled else None)
        if not events:
            for end in ends:
                if end.waiting:
                    end.flush()
        for key, mask in events:
            if key.data is None:
                return
            end, other = ends[key.data], ends[1 - key.data]
            if mask & selectors.EVENT_WRITE:
                end.write()
            if mask & selectors.EVENT_READ:
                other.waiting += noise[key.data].spoil(end.read())
                other.write()


@dataclass(slots=True)
class Cable:
    """A cable that runs in a process of its own."""

    appliance_path: str
    host_path: str
    _process: subprocess.Popen[str]

    @classmethod
    @contextlib.contextmanager
    def started(
        cls,
        directory: Path,
        name: str,
        *,
        bit_error_rate: float = 0.0,
        drop_rate: float = 0.0,
        seed: int = 0,
    ) -> Iterator[Cable]:
        """Lay a cable from `directory/name-appliance` to `directory/name-host`; unplug it at the end."""
        folder = directory.resolve()
        ends = [str(folder / f"{name}-{end}") for end in ("appliance", "host")]
        command = [sys.executable, "-m", "undercroft_demo.cable", "--with-parent"]
        command += ["--a", ends[0], "--b", ends[1], "--seed", str(seed)]
        command += ["--bit-error-rate", str(bit_error_rate), "--drop-rate", str(drop_rate)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[1],
            # Ctrl-C on the terminal reaches the demo, which then ends its cables in order.
            start_new_session=True,
        )
        cable = cls(ends[0], ends[1], process)
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"the cable {name} did not start")
            yield cable
        finally:
            cable.unplug()

    def unplug(self) -> None:
        """End the process: both paths vanish and both sides see a device that is gone."""
        self._process.terminate()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="undercroft_demo.cable", description="A null-modem cable of two pseudo-terminals."
    )
    parser.add_argument("--a", type=Path, required=True, metavar="PATH", help="where one end appears")
    parser.add_argument("--b", type=Path, required=True, metavar="PATH", help="where the other end appears")
    parser.add_argument("--bit-error-rate", type=float, default=0.0, metavar="X", help="chance per bit to flip")
    parser.add_argument("--drop-rate", type=float, default=0.0, metavar="X", help="chance per byte to be lost")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the noise")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input ends")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    carry(
        options.a.absolute(),
        options.b.absolute(),
        bit_error_rate=options.bit_error_rate,
        drop_rate=options.drop_rate,
        seed=options.seed,
        with_parent=options.with_parent,
    )


def _leave(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
