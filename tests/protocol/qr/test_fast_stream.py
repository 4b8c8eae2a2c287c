"""The fast format from sender to reader: any K symbols are the message, wherever one joins and whatever is lost."""

from __future__ import annotations

import random
from hashlib import shake_128
from itertools import count

import pytest

from protocol.qr.fast_examples import LIMIT, MESSAGE, SESSION, SecondReader, texts
from undercroft_protocol.errors import QrSizeError
from undercroft_protocol.qr.capacity import capacity_bytes, capacity_digits
from undercroft_protocol.qr.fast import FastSink, FastSource, fast_session
from undercroft_protocol.qr.fast.symbol import SEQUENCES, coefficients, payload_bytes, read_symbol
from undercroft_protocol.qr.stream import Format, Gathered, Kind, Payload

_TEXT = b"withdrawal " * 3000


def _needed(several: list[str], message: bytes) -> int:
    """How many of these a reader takes until it has the message."""
    sink = FastSink(limit=len(message))
    for shown, text in enumerate(several, 1):
        payload = sink.take(text)
        if payload is not None:
            assert payload == Payload(Format.FAST, Kind.MESSAGE, message)
            return shown
    raise AssertionError(f"not whole: {sink.gathered}")


@pytest.mark.parametrize("version", [5, 10, 20, 27, 40])
@pytest.mark.parametrize("message", [b"", b"u", MESSAGE, _TEXT, random.Random(1).randbytes(20_000)])
def test_a_message_comes_out_of_the_first_symbols_in_order(message: bytes, version: int) -> None:
    source = FastSource(message, version=version, session=SESSION)
    several = [source.next_symbol() for _ in range(source.count)]
    assert _needed(several, message) == source.count
    assert {len(text) for text in several} == {len(several[0])}
    assert len(several[0]) <= capacity_digits(version)
    assert all(text.isdigit() and fast_session(text) == SESSION for text in several)


@pytest.mark.parametrize("joined", [1, 5, 12, 13, 40, 5000])
def test_whoever_joins_late_needs_no_symbol_more(joined: int) -> None:
    assert FastSource(MESSAGE, version=10, session=SESSION).count == 12
    assert _needed(texts(count=13, skip=joined), MESSAGE) == 12


def test_a_coefficient_is_the_byte_that_shake_gives_and_one_in_the_place_of_zero() -> None:
    drawn = shake_128(SESSION + (5000).to_bytes(4, "big")).digest(4096)
    assert 5 < drawn.count(0) < 40
    assert coefficients(SESSION, 4096, 5000) == drawn.replace(b"\0", b"\1")


@pytest.mark.parametrize("loss", [0.1, 0.3, 0.5, 0.8])
def test_whatever_is_lost_as_many_symbols_suffice(loss: float) -> None:
    needed = []
    for seed in range(20):
        rng = random.Random(f"{seed} {loss}")
        session = rng.randbytes(4)
        seen = [text for text in texts(count=int(40 / (1 - loss)), session=session) if rng.random() >= loss]
        rng.shuffle(seen)
        needed.append(_needed(seen, MESSAGE))
    # A random square matrix over GF(256) is singular once in 255.
    assert sorted(needed)[-2] == 12
    assert needed[-1] <= 13


def test_a_symbol_seen_again_changes_nothing() -> None:
    sink = FastSink(limit=LIMIT)
    for text in texts(count=11):
        assert sink.take(text) is None
        before = sink.gathered
        assert sink.take(text) is None
        assert sink.gathered == before


def test_how_far_it_is_can_be_seen() -> None:
    sink = FastSink(limit=LIMIT)
    assert sink.gathered == Gathered(0, 0)
    for have, text in enumerate(texts(count=11, skip=6), 1):
        sink.take(text)
        assert sink.gathered == Gathered(have, 12, 12 * 253)


def test_after_the_message_its_further_symbols_give_nothing() -> None:
    sink = FastSink(limit=LIMIT)
    several = texts(count=20)
    assert [sink.take(text) is not None for text in several] == [False] * 11 + [True] + [False] * 8
    assert sink.gathered.have == sink.gathered.need == 12


def test_a_sender_that_reaches_the_last_number_begins_again() -> None:
    source = FastSource(MESSAGE, version=20, session=SESSION)
    first = source.next_symbol()
    source._sequence = SEQUENCES - 2
    again = [source.next_symbol() for _ in range(source.count)]
    assert [read_symbol(text).sequence for text in again[:3]] == [SEQUENCES - 2, SEQUENCES - 1, 0]
    assert again[2] == first
    assert _needed(again, MESSAGE) == source.count


@pytest.mark.parametrize("version", range(20, 41))
def test_a_frame_is_at_least_98_percent_payload(version: int) -> None:
    assert payload_bytes(version) >= 0.98 * capacity_bytes(version)


@pytest.mark.parametrize("size", [1, 70, 400, 1499, 3000])
@pytest.mark.parametrize("skip", [0, 3, 500])
def test_a_second_reader_written_from_the_description_reads_the_same(size: int, skip: int) -> None:
    several = texts(MESSAGE[:size], count=16, skip=skip, version=10)
    assert SecondReader().message(several) == MESSAGE[:size]


def test_the_symbols_of_the_description_are_these() -> None:
    several = texts(b"Undercroft", count=2, version=5, session=bytes(range(4)))
    assert several == [
        "0000147298652110814618912512550066325099691203491474683803990340747550"
        "4842874239012040643098623925540666881732750985329635231387753765122011",
        "0000147298652110815138146763262575969699424091967377893904244309051566"
        "8026346315044812816549317844216043522856527230519945579541830323380481",
    ]


def test_a_small_message_takes_small_codes() -> None:
    assert len(texts(b"u", count=1, version=40)[0]) < 200


def test_what_a_sender_cannot_send_is_refused() -> None:
    with pytest.raises(QrSizeError):
        FastSource(random.Random(1).randbytes(4096 * 93 - 34), version=5, session=SESSION)
    for version, session in ((4, SESSION), (41, SESSION), (20, b"abc"), (20, b"abcde")):
        with pytest.raises(ValueError, match="version"):
            FastSource(b"u", version=version, session=session)


@pytest.mark.slow
def test_the_largest_number_of_symbols_is_sent_and_read() -> None:
    message = random.Random(1).randbytes(4096 * 93 - 36)
    source = FastSource(message, version=5, session=SESSION)
    assert source.count == 4096
    sink = FastSink(limit=len(message))
    for shown in count(1):
        payload = sink.take(source.next_symbol())
        if payload is not None:
            assert (payload.data, shown) == (message, 4096)
            return
