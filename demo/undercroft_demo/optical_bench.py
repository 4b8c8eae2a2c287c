"""An optical bench: for every appliance two terminals, and a synthetic camera that looks at each of them.

    python -m undercroft_demo.optical_bench --directory DIR [--seed N] NAME...

What an appliance draws on its terminal for codes is rendered, spoilt as by a camera (`optics`), and comes out of the
FIFO that the host's camera reads; and the other way round. Nothing else joins the two sides. It prints "ready" when
all paths are there, and ends by SIGTERM or when standard input ends. One picture of a camera is kept as a PNG.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import pty
import select
import selectors
import struct
import sys
import termios
import time
import tty
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from undercroft_protocol.qr.camera.y4m_stream import frame, header

from .helper_process import end_by_sigterm, helper_process, say_ready
from .optics import Image, Optics, as_array, as_picture
from .stage import SAMPLE
from .terminal_picture import TerminalPicture

COLUMNS: Final = 120
LINES: Final = 60
"""Of each terminal: room for version 20 and a margin."""
PIXELS: Final = 6
"""Of the screen for each half of a terminal's cell."""
WIDTH: Final = 1280
HEIGHT: Final = 720
"""Of a camera's picture."""
PROFILE: Final = "medium"
PICTURES_PER_SECOND: Final = 15
SIDES: Final = ("appliance", "host")

_STILL_SECONDS: Final = 0.2
_DARK_SECONDS: Final = 1.0
"""After so long a screen that does not change, or is dark, is shot again: the noise is another."""
_TICK_SECONDS: Final = 0.02
_READ_BYTES: Final = 65536
_PIPE_BYTES: Final = 1024 * 1024
"""As much as a FIFO holds without privileges: one picture."""


class Screen:
    """A terminal of which the bench is the emulator; the other end stays open, so that nobody's closing hangs it up."""

    def __init__(self, path: Path) -> None:
        self.master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        os.set_blocking(self.master, False)
        path.unlink(missing_ok=True)
        path.symlink_to(os.ttyname(self._slave))
        self._terminal = TerminalPicture(COLUMNS, LINES, dark_theme=True)
        self._shown: Image | None = None

    def read(self) -> None:
        """Take all that was written."""
        self._shown = None
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.master, _READ_BYTES):
                self._terminal.feed(data)

    def picture(self) -> Image:
        """What stands on it, two pixels for a cell."""
        if self._shown is None:
            self._shown = as_array(self._terminal.picture())
        return self._shown


@dataclass(slots=True)
class Sample:
    """The picture that is kept, of the largest code so far."""

    path: Path
    columns: int = 0

    def offer(self, shot: Image, *, columns: int) -> None:
        """Keep it if so many columns of the screen are lit, and fewer were before."""
        if columns > self.columns:
            self.columns = columns
            cv2.imwrite(str(self.path), shot)


