"""Two links in two threads, each with a real terminal and a real stream of camera pictures, and a bad lens between."""

from __future__ import annotations

import os
import pty
import random
import termios
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
import pytest

from undercroft_demo.optics import Optics, as_array, as_picture
from undercroft_demo.terminal_picture import TerminalPicture
from undercroft_protocol.errors import CameraError, LinkTimeoutError, ScreenError
from undercroft_protocol.qr.camera import open_camera
from undercroft_protocol.qr.camera.y4m_stream import frame, header
from undercroft_protocol.qr.eye import best_eye
from undercroft_protocol.qr.link import QrLink, QrSettings
from undercroft_protocol.qr.screen import open_screen
from undercroft_protocol.qr.stream import Format, Kind, Payload

COLUMNS, LINES = 78, 40
WIDTH, HEIGHT = 640, 480
PIXELS = 8
"""Of a cell's half on the screen that the camera sees."""
REQUEST = random.Random(1).randbytes(1500)
REPLY = random.Random(2).randbytes(2500)


class Lens:
    """What one side's terminal shows, as the other side's camera gives it: a FIFO of pictures, 15 a second."""

    def __init__(self, fifo: Path, profile: str, seed: int) -> None:
        self._master, self._slave = pty.openpty()
        termios.tcsetwinsize(self._slave, (LINES, COLUMNS))
        os.set_blocking(self._master, False)
        os.mkfifo(fifo)
        self.fifo = fifo
        self.screen = os.ttyname(self._slave)
        self._terminal = TerminalPicture(COLUMNS, LINES)
        self._optics = Optics(profile, width=WIDTH, height=HEIGHT, seed=seed)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()
        os.close(self._master)
        os.close(self._slave)

    def unplug(self) -> None:
        """The camera is pulled out."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        # Both ways, so that this does not wait for who reads; nothing more is written once nobody does.
        fd = os.open(self.fifo, os.O_RDWR | os.O_NONBLOCK)
        rest = header(WIDTH, HEIGHT, 15)
        while not self._ended.wait(1 / 15):
            self._feed()
            if not rest:
                large = np.kron(as_array(self._terminal.picture()), np.ones((PIXELS, PIXELS), np.uint8))
                rest = frame(as_picture(self._optics.shoot(large)))
            try:
                while rest:
                    rest = rest[os.write(fd, rest) :]
            except BlockingIOError:
                continue
        os.close(fd)

    def _feed(self) -> None:
        try:
            while data := os.read(self._master, 1 << 16):
                self._terminal.feed(data)
        except BlockingIOError:
            return


@contextmanager
def facing(tmp_path: Path, profile: str) -> Iterator[tuple[QrLink, QrLink, Lens]]:
    """The near link, the far one, and the near one's lens."""
    cv2.setNumThreads(1)
    with Lens(tmp_path / "far", profile, 1) as far_lens, Lens(tmp_path / "near", profile, 2) as near_lens:
        # Each side's lens looks at its own terminal; its pictures are the other side's.
        links = []
        for own, other in ((near_lens, far_lens), (far_lens, near_lens)):
            settings = QrSettings(version=12, pictures_per_second=6)
            camera = open_camera(f"y4m:{other.fifo}")
            links.append(QrLink(camera, open_screen(f"tty:{own.screen}"), best_eye(), settings=settings))
        yield links[0], links[1], far_lens
        for link in links:
            link.close()


def serve(link: QrLink, reply: bytes, ended: threading.Event) -> list[Payload]:
    """The far side: an event loop that answers every message."""
    heard: list[Payload] = []
    while not ended.is_set():
        for payload in link.pump():
            heard.append(payload)
            link.show(Payload(Format.FAST, Kind.MESSAGE, reply))
        time.sleep(0.01)
    return heard


@pytest.mark.parametrize("profile", ["easy", "medium"])
def test_a_conversation_through_terminals_and_cameras(tmp_path: Path, profile: str) -> None:
    ended = threading.Event()
    with facing(tmp_path, profile) as (near, far, _), ThreadPoolExecutor(1) as pool:
        serving = pool.submit(serve, far, REPLY, ended)
        try:
            for _ in range(2):
                near.send(REQUEST, timeout=5)
                assert near.receive(timeout=120) == REPLY
        finally:
            ended.set()
        assert serving.result() == [Payload(Format.FAST, Kind.MESSAGE, REQUEST)] * 2
        assert near.seen.codes > 0
        assert near.progress().received_bytes > 0


def test_a_camera_that_stands_still_is_waited_for_and_no_longer_than_that(tmp_path: Path) -> None:
    with facing(tmp_path, "easy") as (near, _, lens):
        near.send(REQUEST, timeout=5)
        lens.unplug()
        with pytest.raises(LinkTimeoutError, match=r"within 2 s: (no code in|the camera gave)"):
            near.receive(timeout=2)


def test_a_camera_that_is_pulled_out_ends_it_and_the_terminal_is_given_back() -> None:
    (screen, shown), (camera, stream) = pty.openpty(), pty.openpty()
    termios.tcsetwinsize(shown, (LINES, COLUMNS))
    link = QrLink(
        open_camera(f"y4m:{os.ttyname(stream)}"), open_screen(f"tty:{os.ttyname(shown)}"), best_eye(),
        settings=QrSettings(version=12),
    )  # fmt: skip
    with ThreadPoolExecutor(1) as pool:
        drained = pool.submit(drain, screen)
        link.send(REQUEST, timeout=5)
        timer = threading.Timer(0.5, os.close, [camera])
        timer.start()
        with pytest.raises(CameraError, match=r"gone|over"):
            link.receive(timeout=60)
        link.close()
        os.close(shown)
        said = drained.result()
    assert b"\x1b[?25h" in said[said.rindex(b"\x1b[2J") :]
    os.close(screen)
    os.close(stream)


def drain(fd: int) -> bytes:
    """All that a terminal gets until nobody has it open."""
    data = b""
    try:
        while part := os.read(fd, 1 << 16):
            data += part
    except OSError:
        return data
    return data


def test_a_terminal_without_room_says_what_would_fit(tmp_path: Path) -> None:
    with facing(tmp_path, "easy") as (near, far, _):
        near.close()
        screen = open_screen(f"tty:{os.ttyname(pty.openpty()[1])}")
        with pytest.raises(ScreenError, match="stty"):
            QrLink(open_camera(f"y4m:{tmp_path}/far"), screen, best_eye()).send(REQUEST, timeout=5)
        assert far.seen.codes == 0
