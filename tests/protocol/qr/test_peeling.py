"""The model of the reference's decoder of URs against that decoder's steps, written as the reference takes them."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable

import pytest

from undercroft_demo.peeling import PeelingDecoder, as_set
from undercroft_protocol.qr.ur.fountain import indexes


class ReferenceSteps:
    """Every step over all parts that are there, in their order."""

    def __init__(self, fragments: int) -> None:
        self.found: set[int] = set()
        self._fragments = fragments
        self._simple: list[frozenset[int]] = []
        self._mixed: list[frozenset[int]] = []

    def take(self, mixed: Iterable[int]) -> None:
        queue = deque([frozenset(mixed)])
        while queue and len(self.found) < self._fragments:
            part = queue.popleft()
            if len(part) == 1:
                self._take_simple(part, queue)
            else:
                self._take_mixed(part, queue)

    def _take_simple(self, part: frozenset[int], queue: deque[frozenset[int]]) -> None:
        if part <= self.found:
            return
        self._simple.append(part)
        self.found |= part
        if len(self.found) < self._fragments:
            self._reduce_mixed_by(part, queue)

    def _take_mixed(self, part: frozenset[int], queue: deque[frozenset[int]]) -> None:
        if part in self._mixed:
            return
        for one in [*self._simple, *self._mixed]:
            if one <= part:
                part -= one
        if len(part) == 1:
            queue.append(part)
            return
        self._reduce_mixed_by(part, queue)
        self._mixed.append(part)

    def _reduce_mixed_by(self, part: frozenset[int], queue: deque[frozenset[int]]) -> None:
        reduced = [one - part if part <= one else one for one in self._mixed]
        queue.extend(one for one in reduced if len(one) == 1)
        self._mixed = [one for one in reduced if len(one) != 1]


def standard(fragments: int, rng: random.Random) -> Callable[[], list[int]]:
    numbers, checksum = iter(range(rng.randrange(4 * fragments), 1 << 32)), rng.getrandbits(32)
    return lambda: indexes(next(numbers) + 1, fragments, checksum)


def few_mixed(fragments: int, rng: random.Random) -> Callable[[], list[int]]:
    return lambda: rng.sample(range(fragments), rng.randint(1, min(fragments, 4)))


def any_number_mixed(fragments: int, rng: random.Random) -> Callable[[], list[int]]:
    return lambda: rng.sample(range(fragments), rng.choice([1, rng.randint(1, fragments)]))


@pytest.mark.parametrize("stream", [standard, few_mixed, any_number_mixed])
def test_the_model_finds_what_the_reference_finds_after_every_part(
    stream: Callable[[int, random.Random], Callable[[], list[int]]],
) -> None:
    rng = random.Random(20005)
    for fragments in (1, 2, 3, 5, 6, 8, 13, 40, 64, 65, 90) * 2:
        model, reference, next_part = PeelingDecoder(fragments), ReferenceSteps(fragments), stream(fragments, rng)
        while not model.is_whole:
            part = next_part()
            if rng.random() < 0.7:
                model.take(part)
                reference.take(part)
                assert model.found == as_set(reference.found)
        assert len(reference.found) == fragments


def test_a_part_that_is_there_already_changes_nothing() -> None:
    decoder = PeelingDecoder(4)
    for part in ([0, 1], [0, 1], [0, 1, 2], [0, 1], [3], [3]):
        decoder.take(part)
    assert decoder.found == as_set([2, 3])
    decoder.take([0])
    assert decoder.is_whole
