"""The whole RAM of an emulated appliance, seen from outside: no secret while it is locked or off, and while it is open
exactly the keys that it keeps, each once, where the keeper's guarded pages have it.

A scan of processes (`memscan`) sees what processes map. Here nothing is hidden: memfd_secret, the kernel's stacks,
terminal buffers, socket buffers, saved and live registers, free pages. One rule is stricter for that: eight bytes of a
key count, since a register holds no more.
"""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, Protocol

from undercroft_appliance.devtools.guarded_slots import kept_offsets
from undercroft_appliance.devtools.memory_search import Copy, Search
from undercroft_appliance.devtools.secret_forms import Secret

from .qmp import Control
from .ram_file import RamFile

_PAGE: Final = mmap.PAGESIZE
_KEPT_FORM: Final = "raw"
_MOST_NAMED: Final = 20


class Emulated(Protocol):
    """A machine whose emulator can be told what to do."""

    @property
    def control(self) -> Control: ...


class Expect(Enum):
    """What may be in memory."""

    NOTHING = "nothing"
    """Empty, locked, off, or started anew."""
    KEPT = "the keys that an open appliance keeps"


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in `read_bytes` of memory: each copy, of which some are wrong (`stray`), and what is missing."""

    read_bytes: int
    copies: tuple[Copy, ...]
    stray: tuple[Copy, ...]
    missing: tuple[str, ...]

    @property
    def wrong(self) -> tuple[str, ...]:
        """A line for each kind of thing that is not as it must be; none if all is well."""
        counts = Counter((copy.secret, copy.form, copy.region.name) for copy in self.stray)
        first = {(copy.secret, copy.form, copy.region.name): copy for copy in reversed(self.stray)}
        lines = [
            f"{count} x {secret}, {form}: {first[secret, form, where].size} bytes at "
            f"{first[secret, form, where].address:x} in {where}"
            for (secret, form, where), count in counts.most_common(_MOST_NAMED)
        ]
        if len(counts) > _MOST_NAMED:
            lines.append(f"and {len(counts) - _MOST_NAMED} more")
        return (*lines, *(f"{name} is not where an open appliance keeps it" for name in self.missing))


def dump(machine: Emulated, path: Path) -> None:
    """Write the machine's RAM and registers into a file; it stands still meanwhile. Raises EmulatorError."""
    # By physical address: page tables, which a kernel changes, do not decide what is seen.
    machine.control.ask("dump-guest-memory", paging=False, protocol=f"file:{path.absolute()}")


def scan_file(path: Path, secrets: Iterable[Secret], *, expect: Expect) -> Findings:
    """Look for every form of the secrets in a dump. Raises ConfigurationError if it is none."""
    found = Search(secrets, words=True).memories([RamFile(path)])
    offsets = dict(kept_offsets()) if expect is Expect.KEPT else {}
    places: dict[str, list[Copy]] = {name: [] for name in offsets}
    for copy in found.copies:
        if _is_kept(copy, offsets):
            places[copy.secret].append(copy)
    kept = {name: copies[0] for name, copies in places.items() if len(copies) == 1}
    pages = {(offsets[name] // _PAGE, copy.address // _PAGE) for name, copy in kept.items()}
    # Attack: a second set of the keys, in pages that only look like the keeper's.
    together = len(pages) == len({number for number, _ in pages})
    right = set(kept.values()) if together else set()
    return Findings(
        found.read_bytes,
        found.copies,
        tuple(copy for copy in found.copies if copy not in right),
        tuple(name for name in offsets if not together or name not in kept),
    )


def places_of(path: Path, text: str) -> tuple[int, ...]:
    """Where this text stands in a dump, by physical address: as bytes, reversed, in UTF-16 and UTF-32.

    For what is too short for a `Secret`. Raises ConfigurationError if it is no dump.
    """
    forms = (text.encode(), text[::-1].encode(), *(text.encode(wide) for wide in ("utf-16-le", "utf-32-le")))
    with RamFile(path) as ram:
        pieces = (piece for region in ram.regions for piece in ram.chunks(region))
        return tuple(sorted({at + place for at, data in pieces for form in forms if (place := data.find(form)) >= 0}))


def _is_kept(copy: Copy, offsets: dict[str, int]) -> bool:
    offset = offsets.get(copy.secret)
    return offset is not None and copy.form == _KEPT_FORM and copy.address % _PAGE == offset % _PAGE
