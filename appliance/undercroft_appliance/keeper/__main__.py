"""``python -m undercroft_appliance.keeper``: started by the supervisor, which gives it its descriptors."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from undercroft_appliance.channel import Channel
from undercroft_appliance.endings import HANDED_OVER, OTHER_GONE
from undercroft_appliance.errors import ChannelError, SelfTestError
from undercroft_appliance.sandbox import confine
from undercroft_appliance.sandbox.process import harden_process
from undercroft_appliance.sandbox.swap import swap_warnings
from undercroft_protocol.bitcoin.network import Network

from . import handover
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
)
from .selftest_refusals import check_refusals
from .service import Keeper
from .wires import Wires

_KDF = {"production": (PRODUCTION_BOUNDS, PRODUCTION_COST), "demo": (TEST_BOUNDS, TEST_COST)}
_FIRMWARE_HASH_BYTES = 32
_ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
STALL_SECONDS = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the keeper for one unlock: until what was open is wiped (HANDED_OVER), SIGTERM (0) or a fault (1).

    In each case every secret is wiped first. Only after the first does the appliance go on, with a fresh keeper.
    """
    options = _parser().parse_args(arguments)
    harden_process()
    for number in _ENDINGS:
        signal.signal(number, _end)
    try:
        handover.leave(options.handover_fd, _serve(options))
    except SelfTestError as error:
        # What failed is no secret, and whoever holds the appliance must know it.
        sys.stderr.write(f"{error}\n")
        return 1
    except ChannelError as error:
        sys.stderr.write(f"{error}\n")
        return OTHER_GONE
    except Exception as error:
        sys.stderr.write(f"ended by {type(error).__name__}\n")
        return 1
    return HANDED_OVER


def _serve(options: argparse.Namespace) -> handover.Handover:
    network, (bounds, cost) = Network(options.network), _KDF[options.kdf]
    earlier = handover.found(options.handover_fd)
    port_rest, panel_rest = (b"", b"") if earlier is None else (earlier.port_rest, earlier.panel_rest)
    swaps = swap_warnings(network)
    with Keyring(network=network, entropy=KernelEntropy(), kdf_bounds=bounds, kdf_cost=cost) as keys:
        check_refusals(keys)
        wires = Wires(
            open_channel(options.port_fd, port_rest), open_channel(options.panel_fd, panel_rest), options.tty_fd
        )
        # Before the first passphrase is read: from here on no file, no socket, no program and no other process.
        walls = confine("keeper")
        warnings = (*walls.warnings, *swaps)
        setup = Setup(
            network,
            options.firmware_hash,
            ASK_SECONDS,
            walls=walls.lines,
            warnings=warnings,
            codes=options.codes,
        )
        # The service collects garbage between two messages, and not in the middle of a transaction.
        gc.disable()
        return Keeper(setup, keys, wires, since_boot, os.urandom, earlier=earlier).run()


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    # A second signal (Ctrl-C reaches the whole group, then the supervisor ends it) must not interrupt the wiping.
    for number in _ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


def open_channel(descriptor: int, rest: bytes = b"") -> Channel:
    """The keeper's end of a socket pair; sending raises ChannelError when the other process reads nothing for 60 s."""
    end = socket.socket(fileno=descriptor)
    channel = Channel(end, rest)
    # Attack: a port that was taken over stops to read, and the keeper waits for it with open keys for ever.
    end.settimeout(STALL_SECONDS)
    return channel


def _firmware_hash(text: str) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != _FIRMWARE_HASH_BYTES:
        raise ValueError
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="keeper", description=__doc__, allow_abbrev=False)
    parser.add_argument("--port-fd", type=int, required=True)
    parser.add_argument("--panel-fd", type=int, required=True)
    parser.add_argument("--tty-fd", type=int, required=True)
    parser.add_argument("--handover-fd", type=int, required=True)
    parser.add_argument("--network", choices=[network.value for network in Network], required=True)
    parser.add_argument("--kdf", choices=sorted(_KDF), default="production")
    parser.add_argument("--codes", action="store_true")
    parser.add_argument("--firmware-hash", type=_firmware_hash, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
