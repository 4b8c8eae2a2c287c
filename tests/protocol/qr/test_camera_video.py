"""Video by OpenCV: real files, a camera that is a stand-in, and nothing from a network."""

from __future__ import annotations

import importlib
import os
import random
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from protocol.qr.drawing_support import read_all
from undercroft_protocol.errors import CameraError
from undercroft_protocol.qr.camera import open_camera, video
from undercroft_protocol.qr.camera.video import VideoCamera, VideoFile, open_video
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.sheet import picture_of

WIDTH, HEIGHT = 320, 240
TEXTS = ["11111", "22222", "33333"]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Motion-JPEG film that shows a code in each picture."""
    path = tmp_path_factory.mktemp("film") / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for text in TEXTS:
        picture = picture_of([draw(text, version=4)], width=WIDTH, height=HEIGHT)
        grey = np.frombuffer(picture.grey, np.uint8).reshape(HEIGHT, WIDTH)
        writer.write(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


def test_a_film_gives_every_picture_and_then_is_over(film: Path) -> None:
    camera = open_camera(f"video:{film}")
    assert isinstance(camera, VideoFile)
    for text in TEXTS:
        picture = camera.picture(timeout=0)
        assert (picture.width, picture.height) == (WIDTH, HEIGHT)
        assert read_all(picture) == [text]
    with pytest.raises(CameraError, match="over"):
        camera.picture(timeout=0)
    camera.close()


class StandIn:
    """A camera whose pictures are let through one by one."""

    def __init__(self) -> None:
        self.shades: list[int | None] = []
        self.shown = threading.Semaphore(0)
        self.asked = threading.Semaphore(0)
        self.released = threading.Event()

    def show(self, *shades: int | None) -> None:
        """Give these, and wait until all were read."""
        self.shades += shades
        for _ in shades:
            self.shown.release()
        for _ in shades:
            assert self.asked.acquire(timeout=5)

    def read(self) -> tuple[bool, Any]:
        self.asked.release()
        self.shown.acquire(timeout=5)
        shade = self.shades.pop(0) if self.shades else None
        return (False, None) if shade is None else (True, np.full((4, 6, 3), shade, np.uint8))

    def release(self) -> None:
        self.released.set()


def started() -> tuple[StandIn, VideoCamera]:
    device = StandIn()
    camera = VideoCamera(device)
    assert device.asked.acquire(timeout=5)
    return device, camera


def test_the_newest_picture_of_a_camera_wins() -> None:
    device, camera = started()
    assert camera.picture(timeout=0) is None
    device.show(1, 2, 3)
    picture = camera.picture(timeout=5)
    assert picture is not None
    assert (picture.width, picture.height, set(picture.grey)) == (6, 4, {3})
    assert camera.picture(timeout=0.01) is None
    camera.close()
    device.shown.release()
    assert device.released.wait(5)


def test_a_camera_that_stops_is_reported_each_time_and_given_back() -> None:
    device, camera = started()
    device.shades.append(None)
    device.shown.release()
    for _ in range(2):
        with pytest.raises(CameraError, match="unplugged"):
            camera.picture(timeout=5)
    assert device.released.wait(5)
    camera.close()


def _fails() -> tuple[bool, Any]:
    raise cv2.error("the decoder is broken")


def test_a_failure_of_opencv_in_the_middle_is_told_as_ours(film: Path) -> None:
    device, camera = started()
    device.read = _fails  # type: ignore[method-assign]
    device.shades.append(1)
    device.shown.release()
    assert device.released.wait(5)
    assert camera.picture(timeout=5) is not None
    with pytest.raises(CameraError, match="OpenCV failed"):
        camera.picture(timeout=5)
    opened = open_video(str(film))
    assert isinstance(opened, VideoFile)
    opened.close()
    with pytest.raises(CameraError, match="OpenCV failed"):
        VideoFile(device).picture(timeout=0)


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://127.0.0.1:{port}/live",
        "http://127.0.0.1:{port}/film.avi",
        "tcp://127.0.0.1:{port}",
        "udp://127.0.0.1:{port}",
        "file:///etc/passwd",
        "/dev/../tcp://127.0.0.1:{port}",
        "tcpclientsrc host=127.0.0.1 port={port} ! decodebin ! appsink",
        "v4l2src ! appsink",
        "concat:/etc/passwd|/etc/passwd",
        "film.avi",
        "-1",
        "100",
        "0x0",
        "٣",
        "",
        " 0",
        "0 ",
        "/film%04d.png",
    ],
)
def test_attack_urls_pipelines_and_odd_names_are_refused_and_nothing_connects(text: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        with pytest.raises(CameraError):
            open_camera("video:" + text.format(port=server.getsockname()[1]))
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile 'http://127.0.0.1:{port}/a.avi'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n",
        "<?xml version='1.0'?><MPD><BaseURL>http://127.0.0.1:{port}/</BaseURL></MPD>",
        "",
    ],
)
def test_attack_a_playlist_named_like_a_video_opens_nothing(tmp_path: Path, content: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        (tmp_path / "film.avi").write_text(content.format(port=server.getsockname()[1]))
        with pytest.raises(CameraError, match="is no AVI"):
            open_video(str(tmp_path / "film.avi"))
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("start", [b"\x1aE\xdf\xa3\x01\n", b"aaaaftypjp2 \n"])
def test_attack_a_session_description_that_begins_as_a_video_does_opens_no_port_whatever_the_environment_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file,rtp,udp")
    # Below those that a system gives to other programs.
    port = 20_000
    description = f"c=IN IP4 127.0.0.1\nv=0\ns=x\nt=0 0\nm=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    (tmp_path / "film.mp4").write_bytes(start + description.encode())
    refused: list[CameraError] = []

    def open_it() -> None:
        with pytest.raises(CameraError) as caught:
            open_video(str(tmp_path / "film.mp4"))
        refused.append(caught.value)

    # With an open port FFmpeg would wait for seconds for what comes.
    opening = threading.Thread(target=open_it, daemon=True)
    opening.start()
    while opening.is_alive():
        opening.join(0.05)
        assert f":{port:04X} " not in Path("/proc/net/udp").read_text("ascii")
    assert len(refused) == 1


def test_attack_what_opencv_opens_after_a_film_may_be_files_only(film: Path) -> None:
    # A form that is allowed may name other places; whatever FFmpeg is given in this process, it connects to none.
    open_video(str(film)).close()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/film.avi"
        assert not cv2.VideoCapture(address, cv2.CAP_FFMPEG).isOpened()
        with pytest.raises(BlockingIOError):
            server.accept()


def test_what_opencv_says_beside_the_error_is_not_told(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CameraError, match="cannot open 99"):
        open_video("99")
    assert capfd.readouterr() == ("", "")


def test_what_ffmpeg_says_of_a_spoiled_film_is_not_told(film: Path, tmp_path: Path) -> None:
    content = film.read_bytes()
    middle = len(content) // 2
    spoiled = tmp_path / "spoiled.avi"
    spoiled.write_bytes(content[:middle] + random.Random(1).randbytes(500) + content[middle + 500 :])
    # A program of its own: FFmpeg asks how much it may say once.
    told = subprocess.run([sys.executable, "-c", _READ_ALL, str(spoiled)], capture_output=True, check=True)
    assert told.stdout == b"read\n"
    assert told.stderr == b""


_READ_ALL = """
import sys
from undercroft_protocol.errors import CameraError
from undercroft_protocol.qr.camera.video import open_video
try:
    camera = open_video(sys.argv[1])
    while True:
        camera.picture(timeout=0)
