"""The payloads of the frames, big-endian.

* HELLO: version of the link (1 byte), own session (8), the other's or zeros (8), own next sequence number (4); what
  follows is for later versions
* OPEN: message number (4), sequence number from which its frames count (4), bytes of the message (4), bytes of the
  squeezed message that is sent in its place (4), SHA-256 of the message (32)
* DATA: place in the squeezed message (2), in units that depend on its length (`unit_bytes`); the bytes
* PING: nothing
* ACK (sequence: the latest frame heard): number of the last message delivered (4), bitmap of the frames missed
* RESET (sequence: the frame refused): reason (1), message number or 0 (4), most bytes a message may have (4)
"""

from __future__ import annotations

import struct
from enum import IntEnum

LINK_VERSION = 2
HELLO = struct.Struct(">B8s8sI")
OPEN = struct.Struct(">IIII32s")
DATA = struct.Struct(">H")
ACK = struct.Struct(">I")
RESET = struct.Struct(">BII")

MOST_UNITS = 1 << 16


class Reason(IntEnum):
    """Why a frame was answered with RESET."""

    TOO_LONG = 1
    UNKNOWN_MESSAGE = 2


def unit_bytes(length: int) -> int:
    """The least power of two of which `length` bytes are at most 65,536: every piece but the last has whole units."""
    return 1 << max((length - 1).bit_length() - 16, 0) if length > 1 else 1
