"""Which parts a sender shows, so that the decoders which exist need few of them.

Any reader must take any sequence number, so a sender may pick those that help most. Existing wallets peel: they need
parts that mix few fragments now, and parts that mix many for what is still missing at the end. The reference sender
draws degrees with a chance of 1/d, far too many large ones. Here, after the K fragments themselves:

* up to 12 fragments: four single fragments in turn, then one part that mixes at least half of them;
* more: one single fragment in turn, then four parts whose degrees d (from 2) have a chance of 1/d^2. A part that the
  reference would draw is taken with a chance of 2/d.

Measured against a robust soliton distribution (demo, bench_links_ur): as good under heavy loss, better without.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Final

from .fountain import MAX_SEQUENCE, degree
from .xoshiro import Xoshiro256

FEW: Final = 12
"""So many fragments are few."""

_FEW_SINGLE: Final = 4
_FEW_LEAST_DEGREE: Final = 6
_MIXED: Final = 4


def sequences(fragments: int, checksum: int) -> Iterator[int]:
    """The sequence numbers to show, without end; the same ones for the same message."""
    yield from range(1, fragments + 1)
    single = cycle(range(1, fragments + 1))
    few = fragments <= FEW
    mixed = _large(fragments, checksum) if few else _picked(fragments, checksum)
    while True:
        yield from islice(single, _FEW_SINGLE if few else 1)
        yield from islice(mixed, 1 if few else _MIXED)


def _numbers(fragments: int) -> Iterator[int]:
    """The sequence numbers after the fragments themselves, and from the start again after the last (32 bits)."""
    while True:
        yield from range(fragments + 1, MAX_SEQUENCE + 1)


def _large(fragments: int, checksum: int) -> Iterator[int]:
    least = min(_FEW_LEAST_DEGREE, fragments)
    return (number for number in _numbers(fragments) if degree(number, fragments, checksum) >= least)


def _picked(fragments: int, checksum: int) -> Iterator[int]:
    chance = Xoshiro256(checksum.to_bytes(4, "big"))
    for number in _numbers(fragments):
        mixed = degree(number, fragments, checksum)
        if mixed > 1 and chance.next_double() * mixed < 2:
            yield number
