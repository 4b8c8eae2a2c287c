"""``python -m undercroft_appliance.keeper``: started by the supervisor, which gives it its descriptors."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from undercroft_appliance.channel import Channel
from undercroft_protocol.bitcoin.network import Network

from .clock import since_boot
from .owner import ASK_SECONDS
from .parts import Setup
from .secrets import (
    PRODUCTION_BOUNDS,
    PRODUCTION_COST,
    TEST_BOUNDS,
    TEST_COST,
    KernelEntropy,
    Keyring,
    harden_process,
)
from .service import Keeper
from .wires import Wires

_KDF = {"production": (PRODUCTION_BOUNDS, PRODUCTION_COST), "demo": (TEST_BOUNDS, TEST_COST)}
_FIRMWARE_HASH_BYTES = 32
_ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
STALL_SECONDS = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the keeper until SIGTERM (exit code 0) or a fault (1); in both cases every secret is wiped first."""
    options = _parser().parse_args(arguments)
    harden_process()
    for number in _ENDINGS:
        signal.signal(number, _end)
    bounds, cost = _KDF[options.kdf]
    try:
        with Keyring(
            network=Network(options.network), entropy=KernelEntropy(), kdf_bounds=bounds, kdf_cost=cost
        ) as keys:
            wires = Wires(open_channel(options.port_fd), open_channel(options.panel_fd), options.tty_fd)
            setup = Setup(Network(options.network), options.firmware_hash, ASK_SECONDS)
            Keeper(setup, keys, wires, since_boot, os.urandom).run()
    except Exception as error:
        sys.stderr.write(f"keeper: ended by {type(error).__name__}\n")
        return 1


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    # A second signal (Ctrl-C reaches the whole group, then the supervisor ends it) must not interrupt the wiping.
    for number in _ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


def open_channel(descriptor: int) -> Channel:
    """The keeper's end of a socket pair; sending raises ChannelError when the other process reads nothing for 60 s."""
    end = socket.socket(fileno=descriptor)
    channel = Channel(end)
    # Attack: a port that was taken over stops to read, and the keeper waits for it with open keys for ever.
    end.settimeout(STALL_SECONDS)
    return channel


def _firmware_hash(text: str) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != _FIRMWARE_HASH_BYTES:
        raise ValueError
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="keeper", description=__doc__)
    parser.add_argument("--port-fd", type=int, required=True)
    parser.add_argument("--panel-fd", type=int, required=True)
    parser.add_argument("--tty-fd", type=int, required=True)
    parser.add_argument("--network", choices=[network.value for network in Network], required=True)
    parser.add_argument("--kdf", choices=sorted(_KDF), default="production")
    parser.add_argument("--firmware-hash", type=_firmware_hash, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
