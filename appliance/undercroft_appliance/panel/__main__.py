"""The panel's process; the supervisor starts it."""

from __future__ import annotations

import argparse
import os
import socket
import sys

from ..channel import Channel
from ..endings import OTHER_GONE
from ..errors import ApplianceError, ChannelError
from ..sandbox import confine
from .dialogue import Dialogue
from .terminal import Terminal


def main() -> int:
    """Run the panel on the descriptors it was given; returns the exit code."""
    parser = argparse.ArgumentParser(prog="undercroft-appliance-panel", allow_abbrev=False)
    parser.add_argument("--keeper-fd", type=int, required=True)
    parser.add_argument("--tty-fd", type=int, required=True)
    options = parser.parse_args()
    keeper = Channel(socket.socket(fileno=options.keeper_fd))
    try:
        terminal = Terminal(options.tty_fd, bold=os.environ.get("TERM", "dumb") != "dumb")
        confine("panel")
        Dialogue(keeper, terminal).run()
    except ChannelError:
        return OTHER_GONE
    except ApplianceError as error:
        print(f"error [{error.code}]: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
