"""The port's process; the supervisor starts it."""

from __future__ import annotations

import argparse
import socket
import sys

from undercroft_protocol.errors import LinkError
from undercroft_protocol.serial import SerialLink

from ..channel import Channel
from ..endings import OTHER_GONE
from ..errors import ChannelError, ConfigurationError
from ..sandbox import confine
from .relay import MAX_LINE_MESSAGE_BYTES, Relay


def main() -> int:
    """Run the port on the line and the descriptor it was given; returns the exit code."""
    parser = argparse.ArgumentParser(prog="undercroft-appliance-port")
    parser.add_argument("--keeper-fd", type=int, required=True)
    parser.add_argument("--line", required=True)
    parser.add_argument("--baudrate", type=int, required=True)
    options = parser.parse_args()
    keeper = Channel(socket.socket(fileno=options.keeper_fd))
    try:
        with SerialLink.open(options.line, baudrate=options.baudrate, max_message_bytes=MAX_LINE_MESSAGE_BYTES) as link:
            # Before the first byte of the line is read.
            confine("port")
            Relay(link, keeper, _say).run()
    except ChannelError:
        return OTHER_GONE
    except (LinkError, ConfigurationError) as error:
        _say(f"error [{error.code}]: {error}")
        return 1


def _say(text: str) -> None:
    print(f"undercroft-appliance port: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
