"""The command `undercroft-appliance`."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.serial.tty import DEFAULT_BAUDRATE, check_device_path

from .errors import ApplianceError, ConfigurationError
from .firmware import firmware_hash
from .supervisor import Settings, supervise

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2


class _Parser(argparse.ArgumentParser):
    """argparse with this program's form of errors."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        _say("usage", message)
        sys.exit(EXIT_USAGE)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    0: ended because it was asked to; 1: failure; 2: wrong usage or set-up; 10, 11, 12: the port, the panel, the keeper
    ended by itself, and the appliance with it.
    """
    options = _parser().parse_args(argv)
    try:
        code = _version() if options.command == "version" else _run(options)
    except ConfigurationError as error:
        _say(error.code, str(error))
        code = EXIT_USAGE
    except (ApplianceError, ProtocolError) as error:
        _say(error.code, str(error))
        code = EXIT_FAILURE
    sys.exit(code)


def _parser() -> _Parser:
    parser = _Parser(prog="undercroft-appliance", description="Undercroft's signing device.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="be an appliance until it is switched off")
    run.add_argument("--line", required=True, metavar="PATH", help="the serial line to the host, such as /dev/ttyAMA0")
    run.add_argument("--terminal", default="/dev/tty", metavar="PATH",
                     help="the owner's screen and keyboard (default: the terminal this is started from)")  # fmt: skip
    run.add_argument("--network", default=Network.MAINNET.value, choices=[network.value for network in Network],
                     help="the Bitcoin network (default: mainnet)")  # fmt: skip
    run.add_argument("--kdf", default="production", choices=("production", "demo"),
                     help="how hard it is to guess the passphrase of a stolen envelope; "
                     "demo is quick and weak, for tests (default: production)")  # fmt: skip
    run.add_argument("--baudrate", type=int, default=DEFAULT_BAUDRATE, metavar="N",
                     help=f"speed of the line in bits per second (default: {DEFAULT_BAUDRATE})")  # fmt: skip
    commands.add_parser("version", help="show the version and the firmware hash")
    return parser


def _version() -> int:
    try:
        version = importlib.metadata.version("undercroft-appliance")
    except importlib.metadata.PackageNotFoundError:
        version = "(not installed: run from its source)"
    print(f"undercroft-appliance {version}\nfirmware hash {firmware_hash().hex()}")
    return EXIT_OK


def _run(options: argparse.Namespace) -> int:
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


def _say(code: str, message: str) -> None:
    print(f"undercroft-appliance: error [{code}]: {message}", file=sys.stderr)


if __name__ == "__main__":
    main()
