"""What an appliance found out about its own kernel at the start, as it wrote it down line by line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MARK: Final = "probe"
"""How a line of a finding begins; name, expected and seen follow, after tabs."""
LEAST: Final = 100
"""A journal with fewer findings was cut, or its probes were taken out."""
_FIELDS: Final = 4
_WIDE: Final = 48
"""Of what was expected, more characters than that are a row of their own."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe saw, and should."""

    name: str
    expected: str
    seen: str


def findings(journal: str) -> tuple[Finding, ...]:
    """The findings in a journal. Raises ValueError for a line that begins as one and is none."""
    found = []
    for line in journal.splitlines():
        mark, *fields = line.rstrip("\r").split("\t")
        if mark == MARK:
            if len(fields) != _FIELDS - 1:
                raise ValueError(f"no finding: {line!r}")
            found.append(Finding(*fields))
    return tuple(found)


def faults(found: Iterable[Finding]) -> list[str]:
    """What is wrong with a table, a line each; none if all is well."""
    table = tuple(found)
    wrong = [f"{one.name}: expected {one.expected}, seen {one.seen}" for one in table if one.seen != one.expected]
    if len({one.name for one in table}) < LEAST:
        wrong.append(f"only {len(table)} findings, {LEAST} is the least")
    return wrong


def rows(found: Iterable[Finding]) -> list[str]:
    """The table, a row for each finding; one with long words has a row for each of them."""
    table = (Finding("probe", "expected", "seen"), *found)
    short = [one for one in table if len(one.expected) <= _WIDE]
    first = max(len(one.name) for one in short)
    second = max(len(one.expected) for one in short)
    made = []
    for one in table:
        if one in short:
            made.append(f"{one.name:{first}}  {one.expected:{second}}  {one.seen}")
        else:
            made += [one.name, f"  expected  {one.expected}", f"  seen      {one.seen}"]
    return made
