"""GF(2^8) on whole rows, against the plain way to multiply, and the elimination made of it."""

from __future__ import annotations

import random

import pytest

from undercroft_protocol.errors import QrSymbolError
from undercroft_protocol.qr.fast.elimination import Elimination
from undercroft_protocol.qr.fast.field import INVERSES, Rows


def product(left: int, right: int) -> int:
    """Bit by bit, as a textbook has it."""
    total = 0
    for bit in range(8):
        if right >> bit & 1:
            total ^= left << bit
    for bit in range(14, 7, -1):
        if total >> bit & 1:
            total ^= 0x11D << (bit - 8)
    return total


def _sum(weights: bytes, rows: list[bytes]) -> bytes:
    total = bytearray(len(rows[0]))
    for weight, row in zip(weights, rows, strict=True):
        for at, value in enumerate(row):
            total[at] ^= product(weight, value)
    return bytes(total)


def test_every_product_is_the_textbooks() -> None:
    rows = Rows(256)
    everything = bytes(range(256))
    for factor, multiple in enumerate(rows.multiples(int.from_bytes(everything))):
        expected = bytes(product(factor, value) for value in everything)
        assert multiple.to_bytes(256) == expected
        assert rows.times(int.from_bytes(everything), factor).to_bytes(256) == expected


def test_every_element_but_zero_has_an_inverse() -> None:
    assert INVERSES[0] == 0
    assert all(product(value, INVERSES[value]) == 1 for value in range(1, 256))


def test_a_weighted_sum_is_the_textbooks() -> None:
    rng = random.Random(7)
    for count in (1, 2, 5, 40):
        rows = [rng.randbytes(33) for _ in range(count)]
        weights = rng.randbytes(count)
        got = Rows(33).weighted_sum(weights, [int.from_bytes(row) for row in rows])
        assert got.to_bytes(33) == _sum(weights, rows)


@pytest.mark.parametrize("plain_chance", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("count", [1, 2, 3, 17, 60])
def test_rows_are_found_from_any_mixture_of_rows_and_sums_in_any_order(count: int, plain_chance: float) -> None:
    rng = random.Random(f"{count} {plain_chance}")
    rows = [rng.randbytes(9) for _ in range(count)]
    elimination = Elimination(count, 9)
    plain = rng.sample(range(count), count)
    while elimination.rank < count:
        if plain and rng.random() < plain_chance:
            at = plain.pop()
            elimination.add_row(at, rows[at])
        else:
            weights = bytes(rng.choice((0, rng.randrange(256))) for _ in range(count))
            elimination.add_sum(weights, _sum(weights, rows))
    assert list(elimination.solution()) == rows


def test_a_sum_that_follows_from_the_others_changes_nothing() -> None:
    elimination = Elimination(3, 2)
    elimination.add_sum(b"\x01\x02\x03", b"\x05\x06")
    elimination.add_sum(b"\x02\x04\x06", b"\x0a\x0c")
    elimination.add_sum(bytes(3), bytes(2))
    assert elimination.rank == 1


def test_attack_a_sum_that_contradicts_the_others_is_refused_and_changes_nothing() -> None:
    rng = random.Random(3)
    rows = [rng.randbytes(4) for _ in range(5)]
    elimination = Elimination(5, 4)
    for weights in (b"\x01\x01\0\0\0", b"\x02\x03\0\0\0"):
        elimination.add_sum(weights, _sum(weights, rows))
    with pytest.raises(QrSymbolError, match="contradicts"):
        elimination.add_row(1, bytes(4))
    with pytest.raises(QrSymbolError, match="contradicts"):
        elimination.add_sum(bytes(5), b"\0\0\0\x01")
    for at, row in enumerate(rows):
        elimination.add_row(at, row)
    assert list(elimination.solution()) == rows
