"""`undercroft-appliance run`: be an appliance until it is switched off."""

from __future__ import annotations

import argparse

from undercroft_appliance.errors import ConfigurationError
from undercroft_appliance.firmware import firmware_hash
from undercroft_appliance.supervisor import Settings, supervise
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.serial.tty import DEFAULT_BAUDRATE, check_device_path

from . import Commands


def add_parser(commands: Commands) -> None:
    """Add `run` to the command line."""
    parser = commands.add_parser("run", help="be an appliance until it is switched off")
    parser.add_argument("--line", required=True, metavar="PATH",
                        help="the serial line to the host, such as /dev/ttyAMA0")  # fmt: skip
    parser.add_argument("--terminal", default="/dev/tty", metavar="PATH",
                        help="the owner's screen and keyboard (default: the terminal it is started from)")  # fmt: skip
    parser.add_argument("--network", default=Network.MAINNET.value, choices=[network.value for network in Network],
                        help="the Bitcoin network (default: mainnet)")  # fmt: skip
    parser.add_argument("--kdf", default="production", choices=("production", "demo"),
                        help="how hard it is to guess the passphrase of a stolen envelope; "
                        "demo is quick and weak, for tests (default: production)")  # fmt: skip
    parser.add_argument("--baudrate", type=int, default=DEFAULT_BAUDRATE, metavar="N",
                        help=f"speed of the line in bits per second (default: {DEFAULT_BAUDRATE})")  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Start the appliance's processes; raises ConfigurationError, LinkError."""
    # Attack: a mainnet envelope sealed with parameters that a graphics card goes through in days.
    if options.kdf == "demo" and options.network == Network.MAINNET.value:
        raise ConfigurationError("demo key strength is refused on mainnet")
    if options.baudrate <= 0:
        raise ConfigurationError(f"a line has no speed of {options.baudrate} bits per second")
    check_device_path(options.line)
    return supervise(
        Settings(
            line=options.line,
            terminal=options.terminal,
            network=Network(options.network),
            kdf=options.kdf,
            baudrate=options.baudrate,
            firmware=firmware_hash(),
        )
    )