class FilmedScreen:
    """Shoots one screen for whoever reads the FIFO; while nobody does, it rests."""

    def __init__(self, fifo: Path, screen: Screen, *, seed: int, sample: Sample) -> None:
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo, 0o600)
        self._fifo = fifo
        self._screen = screen
        self._sample = sample
        self._optics = Optics(PROFILE, width=WIDTH, height=HEIGHT, seed=seed)
        self._fd: int | None = None
        self._unsent = memoryview(b"")
        self._seen: Image | None = None
        self._shot_at = 0.0

    def turn(self, now: float) -> None:
        """Shoot, if it is time and somebody looks, and hand on what fits into the FIFO; never wait."""
        if not self._is_watched() or not self._flushed():
            return
        shown = self._screen.picture()
        changed = self._seen is None or not np.array_equal(shown, self._seen)
        is_lit = bool(shown.any())
        still = _STILL_SECONDS if is_lit else _DARK_SECONDS
        if now - self._shot_at < (1 / PICTURES_PER_SECOND if changed else still):
            return
        self._shot_at, self._seen = now, shown
        light = cv2.resize(shown, None, fx=PIXELS, fy=PIXELS, interpolation=cv2.INTER_NEAREST)
        shot = self._optics.shoot(np.asarray(light, np.uint8))
        self._unsent = memoryview(bytes(self._unsent) + frame(as_picture(shot)))
        self._flushed()
        self._sample.offer(shot, columns=int(shown.any(axis=0).sum()))

    def _is_watched(self) -> bool:
        """Whether a camera is open at the other end; a stream begins with each that opens it."""
        if self._fd is not None:
            poller = select.poll()
            poller.register(self._fd, 0)
            if not poller.poll(0):
                return True
            # What that camera did not read must not reach the next.
            os.close(self._fd)
            self._fd = None
        try:
            self._fd = os.open(self._fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._unsent, self._seen, self._shot_at = memoryview(header(WIDTH, HEIGHT, PICTURES_PER_SECOND)), None, 0.0
        return True

    def _flushed(self) -> bool:
        """Hand on what waits; whether nothing but the stream's header does."""
        assert self._fd is not None
        if self._seen is None:
            return True
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            while self._unsent:
                self._unsent = self._unsent[os.write(self._fd, self._unsent) :]
        return not self._unsent


def serve(directory: Path, names: Sequence[str], *, seed: int) -> None:
    """Be the bench until standard input ends, or SIGTERM."""
    # The machine has few cores, and the two sides need them.
    cv2.setNumThreads(1)
    screens: list[Screen] = []
    films: list[FilmedScreen] = []
    sample = Sample(directory / SAMPLE)
    for name in names:
        shown = {side: Screen(directory / f"{name}-{side}-codes") for side in SIDES}
        screens.extend(shown.values())
        # Each side's camera looks at the other side's screen.
        for side, other in zip(SIDES, reversed(SIDES), strict=True):
            fifo = directory / f"{name}-{side}-camera"
            films.append(FilmedScreen(fifo, shown[other], seed=seed + len(films), sample=sample))
    say_ready()
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin.fileno(), selectors.EVENT_READ, None)
        for screen in screens:
            selector.register(screen.master, selectors.EVENT_READ, screen)
        while True:
            for key, _ in selector.select(_TICK_SECONDS):
                if key.data is None:
                    return
                key.data.read()
            now = time.monotonic()
            for film in films:
                film.turn(now)


@dataclass(frozen=True, slots=True)
class OpticalPath:
    """What joins one appliance and the host: a screen and a camera on each side."""

    name: str
    directory: Path

    @property
    def appliance_options(self) -> tuple[str, ...]:
        """Of `undercroft-appliance run`."""
        camera, codes = (self.directory / f"{self.name}-appliance-{end}" for end in ("camera", "codes"))
        return ("--camera", f"y4m:{camera}", "--codes", str(codes))

    @property
    def host_link(self) -> str:
        """Of `undercroft appliance add --link`."""
        camera, codes = (self.directory / f"{self.name}-host-{end}" for end in ("camera", "codes"))
        return f"qr:y4m:{camera},tty:{codes}"

    @property
    def told(self) -> str:
        """In words."""
        return "a camera and a screen for codes on each side"


@contextlib.contextmanager
def optical_bench(directory: Path, names: Sequence[str], *, seed: int = 0) -> Iterator[dict[str, OpticalPath]]:
    """Set up a bench in a process of its own; the paths of each name."""
    folder = directory.resolve()
    with helper_process("optical_bench", "--directory", str(folder), "--seed", str(seed), *names):
        yield {name: OpticalPath(name, folder) for name in names}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="undercroft_demo.optical_bench", description="Cameras that look at screens, both synthetic."
    )
    parser.add_argument("--directory", type=Path, required=True, help="where terminals and cameras appear")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the cameras and the hands that hold them")
    parser.add_argument("names", nargs="+", metavar="NAME", help="an appliance")
    options = parser.parse_args()
    end_by_sigterm()
    serve(options.directory.absolute(), options.names, seed=options.seed)


if __name__ == "__main__":
    main()
