"""The serial link: frames, a reliable message machine without I/O, and the driver that runs it over a tty.

`SerialLink` is what both sides use.
"""

from undercroft_protocol.serial.link import SerialLink
from undercroft_protocol.serial.machine import Counters, LinkMachine

__all__ = ["Counters", "LinkMachine", "SerialLink"]
