"""What scans found, stage by stage, as a table that a terminal of 80 columns shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from .memory_search import Copy, Found

_MEGABYTE: Final = 1_000_000
_MOST_NAMED: Final = 12
HEAD: Final = f"{'stage':<10} {'processes':>9} {'maps read':>10} {'unreadable':>10} {'guarded':>8} {'elsewhere':>9}"


def row(stage: str, processes: int, found: Found) -> str:
    """One line under `HEAD`: copies of secrets in guarded pages, and elsewhere."""
    size = f"{found.read_bytes / _MEGABYTE:.0f} MB"
    counts = f"{len(found.unreadable):>10} {len(found.guarded):>8} {len(found.outside):>9}"
    return f"{stage:<10} {processes:>9} {size:>10} {counts}"


def named(copies: tuple[Copy, ...]) -> Iterator[str]:
    """Which secrets, in which forms, how often, and one place of each."""
    counts = Counter((copy.secret, copy.form) for copy in copies)
    places = {(copy.secret, copy.form): copy for copy in copies}
    for (secret, form), count in counts.most_common(_MOST_NAMED):
        place = places[secret, form]
        yield f"  {count:>4} x {secret}, {form}: process {place.pid}, {place.address:x} in {place.region}"
    if len(counts) > _MOST_NAMED:
        yield f"       and {len(counts) - _MOST_NAMED} more"
