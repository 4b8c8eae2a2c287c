"""What a sender of Uniform Resources shows, and what existing decoders make of it (goal G5)."""

from __future__ import annotations

import random
import statistics
import zlib
from itertools import islice

import pytest

from protocol.qr.ur_examples import joined, noise, texts
from undercroft_demo.peeling import PeelingDecoder
from undercroft_protocol.errors import QrSizeError
from undercroft_protocol.qr.stream import Format, Kind
from undercroft_protocol.qr.ur import UrSource, ur_stream
from undercroft_protocol.qr.ur.chooser import FEW, sequences
from undercroft_protocol.qr.ur.fountain import degree, indexes
from undercroft_protocol.qr.ur.part import Part, parse

ALPHANUMERIC = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")


def parts(data: bytes, count: int, fragment_bytes: int) -> list[Part]:
    found = [parse(text) for text in texts(data, count, fragment_bytes=fragment_bytes)]
    return [one for one in found if isinstance(one, Part)]


@pytest.mark.parametrize("size", [1, 22, 23, 24, 254, 255, 256, 5000, 65_536])
@pytest.mark.parametrize("kind", [Kind.PSBT, Kind.BYTES])
def test_what_is_shown_is_read_again(size: int, kind: Kind) -> None:
    data = noise(size)
    source = UrSource(kind, data, fragment_bytes=200)
    payload, taken = joined(source.next_symbol() for _ in range(source.count))
    assert (payload.format, payload.kind, payload.data, taken) == (Format.UR, kind, data, source.count)


def test_our_own_message_travels_as_bytes() -> None:
    payload, _ = joined(texts(noise(300), 9, fragment_bytes=50, kind=Kind.MESSAGE))
    assert (payload.kind, payload.data) == (Kind.BYTES, noise(300))


def test_texts_fit_the_alphanumeric_mode_of_a_qr_code() -> None:
    for text in texts(noise(3000), 60, fragment_bytes=100):
        assert set(text) <= ALPHANUMERIC


def test_all_fragments_have_one_size_and_none_is_larger_than_asked() -> None:
    for fragment_bytes in range(10, 120):
        shown = parts(noise(1000), 3, fragment_bytes)
        assert len({len(one.data) for one in shown}) == 1
        assert len(shown[0].data) <= fragment_bytes
        assert shown[0].fragments == -(-shown[0].length // len(shown[0].data))


def test_the_first_parts_are_the_fragments_in_order() -> None:
    source = UrSource(Kind.PSBT, noise(2000), fragment_bytes=20)
    shown = [parse(source.next_symbol()) for _ in range(source.count)]
    assert [one.sequence for one in shown if isinstance(one, Part)] == list(range(1, source.count + 1))


def test_few_fragments_are_repeated_four_to_one_with_large_mixes() -> None:
    numbers = list(islice(sequences(10, 77), 10, 10 + 50))
    degrees = [degree(number, 10, 77) for number in numbers]
    assert all(one == 1 for at, one in enumerate(degrees) if at % 5 != 4)
    assert all(one >= 6 for one in degrees[4::5])
    assert [number for at, number in enumerate(numbers) if at % 5 != 4][:10] == list(range(1, 11))


def test_many_fragments_are_shown_one_to_four_with_small_mixes() -> None:
    numbers = list(islice(sequences(100, 77), 100, 100 + 1000))
    degrees = [degree(number, 100, 77) for number in numbers]
    assert all(number <= 100 for number in numbers[::5])
    mixed = [one for at, one in enumerate(degrees) if at % 5]
    assert min(mixed) == 2
    assert statistics.median(mixed) <= 3
    assert max(mixed) > 20


def test_two_fragments_are_enough_for_the_chooser() -> None:
    numbers = list(islice(sequences(2, 5), 40))
    assert {degree(number, 2, 5) for number in numbers} == {1, 2}


def test_a_stream_is_told_by_its_texts() -> None:
    data = noise(1000)
    shown = texts(data, 3, fragment_bytes=100)
    message = b"\x59\x03\xe8" + data
    assert {ur_stream(text) for text in shown} == {("crypto-psbt", 11, 1003, zlib.crc32(message))}
    assert ur_stream(texts(b"12", 1, fragment_bytes=100)[0]) == ("crypto-psbt", 1, 0, 0)


def test_what_cannot_be_sent_is_refused() -> None:
    with pytest.raises(QrSizeError):
        UrSource(Kind.PSBT, noise(50_000), fragment_bytes=12)
    with pytest.raises(QrSizeError):
        UrSource(Kind.PSBT, b"1234", fragment_bytes=9)
    with pytest.raises(ValueError, match="nothing"):
        UrSource(Kind.PSBT, b"", fragment_bytes=100)
    with pytest.raises(ValueError, match="json"):
        UrSource(Kind.JSON, b"{}", fragment_bytes=100)


def frames_shown(fragments: int, loss: float, trials: int, *, standard: bool = False) -> float:
    """The median of frames shown, in units of ``fragments``, to a reference decoder that joins at random."""
    rng = random.Random(fragments)
    shown = []
    checksum = rng.getrandbits(32)
    numbers = iter(range(1, 1 << 32)) if standard else sequences(fragments, checksum)
    mixed = [indexes(number, fragments, checksum) for number in islice(numbers, 12 * fragments)]
    for _ in range(trials):
        decoder = PeelingDecoder(fragments)
        at = start = rng.randrange(4 * fragments)
        while not decoder.is_whole:
            if rng.random() >= loss:
                decoder.take(mixed[at])
            at += 1
        shown.append((at - start) / fragments)
    return statistics.median(shown)


def test_an_existing_decoder_that_joins_at_random_needs_fewer_frames_than_of_the_standard_stream() -> None:
    for loss in (0.0, 0.3):
        assert frames_shown(85, loss, 20) < 0.8 * frames_shown(85, loss, 20, standard=True)


@pytest.mark.parametrize(("loss", "most"), [(0.0, 1.35), (0.1, 1.5), (0.3, 1.95), (0.5, 2.65)])
def test_an_existing_decoder_needs_no_more_frames_than_the_goal(loss: float, most: float) -> None:
    assert frames_shown(100, loss, 40) <= most


def test_an_existing_decoder_there_from_the_start_needs_no_more_than_the_fragments() -> None:
    for fragments in (2, FEW, FEW + 1, 85):
        decoder = PeelingDecoder(fragments)
        for number in islice(sequences(fragments, 9), fragments):
            assert not decoder.is_whole
            decoder.take(indexes(number, fragments, 9))
        assert decoder.is_whole
