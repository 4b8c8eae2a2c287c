"""Where pictures come from: a camera of this machine, a stream of YUV4MPEG2 pictures, a video file."""

from __future__ import annotations

import os
import stat
from typing import Protocol

from undercroft_protocol.errors import CameraError
from undercroft_protocol.qr.camera.v4l2 import V4l2Camera, open_v4l2, v4l2_descriptor
from undercroft_protocol.qr.camera.video import open_video
from undercroft_protocol.qr.camera.y4m import Y4mCamera, open_y4m, y4m_descriptor
from undercroft_protocol.qr.picture import Picture


class Camera(Protocol):
    """Gives one picture at a time."""

    def fileno(self) -> int | None:
        """What becomes readable when there is a picture; None where nothing does."""

    def picture(self, *, timeout: float) -> Picture | None:
        """The newest picture (older ones are dropped), None when none came within ``timeout`` seconds (0: no waiting).

        A file drops none: it gives its next one. Raises CameraError when the camera is gone, or the file is over.
        """

    def close(self) -> None:
        """Give it back."""


def open_camera(text: str) -> Camera:
    """Open "/dev/video0" (V4L2), "y4m:PATH" (a FIFO, a pseudo-terminal, a file) or "video:PATH" / "video:0" (OpenCV).

    Paths are absolute. Raises CameraError for anything else, URLs above all, and for what cannot be opened.
    """
    kind, colon, rest = text.partition(":")
    if text.startswith("/dev/"):
        return open_v4l2(text)
    if colon and kind == "y4m":
        return open_y4m(rest)
    if colon and kind == "video":
        return open_video(rest)
    raise CameraError(f"{text!r} is neither /dev/video0 nor y4m:PATH nor video:PATH")


def camera_descriptor(text: str) -> int:
    """Open "/dev/video0" or "y4m:PATH" as `open_camera` does, and no more: `camera_over` is for another process.

    Raises CameraError.
    """
    if text.startswith("/dev/"):
        return v4l2_descriptor(text)
    if text.startswith("y4m:"):
        return y4m_descriptor(text.removeprefix("y4m:"))
    raise CameraError(f"{text!r} is neither /dev/video0 nor y4m:PATH")


def camera_over(fd: int) -> V4l2Camera | Y4mCamera:
    """The camera or the stream behind a descriptor of `camera_descriptor`. Raises CameraError."""
    if stat.S_ISCHR(os.fstat(fd).st_mode) and not os.isatty(fd):
        return V4l2Camera(fd)
    return Y4mCamera(fd)
