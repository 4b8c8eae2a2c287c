"""The serial link: frames, a reliable message machine without I/O, and the driver that runs it over a tty.

`SerialLink` is what both sides use; `Link` is the interface that every carrier of messages has.
"""

from undercroft_protocol.serial.link import Link, SerialLink
from undercroft_protocol.serial.machine import Counters, LinkMachine, Progress

__all__ = ["Counters", "Link", "LinkMachine", "Progress", "SerialLink"]
