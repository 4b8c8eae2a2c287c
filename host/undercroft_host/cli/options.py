"""What may stand anywhere on the command line, and the environment; light, so that ``--help`` is quick."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import click

from ..link_text import parse_link

# A number that no column of the database holds would end in a fault of its driver.
ROW_NUMBER = click.IntRange(1, 2**63 - 1)
"""The number of a row."""
SECONDS = click.IntRange(1, 7 * 86_400)
"""A time to wait, a week at most."""


@dataclass(slots=True)
class Options:
    """One run's global options."""

    home: str | None = None
    json: bool = False
    link: str | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)


def _remember_link(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        parse_link(value)
        context.ensure_object(Options).link = value


link_option = click.option(
    "--link",
    metavar="LINK",
    expose_value=False,
    callback=_remember_link,
    help="Reach appliances otherwise this time: serial:PATH[,BAUDRATE], qr, qr:CAMERA,SCREEN or file:FOLDER.",
)
"""For every command that talks to an appliance; `App.talk` heeds it."""
