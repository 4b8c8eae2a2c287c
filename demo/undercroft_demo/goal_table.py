"""The rows of a benchmark that has goals: what was wanted, what others reach, what ours does in the same run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure. ``peers`` names others with what they reached in this run; ``met`` is None where nothing is asked."""

    number: str
    what: str
    goal: str
    limit: str
    peers: str
    ours: str
    met: bool | None


_WIDTH: Final = 160
"""Columns where nobody's terminal says how many there are."""


def show(goals: Sequence[Goal]) -> None:
    """Print them as a table."""
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    table = Table(title="Links: goals and what this run measured")
    for name in ("", "what", "goal", "limit", "peers", "ours", "met"):
        table.add_column(name, overflow="fold")
    for one in goals:
        met = "" if one.met is None else "yes" if one.met else "NO"
        table.add_row(one.number, one.what, one.goal, one.limit, one.peers, one.ours, met)
    console.print(table)
