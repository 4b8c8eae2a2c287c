"""A YUV4MPEG2 stream as a camera: what another program writes into a FIFO or a pseudo-terminal, or a file.

ffmpeg -f v4l2 -i /dev/video0 -f yuv4mpegpipe -pix_fmt yuv420p - > FIFO
"""

from __future__ import annotations

import os
import select
import stat
import termios
import time
import tty
from collections.abc import Callable

from undercroft_protocol.errors import CameraError
from undercroft_protocol.qr.camera.y4m_stream import StreamReader
from undercroft_protocol.qr.paths import CHARACTER_DEVICE, FIFO, FILE, open_checked
from undercroft_protocol.qr.picture import Picture

_CHUNK_BYTES = 1 << 20
# Attack: a writer that is faster than this reader, or whose pictures are tiny, would keep it reading for ever. What
# waits in a FIFO is far less than this.
_DRAIN_BYTES = 64 << 20
_DRAIN_PICTURES = 256


class Y4mCamera:
    """Reads the stream from ``fd``, which must not block; it is closed at `close`."""

    def __init__(self, fd: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fd = fd
        self._clock = clock
        self._is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        self._stream = StreamReader()

    def fileno(self) -> int:
        """What becomes readable; never for a file's end."""
        return self._fd

    def picture(self, *, timeout: float) -> Picture | None:
        """See `Camera`. Raises CameraError."""
        end = self._clock() + timeout
        ready = select.poll()
        ready.register(self._fd, select.POLLIN)
        newest = None
        budget = _DRAIN_BYTES
        pictures = 1 if self._is_file else _DRAIN_PICTURES
        while budget > 0 and pictures > 0:
            if picture := self._stream.next_picture():
                newest = picture
                pictures -= 1
                continue
            data = self._read()
            if data is None:
                left = end - self._clock()
                if newest or left <= 0 or not ready.poll(1000 * left):
                    break
                continue
            budget -= len(data)
            self._stream.feed(data)
        return newest

    def close(self) -> None:
        """Close it; again is nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> bytes | None:
        try:
            data = os.read(self._fd, _CHUNK_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise CameraError(
                f"the stream is gone ({error.strerror}); start what writes it, then this again"
            ) from error
        if not data:
            raise CameraError("the stream is over")
        return data


def open_y4m(path: str) -> Y4mCamera:
    """Open the FIFO, tty or file at this absolute path. Raises CameraError."""
    return Y4mCamera(y4m_descriptor(path))


def y4m_descriptor(path: str) -> int:
    """The same, and nothing is read. Raises CameraError."""
    fd = open_checked(path, os.O_RDONLY, FIFO | CHARACTER_DEVICE | FILE, CameraError)
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        # A FIFO that is open for writing too is never at its end: writers may come and go. The first opening ends only
        # then: a writer that waited for it would otherwise find nobody who reads, and die (SIGPIPE).
        first = fd
        try:
            fd = open_checked(path, os.O_RDWR, FIFO, CameraError)
        finally:
            os.close(first)
    if os.isatty(fd):
        # Line editing would swallow bytes of a picture.
        try:
            tty.setraw(fd)
        except termios.error as error:
            os.close(fd)
            raise CameraError(f"{path} cannot be opened; has its other end gone?") from error
    return fd
