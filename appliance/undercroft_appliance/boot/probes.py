"""Trying out walls one by one, before any key is near: a system that lost one does not start.

What is tried stands in `kernel_probes` and `root_probes`; `make image-test` prints the same table.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

MISSING: Final = "missing"
WORKS: Final = "works"


@dataclass(frozen=True, slots=True)
class Probe:
    """``look`` tells what is seen, in a word or, by an OSError, as an errno's name."""

    name: str
    expected: str
    look: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe saw."""

    name: str
    expected: str
    seen: str

    @property
    def is_good(self) -> bool:
        """It saw what it should."""
        return self.seen == self.expected


def run(probes: Sequence[Probe]) -> Iterator[Finding]:
    """Try all of them, in a process of their own: some would change the one that tries, or end it ("killed")."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # Nothing may go on after this: not even an exception.
        try:
            for probe in probes:
                os.write(writing, _words(probe.look) + b"\n")
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="ascii") as answers:
        for probe in probes:
            yield Finding(probe.name, probe.expected, answers.readline().rstrip("\n") or "killed")
    os.waitpid(child, 0)


def _words(look: Callable[[], str]) -> bytes:
    try:
        return " ".join(look().split()).encode("ascii", "replace") or b"nothing"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno)).encode()
    except Exception as error:
        return type(error).__name__.encode()
