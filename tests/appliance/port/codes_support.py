"""The far side of a port with a camera and a screen for codes: somebody who films it and shows it codes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import termios
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from undercroft_demo.optics import Image, Optics, as_array, as_picture
from undercroft_demo.terminal_picture import TerminalPicture
from undercroft_protocol.fields import MAX_MESSAGE_BYTES
from undercroft_protocol.qr.camera.y4m_stream import frame, header
from undercroft_protocol.qr.collector import Collector
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.eye.zxing import ZxingEye
from undercroft_protocol.qr.screen.terminal import CLEAR
from undercroft_protocol.qr.sheet import picture_of
from undercroft_protocol.qr.sources import source_of
from undercroft_protocol.qr.stream import Format, Kind, Payload, SymbolSource

COLUMNS, LINES = 110, 56
WIDTH, HEIGHT = 1280, 720
SIDE = 720
SECONDS = 30.0
PSBT = b"psbt\xff" + bytes(range(256)) * 6


class Outside:
    """The far side's screen as the port's camera sees it (`show`), and the port's screen as its camera does (`read`).

    Pictures are distorted as by a plain camera; seeded.
    """

    def __init__(self, directory: Path, *, columns: int = COLUMNS, lines: int = LINES) -> None:
        self.fifo = directory / "camera"
        os.mkfifo(self.fifo)
        self.writer: int | None = None
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        os.set_blocking(self.master, False)
        self.terminal = TerminalPicture(columns, lines, dark_theme=True)
        self._theirs = Optics("medium", width=WIDTH, height=HEIGHT, seed=1)
        self._ours = Optics("medium", width=WIDTH, height=HEIGHT, seed=2)
        self._eye = ZxingEye()
        self.clears = 0
        """How often the port has cleared its screen."""
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._emulate, daemon=True)
        self._thread.start()

    @property
    def options(self) -> tuple[str, ...]:
        """Of the port."""
        return ("--camera", f"y4m:{self.fifo}", "--codes", os.ttyname(self.slave))

    def close(self) -> None:
        self.unplug()
        self.stop_terminal()
        for descriptor in (self.master, self.slave):
            if descriptor >= 0:
                os.close(descriptor)
        self.master = self.slave = -1

    def stop_terminal(self) -> None:
        """From now on nobody reads the port's terminal, as after Ctrl-S."""
        self._over.set()
        self._thread.join()

    # The port's camera.

    def plug(self) -> int:
        """What the camera's pictures are written into, from the stream's beginning on."""
        if self.writer is None:
            deadline = time.monotonic() + SECONDS
            while self.writer is None:
                try:
                    self.writer = os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK)
                except OSError:
                    assert time.monotonic() < deadline, "nobody opens the camera"
                    time.sleep(0.02)
            self.put(header(WIDTH, HEIGHT, 15))
        return self.writer

    def unplug(self) -> None:
        if self.writer is not None:
            os.close(self.writer)
            self.writer = None

    def put(self, data: bytes) -> None:
        """Bytes of the stream, all of which the port reads before this returns."""
        descriptor, rest = self.plug(), memoryview(data)
        deadline = time.monotonic() + SECONDS
        while rest or self._unread(descriptor):
            assert time.monotonic() < deadline, "the port reads no more"
            if not rest:
                time.sleep(0.002)
                continue
            select.select([], [descriptor], [], 1.0)
            try:
                rest = rest[os.write(descriptor, rest) :]
            except BlockingIOError:
                continue

    def film(self, text: str, *, version: int | None = None) -> None:
        """One picture of a screen with this code."""
        picture = picture_of([draw(text, version=version)], width=SIDE, height=SIDE)
        self.put(frame(as_picture(self._theirs.shoot(as_array(picture)))))

    def show(self, payload: Payload, until: Callable[[], bool], *, version: int = 20) -> None:
        """Show its codes, one after the other, until what is waited for has come."""
        source = source_of(payload, version=version, entropy=os.urandom)
        self.show_source(source, until, version=None if source.count == 1 else version)

    def show_source(self, source: SymbolSource, until: Callable[[], bool], *, version: int | None) -> None:
        deadline = time.monotonic() + SECONDS
        while not until():
            assert time.monotonic() < deadline, "the port does not read it"
            self.film(source.next_symbol(), version=version)

    # The port's screen.

    def look(self) -> Image:
        """What stands on the port's screen now, a pixel for a module."""
        with self._lock:
            return as_array(self.terminal.picture())

    def is_dark(self) -> bool:
        return not self.look().any()

    def goes_dark(self) -> bool:
        deadline = time.monotonic() + SECONDS
        while not (dark := self.is_dark()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return dark

    def read(self, wanted: Callable[[Payload], bool] = lambda _: True) -> Payload:
        """What the port shows, read from pictures of its screen; what is not wanted, such as an older reply that still
        stands there, is passed over."""
        collector = Collector(limit=MAX_MESSAGE_BYTES)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.05)
            light = cv2.resize(self.look(), None, fx=6, fy=6, interpolation=cv2.INTER_NEAREST)
            shot = self._ours.shoot(np.asarray(light, np.uint8))
            for sight in self._eye.look(as_picture(shot)):
                payload = collector.take(sight.text)
                if payload is not None and wanted(payload):
                    return payload
        raise AssertionError(f"the port shows nothing that can be read: {collector.gathered}")

    def _emulate(self) -> None:
        tail = b""
        while not self._over.is_set():
            select.select([self.master], [], [], 0.05)
            with self._lock, contextlib.suppress(BlockingIOError):
                while data := os.read(self.master, 65536):
                    self.terminal.feed(data)
                    self.clears += (tail + data).count(CLEAR)
                    tail = (tail + data)[1 - len(CLEAR) :]

    @staticmethod
    def _unread(descriptor: int) -> int:
        counted = fcntl.ioctl(descriptor, termios.FIONREAD, struct.pack("i", 0))
        return int(struct.unpack("i", counted)[0])


def fast(data: bytes) -> Payload:
    return Payload(Format.FAST, Kind.MESSAGE, data)
