"""Which fragments a part mixes, from its sequence number alone (BCR-2020-005, "fountain codes").

The first K parts are the K fragments themselves. Every later one draws a degree d (with a chance of 1/d) and then d
fragments without repetition. Only what is needed is computed: two draws tell the degree, d more the fragments.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

from .xoshiro import Xoshiro256

MAX_FRAGMENTS: Final = 4096
"""More are refused on reading and not written: the reader's work and memory grow with their square."""
MAX_SEQUENCE: Final = (1 << 32) - 1

_SEED: Final = struct.Struct(">II")


def degree(sequence: int, fragments: int, checksum: int) -> int:
    """How many fragments part ``sequence`` (from 1) of ``fragments`` mixes; ``checksum``: CRC-32 of the message."""
    if sequence <= fragments:
        return 1
    return _draw_degree(Xoshiro256(_SEED.pack(sequence, checksum)), fragments)


def indexes(sequence: int, fragments: int, checksum: int) -> list[int]:
    """The fragments (from 0) that part ``sequence`` mixes, in the order in which they are drawn."""
    if sequence <= fragments:
        return [sequence - 1]
    generator = Xoshiro256(_SEED.pack(sequence, checksum))
    count = _draw_degree(generator, fragments)
    remaining = list(range(fragments))
    return [remaining.pop(generator.below(left)) for left in range(fragments, fragments - count, -1)]


def _draw_degree(generator: Xoshiro256, fragments: int) -> int:
    chances, aliases = _alias_table(fragments)
    at = generator.below(fragments)
    return (at if generator.next_double() < chances[at] else aliases[at]) + 1


@lru_cache(maxsize=8)
def _alias_table(fragments: int) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Vose's alias table of the chances 1/1, 1/2 … 1/``fragments``.

    The order of every step and of every floating-point operation is the reference's: one other rounding and two
    programs disagree on what a part mixes.
    """
    weights = [1 / (at + 1) for at in range(fragments)]
    total = 0.0
    for weight in weights:
        total += weight
    chances = [weight * fragments / total for weight in weights]
    aliases = [0] * fragments
    small = [at for at in reversed(range(fragments)) if chances[at] < 1]
    large = [at for at in reversed(range(fragments)) if chances[at] >= 1]
    final = [1.0] * fragments
    while small and large:
        less, more = small.pop(), large.pop()
        final[less], aliases[less] = chances[less], more
        chances[more] = chances[more] + chances[less] - 1
        (small if chances[more] < 1 else large).append(more)
    return tuple(final), tuple(aliases)
