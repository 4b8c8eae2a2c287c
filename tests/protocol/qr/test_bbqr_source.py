"""BBQr as it is written: sizes, encodings, types, order."""

from __future__ import annotations

import random

import pytest

from protocol.qr.bbqr_examples import joined, noise, psbt, texts
from undercroft_protocol.errors import QrError, QrSizeError
from undercroft_protocol.qr.bbqr import BbqrSource, parse_header
from undercroft_protocol.qr.capacity import ALPHANUMERIC
from undercroft_protocol.qr.stream import Format, Kind

KINDS = {"P": Kind.PSBT, "T": Kind.TRANSACTION, "J": Kind.JSON, "U": Kind.TEXT, "C": Kind.CBOR, "B": Kind.BYTES}


@pytest.mark.parametrize("encoding", ["H", "2", "Z"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8, 39, 40, 41, 500, 5000])
@pytest.mark.parametrize("characters", [40, 41, 100, 1990, 4296])
def test_what_is_written_is_read_in_any_order(encoding: str, size: int, characters: int) -> None:
    data = noise(size - size // 3) + bytes(size // 3)
    parts = texts(data, characters=characters, encoding=encoding, kind=Kind.BYTES)
    random.Random(size).shuffle(parts)
    found = joined(parts)
    assert found is not None and (found.format, found.kind, found.data) == (Format.BBQR, Kind.BYTES, data)
    assert max(map(len, parts)) <= characters and all(ALPHANUMERIC.issuperset(part) for part in parts)


@pytest.mark.parametrize(("letter", "kind"), KINDS.items())
def test_every_file_type_is_written_and_read(letter: str, kind: Kind) -> None:
    parts = texts(b"[1,2]", encoding="H", kind=kind)
    assert parts == [f"B$H{letter}01005B312C325D"]
    found = joined(parts)
    assert found is not None and found.kind is kind


def test_a_message_of_ours_travels_as_bytes() -> None:
    assert texts(b"\0\1", encoding="H", kind=Kind.MESSAGE) == ["B$HB01000001"]


@pytest.mark.parametrize("kind", [Kind.ACCOUNT, Kind.OUTPUT])
def test_a_kind_without_a_file_type_is_refused(kind: Kind) -> None:
    with pytest.raises(QrError, match=kind.value):
        BbqrSource(kind, b"\0", characters=100)


def test_nothing_cannot_be_sent() -> None:
    with pytest.raises(QrError, match="nothing"):
        BbqrSource(Kind.BYTES, b"", characters=100)


def test_deflating_is_given_up_where_it_does_not_help() -> None:
    assert {part[:3] for part in texts(noise(500), encoding="Z", kind=Kind.BYTES)} == {"B$2"}
    assert {part[:3] for part in texts(psbt(500), encoding="Z")} == {"B$Z"}
    assert len(texts(psbt(5000), encoding="Z")) < len(texts(psbt(5000), encoding="2"))


@pytest.mark.parametrize("encoding", ["H", "2", "Z"])
def test_parts_have_one_size_but_the_last_and_share_the_bytes_evenly(encoding: str) -> None:
    parts = texts(psbt(3001), characters=1000, encoding=encoding)
    bodies = [len(part) - 8 for part in parts]
    assert len(set(bodies[:-1])) == 1 and 0 < bodies[-1] <= bodies[0]
    # No runt: the last part lacks less than one rounding of each other part.
    assert bodies[0] - bodies[-1] <= 8 * len(parts)
    if encoding != "H":
        assert all(size % 8 == 0 for size in bodies[:-1])


def test_a_single_part_needs_no_whole_groups() -> None:
    # Ten characters of base32 are six bytes, and a whole group of eight is five.
    for size, count in ((6, 1), (7, 2)):
        source = BbqrSource(Kind.BYTES, noise(size), characters=18, encoding="2")
        assert source.count == count
        assert len(source.next_symbol()) <= 18


def test_the_parts_go_round_and_round() -> None:
    source = BbqrSource(Kind.PSBT, psbt(1000), characters=100)
    first = [source.next_symbol() for _ in range(source.count)]
    assert [source.next_symbol() for _ in range(source.count)] == first
    assert [parse_header(part).index for part in first] == list(range(source.count))


def test_1295_parts_are_written_and_one_more_is_refused() -> None:
    parts = texts(noise(10 * 1295), characters=24, encoding="2", kind=Kind.BYTES)
    assert len(parts) == 1295 and parts[-1].startswith("B$2BZZZY")
    found = joined(parts)
    assert found is not None and found.data == noise(10 * 1295)
    with pytest.raises(QrSizeError, match="1295"):
        texts(noise(10 * 1295 + 1), characters=24, encoding="2", kind=Kind.BYTES)


def test_symbols_too_small_for_a_body_are_refused() -> None:
    with pytest.raises(QrSizeError, match="16"):
        BbqrSource(Kind.PSBT, psbt(100), characters=15)


def test_another_encoding_is_no_encoding() -> None:
    with pytest.raises(ValueError, match="Q"):
        BbqrSource(Kind.PSBT, psbt(100), characters=100, encoding="Q")
