"""Put into the root of a test, beside the appliance: stands for the people and wires around a machine.

It is PID 1 there, under the name `MODULE`, with the part that it plays as its argument. The host's side never imports
anything of it but names. In what is shipped there is no such file.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import runpy
import select
import struct
import sys
import time
import traceback
import tty
from collections.abc import Callable
from typing import Final

from undercroft_protocol.errors import CameraError
from undercroft_protocol.qr.camera import v4l2_abi
from undercroft_protocol.qr.camera.v4l2 import HEIGHT, WIDTH, V4l2Camera
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.eye.zxing import ZxingEye
from undercroft_protocol.qr.picture import Picture
from undercroft_protocol.qr.sheet import picture_of

MODULE: Final = "undercroft_peripherals"
BRIDGE, FEED, CAMERA = "bridge", "feed", "camera"
"""The parts: the host's end of a USB cable; a hand with codes before the camera; a program that uses the camera."""
FORMATS: Final = ("YUYV", "GREY", "NV12", "GRBG", "GBRG", "RGGB", "BA81")
"""Pixel formats (V4L2's four letters) that the appliance reads."""
TEXT: Final = "UNDERCROFT SEES THIS IN "
BARS: Final = 8
DONE: Final = "done"

_TALK: Final = "/dev/hvc1"
_CAPTURE, _OUTPUT = "/dev/video0", "/dev/video1"
# <linux/videodev2.h> and drivers/media/test-drivers/vivid/vivid-ctrls.c.
_S_CTRL: Final = 0xC008561C
_VIDEO_OUTPUT: Final = 2
_BUFFERS: Final = 3
_TEXT_MODE, _NO_TEXT = 0x00F0F001, 2
_CONNECTED_TO, _PATTERN, _OUTPUT_0 = 0x00F0F000 + 113, 0, 2
_S_DV_TIMINGS: Final = 0xC0845657
# 1280 x 720 at 24 pictures a second (CEA-861), the fewest that vivid has: each of them costs an emulator dear.
_TIMINGS: Final = struct.pack("<5IQ11I2I2B50x", 0, WIDTH, HEIGHT, 0, 3, 59_400_000,
                              1760, 40, 220, 5, 5, 20, 0, 0, 0, 3, 130, 0, 0, 60, 0)  # fmt: skip
_PATIENCE_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 60.0


def main() -> None:
    """PID 1 of a test. Never returns but by the end of the machine."""
    part = sys.argv[1]
    if part == CAMERA:
        _use_camera()
        return
    if os.fork() == 0:
        _apart({BRIDGE: _bridge, FEED: _feed}[part])
    sys.argv[1:] = []
    runpy.run_module("undercroft_appliance.boot", run_name="__main__", alter_sys=True)


def _apart(play: Callable[[], None]) -> None:
    try:
        play()
    except BaseException:
        os.write(os.open("/dev/console", os.O_WRONLY | os.O_NOCTTY), traceback.format_exc().encode())
    finally:
        os._exit(1)


def _opened(path: str, flags: int = os.O_RDWR) -> int:
    """A device, as soon as it is there."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return os.open(path, flags | os.O_NOCTTY)
        except OSError as error:
            # Of a terminal the name comes a moment before the device.
            if error.errno not in (errno.ENOENT, errno.ENXIO) or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def _bridge() -> None:
    """Carry bytes between the host's end of the USB cable and the machine's UART."""
    ends = [_opened("/dev/ttyACM0"), _opened("/dev/ttyAMA0")]
    for end in ends:
        tty.setraw(end)
    while True:
        for end in select.select(ends, [], [])[0]:
            data = os.read(end, 4096)
            while data:
                data = data[os.write(ends[1 - ends.index(end)], data) :]


def _feed() -> None:
    """Hold a code before the camera: the text of each line that comes."""
    talk = _opened(_TALK)
    tty.setraw(talk)
    screen = _VideoOutput("YUYV")
    screen.show(Picture(WIDTH, HEIGHT, b"\xff" * (WIDTH * HEIGHT)))
    os.write(talk, b"ready\n")
    received = b""
    while True:
        received += os.read(talk, 4096)
        *lines, received = received.split(b"\n")
        for line in lines:
            screen.show(picture_of([draw(line.decode("ascii"))], width=WIDTH, height=HEIGHT))


class _VideoOutput:
    """vivid's output, plugged into its input."""

    def __init__(self, format_: str) -> None:
        self._format = format_
        capture = _opened(_CAPTURE)
        _control(capture, _TEXT_MODE, _NO_TEXT)
        _control(capture, _CONNECTED_TO, _OUTPUT_0)
        fcntl.ioctl(capture, _S_DV_TIMINGS, bytearray(_TIMINGS))
        os.close(capture)
        self._output = _opened(_OUTPUT)
        self._ask(_S_DV_TIMINGS, _TIMINGS)
        wanted = v4l2_abi.fourcc(format_)
        request = v4l2_abi.FORMAT.pack(_VIDEO_OUTPUT, WIDTH, HEIGHT, wanted, v4l2_abi.FIELD_NONE, 0, 0)
        _, width, height, found, *_ = v4l2_abi.FORMAT.unpack(self._ask(v4l2_abi.S_FMT, request))
        if (width, height, found) != (WIDTH, HEIGHT, wanted):
            raise ValueError(f"the video output does not take {format_}")
        self._ask(v4l2_abi.REQBUFS, v4l2_abi.REQUEST_BUFFERS.pack(_BUFFERS, _VIDEO_OUTPUT, v4l2_abi.MEMORY_MMAP))
        self._buffers = []
        for index in range(_BUFFERS):
            *_, offset, size = v4l2_abi.BUFFER.unpack(self._ask(v4l2_abi.QUERYBUF, self._buffer(index)))
            self._buffers.append(mmap.mmap(self._output, size, offset=offset))
        self._free = list(range(_BUFFERS))
        self._is_on = False

    def show(self, picture: Picture) -> None:
        """Show this until something else is shown."""
        frame = _raw(picture, self._format)
        if not self._free:
            self._free.append(v4l2_abi.BUFFER.unpack(self._ask(v4l2_abi.DQBUF, self._buffer(0)))[0])
        index = self._free.pop()
        self._buffers[index][: len(frame)] = frame
        self._ask(v4l2_abi.QBUF, self._buffer(index, len(frame)))
        if not self._is_on:
            self._ask(v4l2_abi.STREAMON, v4l2_abi.TYPE.pack(_VIDEO_OUTPUT))
            self._is_on = True

    def close(self) -> None:
        """Pull the plug."""
        for buffer in self._buffers:
            buffer.close()
        os.close(self._output)

    def _buffer(self, index: int, used: int = 0) -> bytes:
        return v4l2_abi.BUFFER.pack(index, _VIDEO_OUTPUT, used, 0, 0, v4l2_abi.MEMORY_MMAP, 0, 0)

    def _ask(self, request: int, argument: bytes) -> bytearray:
        answer = bytearray(argument)
        fcntl.ioctl(self._output, request, answer)
        return answer


