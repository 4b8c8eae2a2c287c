"""V4L2 without a camera: layouts against the kernel's header, calls against a stand-in, pixels against codes."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.qr.drawing_support import read_all
from protocol.qr.v4l2_support import Kernel
from undercroft_protocol.errors import CameraError
from undercroft_protocol.qr.camera import open_camera, pixels, v4l2_abi
from undercroft_protocol.qr.camera.v4l2 import V4l2Camera, open_v4l2
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.picture import Picture
from undercroft_protocol.qr.sheet import picture_of

# What the header says: each line prints one figure of the struct formats and constants in v4l2_abi.
C_PROGRAM = r"""
#include <linux/videodev2.h>
#include <stddef.h>
#include <stdio.h>
#define SHOW(name, value) printf("%s %lu\n", name, (unsigned long)(value))
#define AT(type, field) SHOW(#type "." #field, offsetof(struct type, field))
int main(void) {
    SHOW("CAPABILITY", sizeof(struct v4l2_capability)); SHOW("FORMAT", sizeof(struct v4l2_format));
    SHOW("REQUEST_BUFFERS", sizeof(struct v4l2_requestbuffers)); SHOW("BUFFER", sizeof(struct v4l2_buffer));
    AT(v4l2_capability, driver); AT(v4l2_capability, card); AT(v4l2_capability, bus_info); AT(v4l2_capability, version);
    AT(v4l2_capability, capabilities); AT(v4l2_capability, device_caps);
    AT(v4l2_format, type); AT(v4l2_format, fmt.pix.width); AT(v4l2_format, fmt.pix.height);
    AT(v4l2_format, fmt.pix.pixelformat); AT(v4l2_format, fmt.pix.field); AT(v4l2_format, fmt.pix.bytesperline);
    AT(v4l2_format, fmt.pix.sizeimage);
    AT(v4l2_requestbuffers, count); AT(v4l2_requestbuffers, type); AT(v4l2_requestbuffers, memory);
    AT(v4l2_buffer, index); AT(v4l2_buffer, type); AT(v4l2_buffer, bytesused); AT(v4l2_buffer, flags);
    AT(v4l2_buffer, sequence); AT(v4l2_buffer, memory); AT(v4l2_buffer, m.offset); AT(v4l2_buffer, length);
    SHOW("QUERYCAP", VIDIOC_QUERYCAP); SHOW("S_FMT", VIDIOC_S_FMT); SHOW("REQBUFS", VIDIOC_REQBUFS);
    SHOW("QUERYBUF", VIDIOC_QUERYBUF); SHOW("QBUF", VIDIOC_QBUF); SHOW("DQBUF", VIDIOC_DQBUF);
    SHOW("STREAMON", VIDIOC_STREAMON); SHOW("STREAMOFF", VIDIOC_STREAMOFF);
    SHOW("VIDEO_CAPTURE", V4L2_BUF_TYPE_VIDEO_CAPTURE); SHOW("MEMORY_MMAP", V4L2_MEMORY_MMAP);
    SHOW("FIELD_NONE", V4L2_FIELD_NONE); SHOW("CAN_CAPTURE", V4L2_CAP_VIDEO_CAPTURE);
    SHOW("CAN_STREAM", V4L2_CAP_STREAMING); SHOW("HAS_DEVICE_CAPS", V4L2_CAP_DEVICE_CAPS);
    SHOW("BUFFER_ERROR", V4L2_BUF_FLAG_ERROR);
    SHOW("YUYV", V4L2_PIX_FMT_YUYV); SHOW("GREY", V4L2_PIX_FMT_GREY); SHOW("NV12", V4L2_PIX_FMT_NV12);
    SHOW("GRBG", V4L2_PIX_FMT_SGRBG8); SHOW("GBRG", V4L2_PIX_FMT_SGBRG8); SHOW("RGGB", V4L2_PIX_FMT_SRGGB8);
    SHOW("BA81", V4L2_PIX_FMT_SBGGR8);
    return 0;
}
"""
# The fields of each format string in order, as the program names them.
FIELDS = {
    "v4l2_capability": ("CAPABILITY", "driver card bus_info version capabilities device_caps"),
    "v4l2_format": (
        "FORMAT",
        "type fmt.pix.width fmt.pix.height fmt.pix.pixelformat fmt.pix.field fmt.pix.bytesperline fmt.pix.sizeimage",
    ),
    "v4l2_requestbuffers": ("REQUEST_BUFFERS", "count type memory"),
    "v4l2_buffer": ("BUFFER", "index type bytesused flags sequence memory m.offset length"),
}


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Every figure as the compiler sees it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not Path("/usr/include/linux/videodev2.h").exists():
        pytest.skip("no C compiler, or no <linux/videodev2.h>")
    folder = tmp_path_factory.mktemp("v4l2")
    (folder / "show.c").write_text(C_PROGRAM)
    subprocess.run([compiler, "-o", folder / "show", folder / "show.c"], check=True, timeout=60)
    shown = subprocess.run([folder / "show"], check=True, capture_output=True, text=True, timeout=60).stdout
    return {name: int(value) for name, value in map(str.split, shown.splitlines())}


def test_sizes_numbers_and_constants_are_the_headers(header: dict[str, int]) -> None:
    names = {name for name in header if "." not in name}
    formats = {"YUYV", "GREY", "NV12", "GRBG", "GBRG", "RGGB", "BA81"}
    for name in names - formats:
        ours = getattr(v4l2_abi, name)
        assert (ours if isinstance(ours, int) else ours.size) == header[name], name
    for name in formats:
        assert v4l2_abi.fourcc(name) == header[name], name


@pytest.mark.parametrize("structure", list(FIELDS))
def test_each_field_lies_where_the_header_has_it(header: dict[str, int], structure: str) -> None:
    form = getattr(v4l2_abi, FIELDS[structure][0])
    names = FIELDS[structure][1].split()
    for position, name in enumerate(names):
        at = header[f"{structure}.{name}"]
        raw = bytearray(form.size)
        raw[at] = 1
        values = form.unpack(raw)
        touched = [
            index
            for index, value in enumerate(values)
            if value not in (0, bytes(len(value)) if isinstance(value, bytes) else 0)
        ]
        assert touched == [position], name


def test_the_list_for_a_system_call_filter_has_what_streaming_uses() -> None:
    kernel = Kernel("GREY", 64, 48, stride=64)
    camera = V4l2Camera(kernel.fd, ioctl=kernel.ioctl, map_buffer=kernel.map_buffer)
    kernel.calls.clear()
    for _ in range(10):
        kernel.take(bytes(64 * 48))
        assert camera.picture(timeout=0) is not None
    camera.close()
    assert set(kernel.calls) == set(v4l2_abi.STREAMING_IOCTLS)


def yuyv(picture: Picture) -> bytes:
    raw = bytearray(b"\x80") * (2 * len(picture.grey))
    raw[::2] = picture.grey
    return bytes(raw)


def mosaic(picture: Picture, *, green_first: bool, others: float) -> bytes:
    """What a sensor behind red, green and blue filters sends: red and blue are weaker by this factor."""
    return bytes(
        value if ((x + y) % 2 == 0) == green_first else int(value * others)
        for y in range(picture.height)
        for x, value in enumerate(picture.grey[y * picture.width : (y + 1) * picture.width])
    )


RAW: dict[str, Callable[[Picture], bytes]] = {
    "YUYV": yuyv,
    "GREY": lambda picture: picture.grey,
    "NV12": lambda picture: picture.grey + b"\x80" * (len(picture.grey) // 2),
    "GRBG": lambda picture: mosaic(picture, green_first=True, others=0.4),
    "GBRG": lambda picture: mosaic(picture, green_first=True, others=0.6),
    "RGGB": lambda picture: mosaic(picture, green_first=False, others=0.3),
    "BA81": lambda picture: mosaic(picture, green_first=False, others=0.5),
}


def opened(kernel: Kernel) -> V4l2Camera:
    return V4l2Camera(kernel.fd, ioctl=kernel.ioctl, map_buffer=kernel.map_buffer)


def grey_camera() -> tuple[Kernel, V4l2Camera]:
    kernel = Kernel("GREY", 64, 48, stride=64)
    return kernel, opened(kernel)


def shade(value: int) -> bytes:
    return bytes((value,)) * (64 * 48)


@pytest.mark.parametrize("format_", list(RAW))
def test_a_code_is_read_from_every_format(format_: str) -> None:
    large = picture_of([draw("0123456789" * 20, version=8)], width=240, height=180)
    kernel = Kernel(format_, large.width, large.height, stride=large.width * (2 if format_ == "YUYV" else 1))
    camera = opened(kernel)
    kernel.take(RAW[format_](large))
    picture = camera.picture(timeout=1)
    assert picture is not None
    assert (picture.width, picture.height) == (large.width, large.height)
    assert read_all(picture) == ["0123456789" * 20]
    camera.close()


@pytest.mark.parametrize("green_first", [True, False])
def test_green_samples_stay_and_gaps_are_means(green_first: bool) -> None:
    raw = bytes([8, 16, 24, 32, 48, 64, 72, 80, 88, 96, 104, 112])
    seen = pixels.from_bayer(memoryview(raw), 4, 3, 4, green_first=green_first)
    if green_first:
        # Rows: 8 . 24 . / . 64 . 80 / 88 . 104 .
        expected = [8, 40, 24, 52, 56, 64, 68, 80, 88, 80, 104, 92]
    else:
        # Rows: . 16 . 32 / 48 . 72 . / . 96 . 112
        expected = [32, 16, 48, 32, 48, 58, 72, 72, 72, 96, 88, 112]
    assert list(seen.grey) == expected


def test_a_row_may_have_padding_behind_it() -> None:
    raw = b"".join(yuyv(Picture(4, 1, bytes([row] * 4))) + b"\xee" * 8 for row in (1, 2, 3))
    assert pixels.from_yuyv(memoryview(raw), 4, 3, 16).grey == b"\x01" * 4 + b"\x02" * 4 + b"\x03" * 4
    assert pixels.from_yuyv(memoryview(raw[:-8]), 4, 3, 16).grey[-1] == 3
    with pytest.raises(ValueError, match="no picture"):
        pixels.from_yuyv(memoryview(raw[:-9]), 4, 3, 16)
    with pytest.raises(ValueError, match="no picture"):
        pixels.from_yuyv(memoryview(raw), 4, 3, 7)


def test_the_newest_picture_wins_and_all_buffers_go_back() -> None:
    kernel, camera = grey_camera()
    for round_ in range(5):
        for value in (1, 2, 3):
            kernel.take(shade(10 * round_ + value))
        picture = camera.picture(timeout=1)
        assert picture is not None
        assert picture.grey == shade(10 * round_ + 3)
        assert sorted(kernel.free) == [0, 1, 2, 3]
    assert camera.picture(timeout=0) is None
    camera.close()
    assert not kernel.streaming


def test_attack_a_camera_faster_than_its_reader_does_not_hold_it() -> None:
    kernel, camera = grey_camera()
    asked = 0

    def tireless(fd: int, request: int, argument: bytearray) -> int:
        nonlocal asked
        asked += request == v4l2_abi.DQBUF
        assert asked < 100, "it reads for ever"
        answer = kernel.ioctl(fd, request, argument)
        # Each buffer that it gets back is full again at once.
        if request == v4l2_abi.QBUF:
            kernel.take(shade(9))
        return answer

    camera._ioctl = tireless
    for _ in range(4):
        kernel.take(shade(1))
    assert camera.picture(timeout=1) == Picture(64, 48, shade(9))
    camera._ioctl = kernel.ioctl
    camera.close()


def test_a_torn_picture_is_none_and_its_buffer_goes_back() -> None:
    kernel, camera = grey_camera()
    kernel.take(shade(1), flags=v4l2_abi.BUFFER_ERROR)
    assert camera.picture(timeout=1) is None
    kernel.take(shade(1)[:-1])
    assert camera.picture(timeout=1) is None
    kernel.take(b"", used=0)
    assert camera.picture(timeout=1) is None
    assert sorted(kernel.free) == [0, 1, 2, 3]
    kernel.take(shade(2))
    assert camera.picture(timeout=1) == Picture(64, 48, shade(2))
    camera.close()


def test_a_wake_up_without_a_picture_is_none() -> None:
    kernel, camera = grey_camera()
    os.write(kernel._bell, b"!")
    assert camera.picture(timeout=0) is None
    camera.close()


def test_a_camera_that_is_unplugged_is_reported_and_can_be_closed() -> None:
    kernel, camera = grey_camera()
    kernel.take(shade(1))
    assert camera.picture(timeout=1) is not None
    kernel.unplug()
    with pytest.raises(CameraError, match="unplugged"):
        camera.picture(timeout=1)
    camera.close()
    camera.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(kernel.fd)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EBUSY, "another program"),
        (errno.ENOTTY, "no camera"),
        (errno.ENODEV, "unplugged"),
        (errno.EINVAL, "could not|compressed"),
        (errno.ENOMEM, "could not"),
    ],
)
@pytest.mark.parametrize("request_", ["QUERYCAP", "S_FMT", "REQBUFS", "QUERYBUF", "QBUF", "STREAMON"])
def test_every_call_that_fails_at_the_start_is_reported(request_: str, number: int, message: str) -> None:
    kernel = Kernel("YUYV", 64, 48, stride=128)
    kernel.failure = lambda request: number if request == getattr(v4l2_abi, request_) else 0
    with pytest.raises(CameraError, match=message):
        opened(kernel)


def test_a_driver_that_refuses_a_format_is_asked_for_the_next() -> None:
    kernel = Kernel("GREY", 64, 48, stride=64)
    refusals = iter([errno.EINVAL])
    kernel.failure = lambda request: next(refusals, 0) if request == v4l2_abi.S_FMT else 0
    camera = opened(kernel)
    kernel.take(shade(5))
    assert camera.picture(timeout=1) == Picture(64, 48, shade(5))
    camera.close()


def test_a_call_that_a_signal_interrupts_is_made_again() -> None:
    kernel = Kernel("GREY", 64, 48, stride=64)
    interruptions = iter([errno.EINTR, 0] * 30)
    kernel.failure = lambda request: next(interruptions)
    camera = opened(kernel)
    kernel.take(shade(5))
    assert camera.picture(timeout=1) == Picture(64, 48, shade(5))
    camera.close()


def test_a_camera_with_compressed_pictures_only_is_refused() -> None:
    with pytest.raises(CameraError, match="compressed"):
        opened(Kernel("MJPG", 64, 48, stride=0))


@pytest.mark.parametrize("lacking", [v4l2_abi.CAN_CAPTURE, v4l2_abi.CAN_STREAM])
def test_a_node_that_takes_no_pictures_is_refused(lacking: int) -> None:
    kernel = Kernel("GREY", 64, 48, stride=64)
    kernel.capabilities &= ~lacking
    with pytest.raises(CameraError, match="try the next"):
        opened(kernel)


@pytest.mark.parametrize(("width", "height"), [(0, 48), (64, 0), (4097, 48), (64, 100_000)])
def test_attack_impossible_sizes_are_refused_before_anything_is_mapped(width: int, height: int) -> None:
    kernel = Kernel("GREY", width, height, stride=width)
    with pytest.raises(CameraError, match="announces"):
        opened(kernel)
    assert not kernel.maps


@pytest.mark.parametrize(
    "lie", [{"size": 64 * 48 - 1}, {"size": 1 << 30}, {"stride": 1 << 20}, {"size": 0}, {"stride": 65}]
)
def test_attack_a_driver_whose_figures_do_not_agree_is_refused(lie: dict[str, int]) -> None:
    kernel = Kernel("GREY", 64, 48, stride=64)
    kernel.size = 64 * 48
    kernel.lie = lie
    with pytest.raises(CameraError):
        opened(kernel)


@pytest.mark.parametrize("count", [0, 1, 33, 1 << 31])
def test_attack_strange_numbers_of_buffers_are_refused(count: int) -> None:
    kernel = Kernel("GREY", 64, 48, stride=64)
    kernel.count = count
    with pytest.raises(CameraError, match="buffers"):
        opened(kernel)


@pytest.mark.parametrize("lie", [{"index": 4}, {"index": 0xFFFFFFFF}, {"used": 1 << 31}])
def test_attack_a_buffer_that_does_not_exist_is_refused(lie: dict[str, int]) -> None:
    kernel, camera = grey_camera()
    kernel.take(shade(1))
    kernel.lie = lie
    with pytest.raises(CameraError, match="does not have"):
        camera.picture(timeout=1)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/dev/none", "/dev/../etc/passwd", "/dev/http://x/"])
def test_attack_what_is_no_camera_is_refused(path: str) -> None:
    with pytest.raises(CameraError):
        open_camera(path)


def test_attack_a_fifo_in_the_place_of_a_camera_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "video0")
    with pytest.raises(CameraError, match="not a character device"):
        open_v4l2(str(tmp_path / "video0"))
