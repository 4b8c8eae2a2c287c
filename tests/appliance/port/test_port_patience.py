"""How much of the port's time pictures may take: on a fake clock."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
import time
from pathlib import Path

import pytest

from undercroft_appliance.port import codes
from undercroft_appliance.port.patience import LONG_SECONDS, REST, PatientEye
from undercroft_protocol.errors import QrError
from undercroft_protocol.qr.camera import camera_descriptor
from undercroft_protocol.qr.camera.y4m_stream import frame, header
from undercroft_protocol.qr.eye import Sight
from undercroft_protocol.qr.eye.zxing import ZxingEye
from undercroft_protocol.qr.picture import Picture

BLANK = Picture(8, 8, bytes(64))
SEEN = [Sight("7", ((0, 0), (7, 0), (7, 7), (0, 7)))]


class Slow:
    """An eye and its clocks: each look takes so many seconds of the processor, and waits for it so many before."""

    def __init__(self, seconds: float, *, waits: float = 0.0, fails: bool = False) -> None:
        self.now = 100.0
        self.seconds = seconds
        self.waits = waits
        self.fails = fails
        self.worked = 0.0
        self.eye = PatientEye(self, clock=lambda: self.now, effort=lambda: self.worked)

    def look(self, picture: Picture) -> list[Sight]:
        self.now += self.waits + self.seconds
        self.worked += self.seconds
        if self.fails:
            raise QrError("zxing-cpp failed on a picture")
        return SEEN if picture is BLANK else []


def test_quick_looks_are_never_left_out() -> None:
    slow = Slow(LONG_SECONDS)
    assert [slow.eye.look(BLANK) for _ in range(10)] == [SEEN] * 10


@pytest.mark.parametrize("fails", [False, True])
def test_attack_pictures_that_take_long_leave_most_of_the_time_to_the_cable(*, fails: bool) -> None:
    slow = Slow(2.0, fails=fails)
    began, looking = slow.now, 0.0
    while slow.now < began + 100:
        before = slow.now
        try:
            slow.eye.look(BLANK)
        except QrError:
            assert fails
        looking += slow.now - before
        slow.now += 0.05
    assert 0.9 < looking * (1 + REST) / 100 < 1.1


def test_a_look_that_waited_for_the_processor_is_not_a_long_one() -> None:
    slow = Slow(LONG_SECONDS, waits=5.0)
    assert [slow.eye.look(BLANK) for _ in range(10)] == [SEEN] * 10


def test_after_its_rest_it_looks_again() -> None:
    slow = Slow(2.0)
    assert slow.eye.look(BLANK) == SEEN
    slow.now += 2.0 * REST - 0.1
    assert slow.eye.look(BLANK) == []
    slow.now += 0.1
    assert slow.eye.look(BLANK) == SEEN


class Hostile(ZxingEye):
    """Takes long for dark pictures, and counts them."""

    looks = 0

    def look(self, picture: Picture) -> list[Sight]:
        if any(picture.grey):
            return super().look(picture)
        Hostile.looks += 1
        began = time.thread_time()
        while time.thread_time() - began < 2 * LONG_SECONDS:
            pass
        return []


def test_the_port_reads_with_such_an_eye(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = tmp_path / "film"
    film.write_bytes(header(8, 8, 15) + frame(BLANK) * 20)
    monkeypatch.setattr(codes, "ZxingEye", Hostile)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 110, 0, 0))
    try:
        with codes.Codes.over(camera_descriptor(f"y4m:{film}"), os.dup(slave), print) as carrier:
            for _ in range(10):
                assert carrier.pump() == []
    finally:
        os.close(slave)
        os.close(master)
    assert Hostile.looks == 1
