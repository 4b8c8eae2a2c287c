"""Compact sizes and the strict reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undercroft_protocol.bitcoin.encoding import Reader, compact_size
from undercroft_protocol.errors import TransactionError

EDGES = [0, 1, 0xFC, 0xFD, 0xFE, 0xFF, 0xFFFF, 0x10000, 0xFFFFFFFF, 0x100000000, 0xFFFFFFFFFFFFFFFF]


@pytest.mark.parametrize("n", EDGES)
def test_compact_size_reads_back_at_every_edge(n: int) -> None:
    reader = Reader(compact_size(n))
    assert reader.compact_size() == n
    reader.finish()


@given(st.integers(0, 0xFFFFFFFFFFFFFFFF))
def test_compact_size_reads_back(n: int) -> None:
    assert Reader(compact_size(n)).compact_size() == n


@pytest.mark.parametrize("n", [-1, 1 << 64])
def test_compact_size_refuses_what_does_not_fit(n: int) -> None:
    with pytest.raises(TransactionError):
        compact_size(n)


@pytest.mark.parametrize(
    "data",
    ["fd0000", "fdfc00", "fe00000000", "feffff0000", "ff0000000000000000", "ffffffffff00000000"],
)
def test_attack_compact_size_in_a_longer_form_is_refused(data: str) -> None:
    with pytest.raises(TransactionError, match="shortest"):
        Reader(bytes.fromhex(data)).compact_size()


def test_attack_a_count_beyond_the_bytes_is_refused_before_anything_is_read() -> None:
    with pytest.raises(TransactionError, match="cannot fit"):
        Reader(bytes.fromhex("ffffffffffffffffff") + bytes(100)).count(41)


def test_reader_takes_numbers_in_little_endian_and_keeps_count() -> None:
    reader = Reader(bytes.fromhex("01000000" + "0200000000000000" + "03aabbcc"))
    assert (reader.u32(), reader.u64(), reader.sized()) == (1, 2, b"\xaa\xbb\xcc")
    assert reader.remaining == 0
    assert reader.peek() is None
    reader.finish()


def test_reader_refuses_truncated_and_trailing_bytes() -> None:
    with pytest.raises(TransactionError):
        Reader(b"\x01\x02\x03").u32()
    with pytest.raises(TransactionError, match="trailing"):
        Reader(b"\x00").finish()