except CameraError:
    print("read")
"""


def _bytes_read() -> int:
    """What this process has read so far, of files too (proc(5))."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.parametrize("pictures", [0, 2])
def test_attack_a_gigabyte_of_nothing_in_a_film_is_given_up(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: int
) -> None:
    monkeypatch.setattr(video, "PATIENCE_MILLISECONDS", 100)
    content = film.read_bytes()
    path = tmp_path / "long.avi"
    path.write_bytes(content[: content.rindex(b"00dc", 0, content.rindex(b"idx1"))] if pictures else content[:12])
    with path.open("r+b") as file:
        file.truncate(1 << 30)
    before = _bytes_read()
    # At its opening, or behind the pictures that are there.
    with pytest.raises(CameraError):
        camera = open_video(str(path))
        for _ in range(pictures + 1):
            camera.picture(timeout=0)
    assert _bytes_read() - before < 1 << 29


def test_attack_a_film_that_ends_early_or_is_noise_is_refused(film: Path, tmp_path: Path) -> None:
    whole = film.read_bytes()
    for content in (whole[:12], whole[:12] + os.urandom(2000), whole[:100]):
        (tmp_path / "bad.avi").write_bytes(content)
        with pytest.raises(CameraError):
            open_video(str(tmp_path / "bad.avi")).picture(timeout=0)


def test_attack_a_film_of_impossible_size_is_refused_before_a_picture_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "wide.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (4112, 16))
    writer.write(np.zeros((16, 4112, 3), np.uint8))
    writer.release()
    with pytest.raises(CameraError, match="4112 x 16"):
        open_video(str(path))


def test_attack_pictures_of_impossible_size_are_refused() -> None:
    class Huge:
        def read(self) -> tuple[bool, Any]:
            return True, np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (5000, 5000, 3))

        def release(self) -> None:
            pass

    with pytest.raises(CameraError, match="5000 x 5000"):
        VideoFile(Huge()).picture(timeout=0)


def test_a_camera_that_is_not_there_and_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (str(tmp_path / "fifo"), str(tmp_path), str(tmp_path / "none"), "/dev/null"):
        with pytest.raises(CameraError):
            open_video(path)


def test_without_opencv_the_report_says_what_to_install(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(CameraError, match="install opencv-python-headless"):
        open_video(str(film))