def _raw(picture: Picture, format_: str) -> bytes:
    """A grey picture as a camera of this format sends it; each colour of a raw sensor then has the same value."""
    grey = picture.grey
    if format_ == "YUYV":
        mixed = bytearray(b"\x80" * (2 * len(grey)))
        mixed[::2] = grey
        return bytes(mixed)
    return grey + b"\x80" * (len(grey) // 2) if format_ == "NV12" else grey


def _control(descriptor: int, number: int, value: int) -> None:
    fcntl.ioctl(descriptor, _S_CTRL, bytearray(struct.pack("<Ii", number, value)))


def _use_camera() -> None:
    from undercroft_appliance.boot import kernel_calls  # noqa: PLC0415 - on the host there is none

    kernel_calls.mount("devtmpfs", "/dev", kernel_calls.NO_SETUID)
    talk = _opened(_TALK)

    def say(*words: object) -> None:
        os.write(talk, (" ".join(map(str, words)) + "\n").encode())

    try:
        tty.setraw(talk)
        for format_ in FORMATS:
            _try_format(format_, say)
    except Exception:
        say(traceback.format_exc())
    say(DONE)
    time.sleep(1)
    kernel_calls.power_off()


def _try_format(format_: str, say: Callable[..., None]) -> None:
    descriptor = _opened(_CAPTURE)
    _control(descriptor, _TEXT_MODE, _NO_TEXT)
    _control(descriptor, _CONNECTED_TO, _PATTERN)
    # What colours a driver makes of its pattern depends on it.
    fcntl.ioctl(descriptor, _S_DV_TIMINGS, bytearray(_TIMINGS))
    os.close(descriptor)
    camera = _camera(format_)
    picture = _next(camera)
    camera.close()
    row = picture.height // 2 * picture.width
    step = picture.width // BARS
    say("bars", format_, picture.width, picture.height, *picture.grey[row + step // 2 : row + picture.width : step])
    screen = _VideoOutput(format_)
    code = picture_of([draw(TEXT + format_)], width=WIDTH, height=HEIGHT)
    screen.show(code)
    camera = _camera(format_)
    eye = ZxingEye()
    start = time.monotonic()
    texts: list[str] = []
    while not texts and time.monotonic() < start + _LOOK_SECONDS:
        picture = _next(camera)
        texts = [sight.text for sight in eye.look(picture)]
    say("code", format_, f"{time.monotonic() - start:.1f}", int(picture.grey == code.grey), *texts)
    camera.close()
    screen.close()


def _camera(format_: str) -> V4l2Camera:
    """The appliance's own reader, with a driver that has this one format."""

    def ioctl(descriptor: int, request: int, argument: bytearray) -> object:
        if request == v4l2_abi.S_FMT and v4l2_abi.FORMAT.unpack(argument)[3] != v4l2_abi.fourcc(format_):
            raise OSError(22, "this driver has another format")
        return fcntl.ioctl(descriptor, request, argument)

    return V4l2Camera(_opened(_CAPTURE, os.O_RDWR | os.O_NONBLOCK), ioctl=ioctl)


def _next(camera: V4l2Camera) -> Picture:
    picture = None
    # The first may be of before.
    for _ in range(3):
        picture = camera.picture(timeout=_LOOK_SECONDS) or picture
    if picture is None:
        raise CameraError("no picture came")
    return picture


if __name__ == "__main__":
    main()
