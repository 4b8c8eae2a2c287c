"""Answers on stdout: JSON for programs, tables for people, plain aligned text when piped. NO_COLOR is heeded."""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

Data: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""An answer: names and values, or rows of them."""

_LONG_HEX: Final = re.compile(r"\b[0-9a-f]{32,}\b")
_HEX_SHOWN: Final = 12
_NOTHING: Final = "-"
_GAP: Final = 3
"""Spaces that rich leaves between two columns."""
_LAST_MOMENT: Final = 253_402_300_799
"""The last second of the year 9999, beyond which the calendar of the standard library knows nothing."""


def render(data: Data, *, as_json: bool, text: str | None) -> None:
    """Print the answer of a command."""
    if as_json:
        click.echo(json.dumps(data, ensure_ascii=False, indent=2))
    elif text is not None:
        click.echo(text)
    elif isinstance(data, Mapping):
        _facts(data, "")
    else:
        _table(data, "")


def moment(seconds: int | None) -> str | None:
    """UTC seconds since 1970 as ISO 8601, or None."""
    if seconds is None:
        return None
    # Attack: a stolen appliance signs the widest time of the protocol, and nobody can look at the status any more.
    if seconds > _LAST_MOMENT:
        return f"{seconds} s after 1970"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _facts(facts: Mapping[str, Any], title: str) -> None:
    """Names and values, then what is nested, each under its name."""
    if not facts:
        click.echo(f"\n{title}\n  (none)" if title else "(none)")
        return
    plain = {name: value for name, value in facts.items() if not _is_nested(value)}
    if title:
        click.echo(f"\n{title}")
    width = max((len(name) for name in plain), default=0)
    for name, value in plain.items():
        click.echo(f"{'  ' if title else ''}{_words(name):<{width}}  {_cell(value)}")
    for name, value in facts.items():
        if isinstance(value, Mapping):
            _facts(value, f"{title} {_words(name)}".strip())
        elif _is_nested(value):
            _table(value, f"{title} {_words(name)}".strip())


def _table(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    if title:
        click.echo(f"\n{title}")
    if not rows:
        click.echo("(none)")
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    right = [all(_is_number(row.get(name)) for row in rows) for name in names]
    if sys.stdout.isatty():
        _terminal_table([_words(name) for name in names], cells, right)
    else:
        _plain_table([_words(name) for name in names], cells, right)


def _terminal_table(names: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    console = Console(no_color=bool(os.environ.get("NO_COLOR")))
    if _natural_width(names, cells) > console.width:
        # Too narrow for whole hashes: how they begin is enough to tell them apart; --json and a pipe have them whole.
        cells = [[_LONG_HEX.sub(lambda found: f"{found[0][:_HEX_SHOWN]}..", cell) for cell in row] for row in cells]
    if _natural_width(names, cells) > console.width:
        _paragraphs(names, cells, console.width)
        return
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for name, to_right in zip(names, right, strict=True):
        table.add_column(name, justify="right" if to_right else "left")
    for row in cells:
        # As text, not as markup: a name in brackets must not turn into a colour.
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _paragraphs(names: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> None:
    """Each row as names and values running on, where a table would break its cells."""
    for row in cells:
        parts = [f"{name} {cell}" for name, cell in zip(names, row, strict=True) if cell != _NOTHING]
        line = textwrap.fill(
            ", ".join(parts), width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
        click.echo(line)


def _natural_width(names: Sequence[str], cells: Sequence[Sequence[str]]) -> int:
    """Columns of the terminal that the table takes when nothing is wrapped."""
    widths = [max(len(names[at]), *(len(row[at]) for row in cells)) for at in range(len(names))]
    return sum(width + _GAP for width in widths)


def _plain_table(names: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    widths = [max(len(names[at]), *(len(row[at]) for row in cells)) for at in range(len(names))]
    for row in (names, *cells):
        parts = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        click.echo("  ".join(parts).rstrip())


def _cell(value: object) -> str:
    if value is None:
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(item) for item in value) or _NOTHING
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(item)}" for name, item in value.items()) or _NOTHING
    return "".join(character if character.isprintable() else "?" for character in str(value))


def _is_nested(value: object) -> bool:
    is_rows = isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value)
    return is_rows or isinstance(value, Mapping)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _words(name: str) -> str:
    return name.replace("_", " ")
