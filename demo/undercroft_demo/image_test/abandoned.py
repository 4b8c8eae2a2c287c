"""A passphrase that is begun and not ended: half of it waits in the appliance's terminal, where no program has read it.

The half is no word of anybody's, so that eight bytes of it stand nowhere else. That the search finds it is shown first,
while it waits.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from undercroft_appliance.devtools.secret_forms import Secret

from ..machine import Machine
from ..owner import IDLE_PROMPT
from ..ram_dump import Expect, Findings, dump, places_of, scan_file
from ..stage import Stage
from ..story import StoryError

HALF: Final = "umber 7391 kestrel wizen"
PREFIX: Final = 8
"""So many characters of its beginning count."""
_SECONDS: Final = 120.0


@contextlib.contextmanager
def half_typed(stage: Stage, name: str, machine: Machine, place: Path) -> Iterator[int]:
    """An empty appliance that waits for the rest of a passphrase; how many times its RAM has the half.

    Raises StoryError when it is not there.
    """
    owner = stage.sites[name].owner
    owner.half = HALF
    since = owner.mark()
    try:
        with stage.operator.given_up("activation", "open", name):
            owner.wait_for(r"--- Passphrase -[\s\S]*\n> \Z", _SECONDS, since=since)
            yield _arrived(machine, place)
    finally:
        owner.half = None


def locked(stage: Stage, name: str) -> None:
    """Let the host lock an appliance that waits for a passphrase; returns when it asks for nothing any more."""
    owner = stage.sites[name].owner
    since = owner.mark()
    stage.operator("appliance", "lock", name)
    owner.wait_for(IDLE_PROMPT, _SECONDS, since=since)


def search(machine: Machine, place: Path) -> Findings:
    """Look for the half, and any eight bytes of it that a processor reads at once, in the machine's RAM.

    Raises StoryError when the beginning of the half stands anywhere else.
    """
    dump(machine, place)
    findings = scan_file(place, (Secret("half a passphrase", HALF.encode()),), expect=Expect.NOTHING)
    if not findings.copies and (found := places_of(place, HALF[:PREFIX])):
        raise StoryError(f"the beginning of a passphrase is at {', '.join(f'{at:x}' for at in found)}, see {place}")
    return findings


def _arrived(machine: Machine, place: Path) -> int:
    deadline = time.monotonic() + _SECONDS
    while not places_of(_dumped(machine, place), HALF):
        if time.monotonic() > deadline:
            raise StoryError("half a passphrase was typed, and is nowhere")
    return len(search(machine, place).copies)


def _dumped(machine: Machine, place: Path) -> Path:
    dump(machine, place)
    return place
