"""`undercroft-appliance run`: be an appliance until it is switched off."""

from __future__ import annotations

import argparse
from typing import Final

from undercroft_appliance.errors import ConfigurationError
from undercroft_appliance.firmware import firmware_hash
from undercroft_appliance.supervisor import Settings, supervise
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.serial.tty import DEFAULT_BAUDRATE

from . import Commands

CAMERAS: Final = ("/dev/", "y4m:")
"""How the text of a camera begins that an appliance opens: it has no library for others."""


def add_parser(commands: Commands) -> None:
    """Add `run` to the command line."""
    parser = commands.add_parser("run", help="be an appliance until it is switched off")
    parser.add_argument("--line", metavar="PATH",
                        help="the serial line to the host, such as /dev/ttyAMA0")  # fmt: skip
    parser.add_argument("--camera", metavar="CAMERA",
                        help="the camera that reads codes: /dev/video0, or y4m:PATH (a YUV4MPEG2 stream)")  # fmt: skip
    parser.add_argument("--codes", metavar="PATH",
                        help="the terminal on which codes are shown to the other side, such as /dev/tty2; "
                        "not the owner's")  # fmt: skip
    parser.add_argument("--terminal", default="/dev/tty", metavar="PATH",
                        help="the owner's screen and keyboard (default: the terminal it is started from)")  # fmt: skip
    parser.add_argument("--network", default=Network.MAINNET.value, choices=[network.value for network in Network],
                        help="the Bitcoin network (default: mainnet)")  # fmt: skip
    parser.add_argument("--kdf", default="production", choices=("production", "demo"),
                        help="how hard it is to guess the passphrase of a stolen envelope; "
                        "demo is quick and weak, for tests (default: production)")  # fmt: skip
    parser.add_argument("--baudrate", type=int, default=DEFAULT_BAUDRATE, metavar="N",
                        help=f"speed of the line in bits per second (default: {DEFAULT_BAUDRATE})")  # fmt: skip
    parser.set_defaults(run=run, usage_error=parser.error)


def run(options: argparse.Namespace) -> int:
    """Start the appliance's processes; raises ConfigurationError, LinkError, CameraError."""
    # Attack: a mainnet envelope sealed with parameters that a graphics card goes through in days.
    if options.kdf == "demo" and options.network == Network.MAINNET.value:
        raise ConfigurationError("demo key strength is refused on mainnet")
    if options.baudrate <= 0:
        raise ConfigurationError(f"a line has no speed of {options.baudrate} bits per second")
    _check_carriers(options)
    return supervise(
        Settings(
            line=options.line,
            terminal=options.terminal,
            network=Network(options.network),
            kdf=options.kdf,
            baudrate=options.baudrate,
            firmware=firmware_hash(),
            camera=options.camera,
            codes=options.codes,
        )
    )


def _check_carriers(options: argparse.Namespace) -> None:
    if (options.camera is None) is not (options.codes is None):
        options.usage_error("--camera and --codes belong together: codes are read and shown")
    if options.line is None and options.camera is None:
        options.usage_error("nothing to talk over: --line, or --camera and --codes")
    if options.camera is not None and not options.camera.startswith(CAMERAS):
        raise ConfigurationError(f"a camera is {' or '.join(f'{start}…' for start in CAMERAS)}")
