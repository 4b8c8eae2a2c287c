"""The frame of the command line: lazy nouns, ``--json`` and ``--home`` anywhere, one way to fail."""

from __future__ import annotations

import functools
import importlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, NoReturn

import click

from undercroft_protocol.errors import ProtocolError

from ..errors import Failure, HostError, UsageProblem
from .options import Options

INTERRUPTED: Final = 130


def _remember_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Options).json = True


def _remember_home(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Options).home = value


def _global_options() -> list[click.Option]:
    return [
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_remember_json,
            help="Print one JSON value instead of tables.",
        ),
        click.Option(
            ["--home"],
            metavar="FOLDER",
            expose_value=False,
            callback=_remember_home,
            help="The home folder (else UNDERCROFT_HOME, else ~/.local/share/undercroft).",
        ),
    ]


class Verb(click.Command):
    """A command; knows the global options too, so that they may stand anywhere on the line."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params.extend(_global_options())


class Noun(click.Group):
    """A group of verbs on one noun."""

    command_class = Verb

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("no_args_is_help", True)
        super().__init__(*arguments, **options)
        self.params.extend(_global_options())


class Program(click.Group):
    """The whole command. A noun's module is imported when the noun is used, so that ``--help`` is quick."""

    NOUNS: ClassVar[Mapping[str, str]] = {
        "init": "Make a home folder, its keys and its database, or bring the database up to date.",
        "status": "Show at a glance: chain, coins, pending work, appliances, books.",
        "appliance": "The signing devices and the lines to them.",
        "quorum": "The ceremony of the three owners, and what came of it.",
        "policy": "The rules by which the appliances judge.",
        "activation": "Open an appliance's key and arm it by another owner's grant.",
        "account": "The customers.",
        "address": "Deposit addresses.",
        "gateway": "Follow the chain.",
        "deposit": "What came in.",
        "risk": "The online risk service and its verdicts.",
        "treasury": "Credit deposits, settle payments, keep the books.",
        "withdrawal": "Customers' orders to pay.",
        "payment": "Transactions: build, have signed, broadcast.",
        "freeze": "Stop every appliance at once.",
        "psbt": "Transactions that another wallet built: have owners sign them.",
        "carry": "Bring a folder's requests to the appliance beside this desk.",
        "qr": "Show or scan animated QR codes.",
        "audit": "The record of every act.",
        "completion": "Print the completion script of a shell.",
    }

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params.extend(_global_options())

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.NOUNS:
            return None
        module = importlib.import_module(f"undercroft_host.cli.nouns.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(self.NOUNS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002
        **extra: Any,
    ) -> NoReturn:
        """Run and exit with the code of the result's or error's kind."""
        arguments = list(sys.argv[1:] if args is None else args)
        options = extra.pop("obj", None) or Options()
        # A usage error may come up before the option itself was read.
        options.json = options.json or "--json" in arguments
        run = functools.partial(
            super().main,
            arguments,
            prog_name or "undercroft",
            complete_var,
            standalone_mode=False,
            obj=options,
            **extra,
        )
        sys.exit(_guarded(run, options))


def _guarded(run: Callable[[], object], options: Options) -> int:
    """The exit code of a run; what went wrong is told on stderr in one line, and what to do next in another."""
    try:
        code = run()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return UsageProblem.exit_code
    except (HostError, ProtocolError, click.ClickException) as error:
        return _tell(options, _as_host_error(error))
    except OSError as error:
        # Such as an answer that goes to a disk that is full.
        return _tell(options, Failure(error.strerror or str(error)))
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _as_host_error(error: HostError | ProtocolError | click.ClickException) -> HostError:
    if isinstance(error, HostError):
        return error
    if isinstance(error, ProtocolError):
        return Failure(f"{error.code}: {error}")
    if isinstance(error, click.UsageError):
        return UsageProblem(error.format_message(), hint=f"{error.ctx.command_path} --help" if error.ctx else "")
    return Failure(error.format_message())


def _tell(options: Options, error: HostError) -> int:
    message = " ".join(str(error).split())
    if options.json:
        document = {"error": {"code": error.code, "message": message, "hint": error.hint or None}}
        click.echo(json.dumps(document, ensure_ascii=False), err=True)
    else:
        click.echo(f"error {error.code}: {message}", err=True)
        if error.hint:
            click.echo(f"hint: {error.hint}", err=True)
    return error.exit_code
