"""The payloads of the frames, big-endian.

* HELLO: own session (8 bytes), the other's or zeros (8 bytes); what follows is for later versions
* OPEN: message number (4), sequence number from which its frames count (4), length in bytes (4), SHA-256 (32)
* DATA: offset in bytes (4), the bytes
* PING: nothing
* ACK (sequence: the latest frame heard): number of the last message delivered (4), bitmap of the frames taken
* RESET (sequence: the frame refused): reason (1), message number or 0 (4), most bytes a message may have (4)
"""

from __future__ import annotations

import struct
from enum import IntEnum

HELLO = struct.Struct(">8s8s")
OPEN = struct.Struct(">III32s")
DATA = struct.Struct(">I")
ACK = struct.Struct(">I")
RESET = struct.Struct(">BII")


class Reason(IntEnum):
    """Why a frame was answered with RESET."""

    TOO_LONG = 1
    UNKNOWN_MESSAGE = 2
