"""The port's process; the supervisor starts it."""

from __future__ import annotations

import argparse
import contextlib
import resource
import socket
import sys
from typing import Final

from undercroft_protocol.errors import LinkError
from undercroft_protocol.serial.link import SerialLink
from undercroft_protocol.serial.tty import HandedTty

from ..channel import Channel
from ..endings import OTHER_GONE
from ..errors import ChannelError, ConfigurationError
from ..sandbox import confine
from .carriers import MAX_CARRIED_BYTES, Carrier, Line
from .relay import Relay

MOST_MEMORY_BYTES: Final = 256 * 1024 * 1024
"""Of this process (RLIMIT_DATA): more than twice what the longest messages and the largest pictures take together."""


def main() -> int:
    """Run the port on the descriptors it was given; returns the exit code."""
    parser = argparse.ArgumentParser(prog="undercroft-appliance-port", allow_abbrev=False)
    parser.add_argument("--keeper-fd", type=int, required=True)
    parser.add_argument("--line-fd", type=int)
    parser.add_argument("--camera-fd", type=int)
    parser.add_argument("--codes-fd", type=int)
    options = parser.parse_args()
    keeper = Channel(socket.socket(fileno=options.keeper_fd))
    try:
        with contextlib.ExitStack() as stack:
            carriers = _opened(options, stack)
            # Attack: a picture that makes a reader take all memory, and the kernel end the keeper for it.
            resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
            # Before the first byte from outside is read.
            confine("port")
            Relay(carriers, keeper, _say).run()
    except ChannelError:
        return OTHER_GONE
    except (LinkError, ConfigurationError) as error:
        _say(f"error [{error.code}]: {error}")
        return 1


def _opened(options: argparse.Namespace, stack: contextlib.ExitStack) -> list[Carrier]:
    """The carriers over their devices. Raises LinkError, ConfigurationError."""
    carriers: list[Carrier] = []
    if options.line_fd is not None:
        link = SerialLink.over(HandedTty(options.line_fd), max_message_bytes=MAX_CARRIED_BYTES)
        carriers.append(Line(stack.enter_context(link), _say))
    if options.camera_fd is not None:
        # A port without a camera never loads what reads pictures.
        from .codes import Codes  # noqa: PLC0415

        carriers.append(stack.enter_context(Codes.over(options.camera_fd, options.codes_fd, _say)))
    return carriers


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
