"""The command `undercroft-appliance`: finds its commands, runs one, and turns what went wrong into an exit code."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, Final, NoReturn

from undercroft_protocol.errors import ProtocolError

from .commands import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_USAGE
from .errors import ApplianceError, ConfigurationError

_PACKAGE: Final = "undercroft_appliance"
COMMANDS: Final = ("run", "check", "replay", "version")
"""Modules of `commands`. Each has `add_parser(commands)`, which sets `run`: from the options to the exit code."""
DEVELOPMENT: Final = ("sign_psbt", "new_envelope", "memscan", "read_log")
"""Modules of `devtools`, of the same form; an image leaves that folder out, and then they are not there."""


class _Parser(argparse.ArgumentParser):
    """argparse with this program's form of errors, and whole names of options only."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        _say("usage", message)
        sys.exit(EXIT_USAGE)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    0: done; 1: failure; 2: wrong usage or set-up; 130: interrupted (Ctrl-C); `check` and `sign-psbt` also 5: refused,
    6: held; `run` also 10, 11, 12: the port, the panel, the keeper ended by itself, and the appliance with it.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parser(arguments).parse_args(arguments)
    try:
        code: int = options.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except ConfigurationError as error:
        _say(error.code, str(error))
        code = EXIT_USAGE
    except (ApplianceError, ProtocolError) as error:
        _say(error.code, str(error))
        code = EXIT_FAILURE
    except OSError as error:
        _say("system", error.strerror or str(error))
        # What stands in the buffer still cannot be written; Python would try again, and say so in its own way.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = EXIT_FAILURE
    except KeyboardInterrupt:
        print("undercroft-appliance: interrupted", file=sys.stderr)
        code = EXIT_INTERRUPTED
    sys.exit(code)


def _parser(arguments: Sequence[str]) -> _Parser:
    parser = _Parser(prog="undercroft-appliance", description="Undercroft's signing device.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in _modules(arguments):
        module.add_parser(commands)
    return parser


def _modules(arguments: Sequence[str]) -> Iterator[ModuleType]:
    """The module of the command that is named, else all of them: an appliance loads what it runs and no more."""
    places = {name.replace("_", "-"): f"{_PACKAGE}.commands.{name}" for name in COMMANDS}
    if importlib.util.find_spec(f"{_PACKAGE}.devtools") is not None:
        places |= {name.replace("_", "-"): f"{_PACKAGE}.devtools.{name}" for name in DEVELOPMENT}
    named = [name for name in arguments[:1] if name in places]
    for name in named or places:
        if importlib.util.find_spec(places[name]) is not None:
            yield importlib.import_module(places[name])


def _say(code: str, message: str) -> None:
    print(f"undercroft-appliance: error [{code}]: {message}", file=sys.stderr)


if __name__ == "__main__":
    main()
