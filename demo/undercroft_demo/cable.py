"""A null-modem cable: two pseudo-terminals and a process that carries the bytes between them.

    python -m undercroft_demo.cable --a PATH --b PATH [--baud N] [--latency S] [--bit-error-rate X] [--drop-rate X]
                                    [--duplicate-rate X] [--seed N] [--record FILE]

prints "ready" when both paths can be opened, and ends by SIGTERM. As on a real line, bytes that nobody reads
are lost. What it records is a sniffer's: each byte that entered, `FILE.a` from end A, `FILE.b` from end B.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import select
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import BinaryIO

from .helper_process import end_by_sigterm, helper_process, say_ready
from .wire import Faults, Wire

_STALLED_SECONDS = 0.5
"""After that long without a reader the bytes on their way to it are lost."""


_HELP = {
    "bit_error_rate": "chance per bit to flip",
    "drop_rate": "chance per byte to be lost",
    "duplicate_rate": "chance per byte to come twice",
    "latency": "seconds, one way",
    "baud": "bits per second, 8N1; 0: as fast as it goes",
    "seed": "of the noise",
}


class _End:
    """One end: a pseudo-terminal whose slave stays open, so that nobody's closing hangs it up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.waiting = b""
        self.moved_at = 0.0
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

    def read(self, most: int) -> bytes:
        with contextlib.suppress(BlockingIOError):
            return os.read(self.master, most)
        return b""

    def write(self, now: float) -> None:
        """Hand on what waits for this end's reader; after a while without one it is lost."""
        if not self.waiting:
            self.moved_at = now
            return
        with contextlib.suppress(BlockingIOError):
            written = os.write(self.master, self.waiting)
            self.waiting = self.waiting[written:]
            if written:
                self.moved_at = now
        if now - self.moved_at >= _STALLED_SECONDS:
            self.waiting = b""
            termios.tcflush(self.slave, termios.TCIFLUSH)


@dataclass(slots=True)
class _Way:
    """One direction, and the file that a sniffer of it keeps."""

    source: _End
    wire: Wire
    target: _End
    record: BinaryIO | None

    def wants(self, now: float) -> bool:
        return not self.target.waiting and self.wire.room(now) > 0

    def move(self, now: float, *, readable: bool) -> None:
        """What the source has goes onto the wire, what has arrived to the target."""
        asked = self.wire.room(now) if readable else 0
        if asked:
            data = self.source.read(asked)
            self.wire.take(data, now, asked=asked)
            if self.record is not None:
                self.record.write(data)
        if not self.target.waiting:
            self.target.waiting = self.wire.arrived(now)
        self.target.write(now)

    def next_at(self, now: float) -> float | None:
        return self.target.moved_at + _STALLED_SECONDS if self.target.waiting else self.wire.next_at(now)


def carry(a: Path, b: Path, faults: Faults, *, record: Path | None, with_parent: bool) -> None:
    """Be the cable until SIGTERM, or, `with_parent`, until standard input ends."""
    ends = (_End(a), _End(b))
    with contextlib.ExitStack() as stack:
        ways = []
        for way, letter in enumerate("ab"):
            kept: BinaryIO | None = None
            if record is not None:
                kept = stack.enter_context(record.with_name(f"{record.name}.{letter}").open("wb", buffering=0))
            ways.append(_Way(ends[way], Wire(faults, way=way), ends[1 - way], kept))
        for end in ends:
            stack.callback(end.vanish)
            end.appear()
        say_ready()
        _copy(ways, sys.stdin.fileno() if with_parent else None)


def _copy(ways: list[_Way], parent: int | None) -> None:
    while True:
        now = time.monotonic()
        readers = [way.source.master for way in ways if way.wants(now)]
        writers = [way.target.master for way in ways if way.target.waiting]
        due = [at for way in ways if (at := way.next_at(now)) is not None]
        seconds = max(0.0, min(due) - now) if due else None
        # select(2) waits for fractions of a millisecond; epoll does not.
        ready, _, _ = select.select([*readers, *([] if parent is None else [parent])], writers, [], seconds)
        if parent is not None and parent in ready:
            return
        now = time.monotonic()
        for way in ways:
            way.move(now, readable=way.source.master in ready)


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
        faults: Faults | None = None,
        *,
        record: Path | None = None,
    ) -> Iterator[Cable]:
        """Lay a cable from `directory/name-appliance` to `directory/name-host`; unplug it at the end."""
        folder = directory.resolve()
        ends = [str(folder / f"{name}-{end}") for end in ("appliance", "host")]
        options = ["--with-parent", "--a", ends[0], "--b", ends[1]]
        for field in fields(Faults):
            options += [_option(field.name), str(getattr(faults or Faults(), field.name))]
        if record is not None:
            options += ["--record", str(record.resolve())]
        with helper_process("cable", *options) as process:
            yield cls(ends[0], ends[1], process)

    @property
    def appliance_options(self) -> tuple[str, ...]:
        """Of `undercroft-appliance run`."""
        return ("--line", self.appliance_path)

    @property
    def host_link(self) -> str:
        """Of `undercroft appliance add --link`."""
        return f"serial:{self.host_path}"

    @property
    def told(self) -> str:
        """In words."""
        return f"serial line {Path(self.host_path).name}"

    def unplug(self) -> None:
        """End the process: both paths vanish and both sides see a device that is gone."""
        self._process.terminate()
        self._process.wait()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="undercroft_demo.cable", description="A null-modem cable of two pseudo-terminals."
    )
    parser.add_argument("--a", type=Path, required=True, metavar="PATH", help="where one end appears")
    parser.add_argument("--b", type=Path, required=True, metavar="PATH", help="where the other end appears")
    for field in fields(Faults):
        kind = int if isinstance(field.default, int) else float
        parser.add_argument(_option(field.name), type=kind, default=field.default, metavar="X", help=_HELP[field.name])
    parser.add_argument("--record", type=Path, metavar="FILE", help="keep what enters at each end: FILE.a, FILE.b")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input ends")
    options = parser.parse_args()
    end_by_sigterm()
    faults = Faults(**{field.name: getattr(options, field.name) for field in fields(Faults)})
    carry(options.a.absolute(), options.b.absolute(), faults, record=options.record, with_parent=options.with_parent)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


if __name__ == "__main__":
    main()
