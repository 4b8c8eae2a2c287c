"""A camera by Video4Linux2, with nothing but Python's own modules: no OpenCV, no numpy.

Formats without compression only (YUYV, GREY, NV12, 8-bit Bayer): a JPEG decoder would be one more parser to trust.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import select
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from undercroft_protocol.errors import CameraError
from undercroft_protocol.qr.camera import pixels, v4l2_abi
from undercroft_protocol.qr.camera.v4l2_abi import BUFFER, fourcc
from undercroft_protocol.qr.paths import CHARACTER_DEVICE, open_checked
from undercroft_protocol.qr.picture import MOST_SIDE, Picture

WIDTH, HEIGHT = 1280, 720
BUFFERS = 4
_MAX_BUFFERS = 32
_MAX_BUFFER_BYTES = 64 << 20

_CONVERTERS: dict[int, pixels.Converter] = {
    fourcc("YUYV"): pixels.from_yuyv,
    fourcc("GREY"): pixels.from_planar,
    fourcc("NV12"): pixels.from_planar,
    fourcc("GRBG"): partial(pixels.from_bayer, green_first=True),
    fourcc("GBRG"): partial(pixels.from_bayer, green_first=True),
    fourcc("RGGB"): partial(pixels.from_bayer, green_first=False),
    fourcc("BA81"): partial(pixels.from_bayer, green_first=False),
}

# fcntl.ioctl(fd, request, buffer), which it changes; mmap of (fd, bytes, offset).
Ioctl = Callable[[int, int, bytearray], object]
Map = Callable[[int, int, int], mmap.mmap]


def _map(fd: int, size: int, offset: int) -> mmap.mmap:
    return mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset)


class V4l2Camera:
    """Streams from ``fd``, an open, non-blocking /dev/videoN; it is closed at `close`.

    ``ioctl`` and ``map_buffer`` are the kernel's; a test brings its own. Raises CameraError.
    """

    def __init__(self, fd: int, *, ioctl: Ioctl = fcntl.ioctl, map_buffer: Map = _map) -> None:
        self._fd = fd
        self._ioctl = ioctl
        self._buffers: list[mmap.mmap] = []
        self._require_capture()
        self._choose_format()
        self._make_buffers(map_buffer)
        self._call(v4l2_abi.STREAMON, v4l2_abi.TYPE.pack(v4l2_abi.VIDEO_CAPTURE), "start")

    def fileno(self) -> int:
        """What becomes readable when there is a picture."""
        return self._fd

    def picture(self, *, timeout: float) -> Picture | None:
        """See `Camera`. Raises CameraError."""
        ready = select.poll()
        ready.register(self._fd, select.POLLIN)
        if not ready.poll(1000 * timeout):
            return None
        newest = self._dequeue()
        # A camera that is faster than this loop must not keep it here for ever.
        for _ in self._buffers:
            newer = self._dequeue()
            if newer is None:
                break
            if newest is not None:
                self._queue(newest[0])
            newest = newer
        if newest is None:
            return None
        index, used, flags = newest
        picture = None
        # A torn picture (the cable, the bus) is none.
        if not flags & v4l2_abi.BUFFER_ERROR and used >= self._needed:
            with memoryview(self._buffers[index]) as raw:
                picture = self._convert(raw[:used], self._width, self._height, self._stride)
        self._queue(index)
        return picture

    def close(self) -> None:
        """Stop and give the device back; again is nothing."""
        if self._fd < 0:
            return
        # One that was pulled out cannot be stopped.
        with suppress(CameraError):
            self._call(v4l2_abi.STREAMOFF, v4l2_abi.TYPE.pack(v4l2_abi.VIDEO_CAPTURE), "stop")
        for buffer in self._buffers:
            buffer.close()
        os.close(self._fd)
        self._fd = -1

    def _require_capture(self) -> None:
        answer = self._call(v4l2_abi.QUERYCAP, bytes(v4l2_abi.CAPABILITY.size), "say what it is")
        *_, everything, this_node = v4l2_abi.CAPABILITY.unpack(answer)
        can = this_node if everything & v4l2_abi.HAS_DEVICE_CAPS else everything
        if not (can & v4l2_abi.CAN_CAPTURE and can & v4l2_abi.CAN_STREAM):
            raise CameraError("this device takes no pictures; a camera often has several, try the next /dev/video")

    def _choose_format(self) -> None:
        for wanted in _CONVERTERS:
            request = v4l2_abi.FORMAT.pack(v4l2_abi.VIDEO_CAPTURE, WIDTH, HEIGHT, wanted, v4l2_abi.FIELD_NONE, 0, 0)
            # A driver answers with the nearest that it can do; some refuse.
            answer = self._ask(v4l2_abi.S_FMT, request, "choose a format", no=errno.EINVAL)
            if answer is None:
                continue
            _, width, height, format_, _, stride, _ = v4l2_abi.FORMAT.unpack(answer)
            if format_ in _CONVERTERS:
                break
        else:
            raise CameraError("the camera sends compressed pictures only; use one that has YUYV")
        if not (0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE):
            raise CameraError(f"the camera announces pictures of {width} x {height}")
        self._width, self._height = width, height
        row_bytes = 2 * width if format_ == fourcc("YUYV") else width
        self._stride = max(stride, row_bytes)
        self._needed = self._stride * (height - 1) + row_bytes
        self._convert = _CONVERTERS[format_]

    def _make_buffers(self, map_buffer: Map) -> None:
        request = v4l2_abi.REQUEST_BUFFERS.pack(BUFFERS, v4l2_abi.VIDEO_CAPTURE, v4l2_abi.MEMORY_MMAP)
        answer = self._call(v4l2_abi.REQBUFS, request, "make buffers")
        count = v4l2_abi.REQUEST_BUFFERS.unpack(answer)[0]
        if not 2 <= count <= _MAX_BUFFERS:
            raise CameraError(f"the camera has {count} buffers")
        for index in range(count):
            *_, offset, size = BUFFER.unpack(self._call(v4l2_abi.QUERYBUF, _buffer(index), "show its buffers"))
            if not self._needed <= size <= _MAX_BUFFER_BYTES:
                raise CameraError(f"the camera has a buffer of {size} bytes for pictures of {self._needed}")
            try:
                self._buffers.append(map_buffer(self._fd, size, offset))
            except OSError as error:
                raise CameraError(f"its buffers cannot be mapped ({error.strerror})") from error
            self._queue(index)

    def _dequeue(self) -> tuple[int, int, int] | None:
        """Index, bytes used and flags of the oldest full buffer; None when none is full."""
        answer = self._ask(v4l2_abi.DQBUF, _buffer(0), "give a picture", no=errno.EAGAIN)
        if answer is None:
            return None
        index, _, used, flags, *_ = BUFFER.unpack(answer)
        if index >= len(self._buffers) or used > len(self._buffers[index]):
            raise CameraError("the camera's driver names a buffer that it does not have")
        return index, used, flags

    def _queue(self, index: int) -> None:
        self._call(v4l2_abi.QBUF, _buffer(index), "take a buffer back")

    def _call(self, request: int, argument: bytes, what: str) -> bytearray:
        """What the driver answers to this request. Raises CameraError."""
        answer = bytearray(argument)
        try:
            self._ioctl_again(request, answer)
        except OSError as error:
            raise _camera_error(error, what) from error
        return answer

    def _ask(self, request: int, argument: bytes, what: str, *, no: int) -> bytearray | None:
        """The same, where the error number ``no`` is an answer too: None."""
        try:
            return self._call(request, argument, what)
        except CameraError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno == no:
                return None
            raise

    def _ioctl_again(self, request: int, argument: bytearray) -> None:
        while True:
            # A signal may come first; unlike most of Python's calls, this one does not begin again by itself.
            with suppress(InterruptedError):
                self._ioctl(self._fd, request, argument)
                return


def _camera_error(error: OSError, what: str) -> CameraError:
    if error.errno in (errno.ENODEV, errno.EIO):
        return CameraError("the camera was unplugged, or failed; plug it in again")
    if error.errno == errno.EBUSY:
        return CameraError("another program uses the camera; end it")
    if error.errno == errno.ENOTTY:
        return CameraError("this device is no camera")
    return CameraError(f"the camera could not {what} ({error.strerror})")


def _buffer(index: int) -> bytes:
    return BUFFER.pack(index, v4l2_abi.VIDEO_CAPTURE, 0, 0, 0, v4l2_abi.MEMORY_MMAP, 0, 0)


def v4l2_descriptor(path: str) -> int:
    """Open the camera at this absolute path, and do nothing with it. Raises CameraError."""
    return open_checked(path, os.O_RDWR, CHARACTER_DEVICE, CameraError)


def open_v4l2(path: str) -> V4l2Camera:
    """Open the camera at this absolute path and start it, 1280 x 720 or what is nearest. Raises CameraError."""
    fd = v4l2_descriptor(path)
    try:
        return V4l2Camera(fd)
    except CameraError:
        os.close(fd)
        raise
