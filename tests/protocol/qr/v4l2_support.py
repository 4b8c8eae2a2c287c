"""A stand-in for the kernel's side of Video4Linux2: formats, buffers, their queue, and what goes wrong with them."""

from __future__ import annotations

import errno
import mmap
import os
from collections import deque
from collections.abc import Callable

from undercroft_protocol.qr.camera import v4l2_abi
from undercroft_protocol.qr.camera.v4l2_abi import BUFFER, fourcc

PAGE = mmap.PAGESIZE


class Kernel:
    """One camera that sends `format_` only; `fd` is readable while a buffer is full, as a real one is."""

    def __init__(self, format_: str, width: int, height: int, *, stride: int, padding: int = 0) -> None:
        self.format, self.width, self.height, self.stride = format_, width, height, stride
        self.size = stride * height * (3 if format_ == "NV12" else 2) // 2 + padding
        self.capabilities = v4l2_abi.CAN_CAPTURE | v4l2_abi.CAN_STREAM
        self.count = 4
        self.fd, self._bell = os.pipe()
        os.set_blocking(self.fd, False)
        self.calls: list[int] = []
        self.maps: dict[int, mmap.mmap] = {}
        self.free: deque[int] = deque()
        self.full: deque[tuple[int, int, int, int]] = deque()
        self.sequence = 0
        self.streaming = False
        self.failure: Callable[[int], int] = lambda request: 0
        self.lie: dict[str, int] = {}

    def ioctl(self, fd: int, request: int, argument: bytearray) -> int:
        assert fd == self.fd
        self.calls.append(request)
        if failure := self.failure(request):
            raise OSError(failure, os.strerror(failure))
        size = request >> 16 & 0x3FFF
        assert len(argument) == size, "the argument has another size than the request says"
        handlers: dict[int, Callable[[bytearray], None]] = {
            v4l2_abi.QUERYCAP: self._capability,
            v4l2_abi.S_FMT: self._format,
            v4l2_abi.REQBUFS: self._request,
            v4l2_abi.QUERYBUF: self._query,
            v4l2_abi.QBUF: self._queue,
            v4l2_abi.DQBUF: self._dequeue,
            v4l2_abi.STREAMON: lambda _: self._stream(on=True),
            v4l2_abi.STREAMOFF: lambda _: self._stream(on=False),
        }
        handlers[request](argument)
        return 0

    def map_buffer(self, fd: int, size: int, offset: int) -> mmap.mmap:
        assert fd == self.fd
        assert size == self.lie.get("size", self.size)
        index, rest = divmod(offset, PAGE * 1000)
        assert rest == 0
        self.maps[index] = mmap.mmap(-1, size)
        return self.maps[index]

    def take(self, raw: bytes, *, flags: int = 0, used: int | None = None) -> None:
        """The sensor has a picture: it goes into the next free buffer, or is lost."""
        assert self.streaming
        self.sequence += 1
        if not self.free:
            return
        index = self.free.popleft()
        self.maps[index][: len(raw)] = raw
        self.full.append((index, len(raw) if used is None else used, flags, self.sequence))
        os.write(self._bell, b"!")

    def unplug(self) -> None:
        """From now on every call answers ENODEV, and the descriptor polls as ready."""
        self.failure = lambda request: errno.ENODEV
        os.write(self._bell, b"!")

    def _capability(self, argument: bytearray) -> None:
        everything = self.capabilities | v4l2_abi.HAS_DEVICE_CAPS
        argument[:] = v4l2_abi.CAPABILITY.pack(b"stand-in", b"stand-in", b"", 0x060000, everything, self.capabilities)

    def _format(self, argument: bytearray) -> None:
        type_, _, _, wanted, *_ = v4l2_abi.FORMAT.unpack(argument)
        assert type_ == v4l2_abi.VIDEO_CAPTURE
        assert wanted
        argument[:] = v4l2_abi.FORMAT.pack(
            type_, self.width, self.height, fourcc(self.format), 1, self.lie.get("stride", self.stride), self.size
        )

    def _request(self, argument: bytearray) -> None:
        _, type_, memory = v4l2_abi.REQUEST_BUFFERS.unpack(argument)
        assert (type_, memory) == (v4l2_abi.VIDEO_CAPTURE, v4l2_abi.MEMORY_MMAP)
        argument[:] = v4l2_abi.REQUEST_BUFFERS.pack(self.count, type_, memory)

    def _query(self, argument: bytearray) -> None:
        index, type_, *_ = BUFFER.unpack(argument)
        assert index < self.count
        size = self.lie.get("size", self.size)
        argument[:] = BUFFER.pack(index, type_, 0, 0, 0, v4l2_abi.MEMORY_MMAP, index * PAGE * 1000, size)

    def _queue(self, argument: bytearray) -> None:
        index, type_, _, _, _, memory, _, _ = BUFFER.unpack(argument)
        assert (type_, memory) == (v4l2_abi.VIDEO_CAPTURE, v4l2_abi.MEMORY_MMAP)
        assert index in self.maps
        assert index not in self.free
        assert index not in {one[0] for one in self.full}
        self.free.append(index)

    def _dequeue(self, argument: bytearray) -> None:
        assert self.streaming
        if not self.full:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        os.read(self.fd, 1)
        index, used, flags, sequence = self.full.popleft()
        index, used = self.lie.get("index", index), self.lie.get("used", used)
        argument[:] = BUFFER.pack(index, 1, used, flags, sequence, v4l2_abi.MEMORY_MMAP, 0, self.size)

    def _stream(self, *, on: bool) -> None:
        self.streaming = on
