"""The ranks that `make bench-links` counts frames with are those of the decoders' own eliminations."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from undercroft_demo.ranks import bits_needed, bytes_needed
from undercroft_protocol.qr.fast.elimination import Elimination
from undercroft_protocol.qr.ur.solver import Solver


def by_elimination(vectors: Sequence[bytes], size: int) -> int:
    elimination = Elimination(size, 0)
    for taken, vector in enumerate(vectors, 1):
        elimination.add_sum(vector, b"")
        if elimination.rank == size:
            return taken
    raise AssertionError


def by_solver(vectors: Sequence[int], size: int) -> int:
    solver = Solver(size, 0)
    for taken, vector in enumerate(vectors, 1):
        solver.add([at for at in range(size) if vector >> at & 1], b"")
        if solver.rank == size:
            return taken
    raise AssertionError


# Elements of few values are dependent much more often than the codes' own are.
@pytest.mark.parametrize("values", [(0, 1), (0, 0, 0, 7), (0, 3, 200), tuple(range(256)), tuple(range(1, 256))])
def test_over_bytes_as_many_are_needed_as_by_the_formats_own_elimination(values: tuple[int, ...]) -> None:
    rng = random.Random(256)
    for size in (1, 2, 3, 7, 16, 17, 40, 70):
        vectors = [bytes(rng.choices(values, k=size)) for _ in range(6 * size + 60)]
        vectors = [one for vector in vectors for one in (vector, *rng.choices(vectors, k=rng.randrange(2)))]
        assert bytes_needed(vectors, size) == by_elimination(vectors, size)


@pytest.mark.parametrize("ones", [0.02, 0.1, 0.5, 0.95])
def test_over_bits_as_many_are_needed_as_by_the_decoders_own_elimination(ones: float) -> None:
    rng = random.Random(2)
    for size in (1, 2, 3, 8, 9, 63, 64, 65, 130):
        vectors = [sum(1 << at for at in range(size) if rng.random() < ones) for _ in range(8 * size + 700)]
        assert bits_needed(iter(vectors), size) == by_solver(vectors, size)


def test_vectors_that_do_not_span_all_are_an_error() -> None:
    with pytest.raises(ValueError, match="4 vectors span less than 3"):
        bits_needed([1, 2, 3, 3], 3)
    with pytest.raises(ValueError, match="0 vectors"):
        bytes_needed([], 2)
    with pytest.raises(ValueError, match="30 vectors"):
        bytes_needed([b"\1\2\3", b"\2\4\6"] * 15, 3)
