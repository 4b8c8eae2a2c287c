"""The few structures and ioctl numbers of <linux/videodev2.h> that a capture needs, as 64-bit Linux lays them out.

x86_64 and aarch64 agree on every size and offset here; a test compares them with the header where a compiler is.
"""

from __future__ import annotations

import struct
from typing import Final

_WRITE, _READ = 1, 2


def _ioctl(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("V") << 8 | number


# driver, card, bus_info, version, capabilities, device_caps, reserved
CAPABILITY: Final = struct.Struct("<16s32s32s3I12x")
# type; then of its union v4l2_pix_format: width, height, pixelformat, field, bytesperline, sizeimage
FORMAT: Final = struct.Struct("<I4x6I176x")
# count, type, memory
REQUEST_BUFFERS: Final = struct.Struct("<3I8x")
# index, type, bytesused, flags; sequence, memory, m.offset, length (between them field, timestamp, timecode)
BUFFER: Final = struct.Struct("<4I40x2II4xI12x")
TYPE: Final = struct.Struct("<i")

QUERYCAP: Final = _ioctl(_READ, 0, CAPABILITY.size)
S_FMT: Final = _ioctl(_READ | _WRITE, 5, FORMAT.size)
REQBUFS: Final = _ioctl(_READ | _WRITE, 8, REQUEST_BUFFERS.size)
QUERYBUF: Final = _ioctl(_READ | _WRITE, 9, BUFFER.size)
QBUF: Final = _ioctl(_READ | _WRITE, 15, BUFFER.size)
DQBUF: Final = _ioctl(_READ | _WRITE, 17, BUFFER.size)
STREAMON: Final = _ioctl(_WRITE, 18, TYPE.size)
STREAMOFF: Final = _ioctl(_WRITE, 19, TYPE.size)

# What an open, streaming camera still needs: for a system call filter.
STREAMING_IOCTLS: Final = (QBUF, DQBUF, STREAMOFF)

VIDEO_CAPTURE: Final = 1
MEMORY_MMAP: Final = 1
FIELD_NONE: Final = 1
CAN_CAPTURE: Final = 0x00000001
CAN_STREAM: Final = 0x04000000
HAS_DEVICE_CAPS: Final = 0x80000000
BUFFER_ERROR: Final = 0x40


def fourcc(name: str) -> int:
    """The number of a pixel format."""
    return int.from_bytes(name.encode("ascii"), "little")
