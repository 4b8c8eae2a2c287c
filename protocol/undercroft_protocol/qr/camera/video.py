"""Cameras and video files by OpenCV, where it is installed: hosts and desks, never the appliance."""

from __future__ import annotations

import importlib
import os
import re
import stat
import threading
from pathlib import Path
from typing import Any, Protocol

from undercroft_protocol.errors import CameraError
from undercroft_protocol.qr.paths import CHARACTER_DEVICE, FILE, check_path
from undercroft_protocol.qr.picture import MOST_SIDE, Picture

# What a video file begins with: AVI, MP4 and MOV, Matroska and WebM. A playlist, which names other files and addresses,
# begins with none of these.
_CONTAINERS = (
    re.compile(rb"RIFF....AVI ", re.DOTALL),
    re.compile(rb"....ftyp", re.DOTALL),
    re.compile(rb"\x1aE\xdf\xa3"),
)

_FFMPEG_OPTIONS = "protocol_whitelist;file|format_whitelist;avi,mov,matroska"
_FFMPEG_QUIET = "-8"
# Attack: a film that is a gigabyte of nothing, through which FFmpeg looks for the next picture.
PATIENCE_MILLISECONDS = 5000


class Capture(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def read(self) -> tuple[bool, Any]:
        """Whether there is a picture, and it (a numpy array)."""

    def release(self) -> None:
        """Close it."""


class VideoFile:
    """Gives the pictures of a file, one after the other."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def fileno(self) -> None:
        """Nothing to wait for."""

    def picture(self, *, timeout: float) -> Picture:  # noqa: ARG002  (a file is never waited for)
        """The next one, at once. Raises CameraError at the end, and when OpenCV fails."""
        return _grey(_next_frame(self._capture, at_end="the stream is over"))

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


class VideoCamera:
    """Gives the newest picture of a camera. A thread reads, because OpenCV waits for a picture without a limit."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._changed = threading.Condition()
        self._newest: Any = None
        self._problem: CameraError | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._read_on, name="camera", daemon=True)
        self._thread.start()

    def fileno(self) -> None:
        """Nothing to wait for."""

    def picture(self, *, timeout: float) -> Picture | None:
        """See `Camera`. Raises CameraError."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._problem is not None, timeout)
            frame, self._newest = self._newest, None
            if frame is None and self._problem is not None:
                raise CameraError(self._problem.detail)
        return None if frame is None else _grey(frame)

    def close(self) -> None:
        """Stop; the thread gives the camera back after its last picture."""
        with self._changed:
            self._closing = True

    def _read_on(self) -> None:
        try:
            while not self._closing:
                frame = _next_frame(self._capture, at_end="the camera gives no more pictures; was it unplugged?")
                with self._changed:
                    self._newest = frame
                    self._changed.notify()
        except CameraError as error:
            with self._changed:
                self._problem = error
                self._changed.notify()
        finally:
            self._capture.release()


def open_video(text: str) -> VideoFile | VideoCamera:
    """Open camera number ``text`` ("0"), the camera at a path under /dev, or the video file at an absolute path.

    Raises CameraError, also when OpenCV is missing.
    """
    # Attack: given a string, OpenCV opens rtsp://, http://, an image sequence or a GStreamer pipeline. It gets the
    # number of a camera for V4L2, or a file that was looked at for FFmpeg, and no other backend.
    if re.fullmatch("[0-9]{1,2}", text):
        return VideoCamera(_open(int(text), "CAP_V4L2"))
    if stat.S_ISCHR(check_path(text, FILE | CHARACTER_DEVICE, CameraError)):
        return VideoCamera(_open(text, "CAP_V4L2"))
    _check_container(text)
    return VideoFile(_open(text, "CAP_FFMPEG"))


def _check_container(path: str) -> None:
    try:
        with Path(path).open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise CameraError(f"{path} cannot be opened ({error.strerror}); may this user read it?") from error
    # Attack: a playlist or a session description under the name of a video makes FFmpeg open what it names.
    if not any(one.match(start) for one in _CONTAINERS):
        raise CameraError(f"{path} is no AVI, MP4, MOV, Matroska or WebM file")


def _open(source: int | str, backend: str) -> Capture:
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as error:
        raise CameraError(
            "video needs OpenCV; install opencv-python-headless, or use /dev/video0 or y4m:PATH"
        ) from error
    # What goes wrong is told by the error, and by nothing beside it.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    # Attack: a file that begins as a video does and goes on as a session description, which FFmpeg likes better. Only
    # these forms and only files are read, whatever the environment says (others allow rtsp there).
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = _FFMPEG_OPTIONS
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = _FFMPEG_QUIET
    patience = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC) if backend == "CAP_FFMPEG" else ()
    try:
        capture = cv2.VideoCapture(
            source, getattr(cv2, backend), [value for one in patience for value in (one, PATIENCE_MILLISECONDS)]
        )
    except cv2.error as error:
        raise CameraError(f"OpenCV cannot open {source} ({error.err})") from error
    if not capture.isOpened():
        raise CameraError(f"OpenCV cannot open {source}; is it plugged in, does another program use it?")
    width, height = (int(capture.get(one)) for one in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    try:
        # Attack: a film of a few bytes whose pictures need gigabytes; before the first one is decoded.
        _check_size(width, height)
    except CameraError:
        capture.release()
        raise
    opened: Capture = capture
    return opened


def _check_size(width: int, height: int) -> None:
    if not (0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE):
        raise CameraError(f"pictures of {width} x {height}; up to {MOST_SIDE} x {MOST_SIDE} are read")


def _next_frame(capture: Capture, *, at_end: str) -> Any:
    cv2 = importlib.import_module("cv2")
    try:
        there, frame = capture.read()
    except (cv2.error, MemoryError) as error:
        raise CameraError("OpenCV failed on a picture") from error
    if not there:
        raise CameraError(at_end)
    return frame


def _grey(frame: Any) -> Picture:
    height, width = frame.shape[:2]
    _check_size(width, height)
    if frame.ndim == 3:
        cv2 = importlib.import_module("cv2")
        frame = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    return Picture(width, height, frame.tobytes())
