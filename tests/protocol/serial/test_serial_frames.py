"""COBS and frames: exact, strict, and never lost in garbage for longer than to the next zero."""

from __future__ import annotations

import dataclasses
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undercroft_protocol.errors import FrameError
from undercroft_protocol.serial import cobs
from undercroft_protocol.serial.frame import (
    MAX_PAYLOAD_BYTES,
    MAX_WIRE_BYTES,
    NO_TAG,
    SEQUENCE_NUMBERS,
    Frame,
    FrameReader,
    Kind,
    decode_frame,
    encode_frame,
    whole_sequence,
)

TAG = b"\x01\x00\xff\x7f"
GOOD = Frame(Kind.DATA, TAG, SEQUENCE_NUMBERS - 1, b"a\0b" * 100)

# The examples of the Wikipedia article on COBS, which are those in common use.
EXAMPLES = [
    ("", "01"),
    ("00", "0101"),
    ("0000", "010101"),
    ("001100", "01021101"),
    ("11220033", "0311220233"),
    ("11223344", "0511223344"),
    ("11000000", "0211010101"),
    (bytes(range(1, 255)).hex(), "ff" + bytes(range(1, 255)).hex()),
    (bytes(range(255)).hex(), "01ff" + bytes(range(1, 255)).hex()),
    (bytes(range(1, 256)).hex(), "ff" + bytes(range(1, 255)).hex() + "02ff"),
    ((bytes(range(2, 256)) + b"\0").hex(), "ff" + bytes(range(2, 256)).hex() + "0101"),
    ((bytes(range(3, 256)) + b"\0\1").hex(), "fe" + bytes(range(3, 256)).hex() + "0201"),
]


@pytest.mark.parametrize(("plain", "stuffed"), EXAMPLES)
def test_cobs_agrees_with_the_known_examples(plain: str, stuffed: str) -> None:
    assert cobs.encode(bytes.fromhex(plain)).hex() == stuffed
    assert cobs.decode(bytes.fromhex(stuffed)).hex() == plain


@given(st.lists(st.sampled_from([b"\0", b"x", b"y" * 253, b"z" * 254, b"\xff" * 255]), max_size=12))
def test_cobs_gives_every_value_back_without_a_zero(parts: list[bytes]) -> None:
    plain = b"".join(parts)
    stuffed = cobs.encode(plain)
    assert 0 not in stuffed
    assert len(stuffed) <= len(plain) + len(plain) // 254 + 1
    assert cobs.decode(stuffed) == plain


@given(st.binary(max_size=600))
def test_cobs_has_one_encoding_for_each_value(stuffed: bytes) -> None:
    try:
        plain = cobs.decode(stuffed)
    except FrameError:
        return
    assert cobs.encode(plain) == stuffed


@pytest.mark.parametrize("bad", ["", "00", "0100", "03", "0311", "05112233", "ff" + "11" * 254 + "01"])
def test_attack_malformed_stuffing_is_refused(bad: str) -> None:
    with pytest.raises(FrameError):
        cobs.decode(bytes.fromhex(bad))


def test_a_frame_comes_back_as_it_was() -> None:
    wire = encode_frame(GOOD)
    assert wire.endswith(b"\0")
    assert wire.count(b"\0") == 1
    assert decode_frame(wire[:-1], (TAG,)) == GOOD
    assert decode_frame(wire[:-1], (b"some", NO_TAG, TAG)) == GOOD


def test_the_longest_frame_fits_the_bound() -> None:
    longest = Frame(Kind.DATA, b"tag!", 1, b"\x07" * MAX_PAYLOAD_BYTES)
    wire = encode_frame(longest)
    assert len(wire) - 1 <= MAX_WIRE_BYTES
    assert decode_frame(wire[:-1], (b"tag!",)) == longest
    with pytest.raises(FrameError):
        encode_frame(Frame(Kind.DATA, b"tag!", 1, bytes(MAX_PAYLOAD_BYTES + 1)))


def _flipped(wire: bytes, *bits: int) -> bytes:
    spoilt = bytearray(wire)
    for bit in bits:
        spoilt[bit // 8] ^= 1 << bit % 8
    return bytes(spoilt)


def test_one_changed_bit_of_a_piece_is_put_right_and_never_makes_another() -> None:
    wire = encode_frame(GOOD)[:-1]
    repaired = 0
    for bit in range(8 * len(wire)):
        try:
            frame = decode_frame(_flipped(wire, bit), (TAG,))
        except FrameError:
            continue
        assert frame == dataclasses.replace(GOOD, repaired=True)
        repaired += 1
    # The rest hit the stuffing, whose codes stand for more than themselves: 100 zeros of 400 bytes.
    assert 0.6 < repaired / (8 * len(wire)) < 0.8


def test_of_random_bytes_nearly_every_changed_bit_is_put_right() -> None:
    frame = Frame(Kind.DATA, TAG, 5, random.Random(3).randbytes(MAX_PAYLOAD_BYTES))
    wire = encode_frame(frame)[:-1]
    rng = random.Random(4)
    bits = [rng.randrange(8 * len(wire)) for _ in range(300)]
    reader = FrameReader(TAG)
    stream = b"".join(_flipped(wire, bit) + b"\0" for bit in bits)
    found = list(reader.feed(stream))
    assert set(found) == {dataclasses.replace(frame, repaired=True)}
    assert reader.repairs == len(found) > 285


def test_attack_two_changed_bits_are_noticed() -> None:
    wire = encode_frame(GOOD)[:-1]
    rng = random.Random(2)
    for _ in range(3000):
        spoilt = _flipped(wire, *rng.sample(range(8 * len(wire)), 2))
        with pytest.raises(FrameError):
            decode_frame(spoilt, (TAG,))


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.DATA])
def test_attack_a_changed_bit_of_a_word_of_control_is_noticed(kind: Kind) -> None:
    tag = NO_TAG if kind is Kind.HELLO else TAG
    wire = encode_frame(Frame(kind, tag, 77, b"payload"))[:-1]
    for bit in range(8 * len(wire)):
        with pytest.raises(FrameError):
            decode_frame(_flipped(wire, bit), (tag,))


def test_attack_a_frame_of_another_session_is_none() -> None:
    wire = encode_frame(GOOD)[:-1]
    for tags in ((NO_TAG,), (b"else", NO_TAG)):
        with pytest.raises(FrameError):
            decode_frame(wire, tags)


@pytest.mark.parametrize(("kind", "tag"), [(Kind.HELLO, TAG), (Kind.OPEN, NO_TAG), (Kind.DATA, NO_TAG)])
def test_attack_only_a_greeting_is_said_outside_of_a_session(kind: Kind, tag: bytes) -> None:
    with pytest.raises(FrameError):
        decode_frame(encode_frame(Frame(kind, tag, 1, b"x"))[:-1], (tag,))


def _with_kind(kind: int) -> bytes:
    body = (kind << 13 | GOOD.sequence).to_bytes(2, "big") + GOOD.payload
    return cobs.encode(body + zlib.crc32(body, zlib.crc32(TAG)).to_bytes(4, "big"))


def test_only_the_known_kinds_are_frames() -> None:
    assert decode_frame(_with_kind(Kind.DATA), (TAG,)) == GOOD
    for kind in (0, 7):
        with pytest.raises(FrameError):
            decode_frame(_with_kind(kind), (TAG,))


@given(st.integers(0, 2**32), st.integers(-4096, 4095))
def test_the_whole_sequence_number_is_found_near_the_last(near: int, ahead: int) -> None:
    assert whole_sequence((near + ahead) % SEQUENCE_NUMBERS, near) == near + ahead


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_frames_are_found_in_chunks_of_any_size(size: int) -> None:
    frames = [Frame(Kind.DATA, TAG, number, bytes([number]) * 3 * number) for number in range(60)]
    stream = b"\0\0" + b"".join(encode_frame(frame) for frame in frames)
    reader = FrameReader(TAG)
    found = [frame for at in range(0, len(stream), size) for frame in reader.feed(stream[at : at + size])]
    assert found == frames
    assert reader.errors == 0


def test_attack_a_flood_of_garbage_neither_fills_the_memory_nor_hides_the_next_frame() -> None:
    rng = random.Random(1)
    reader = FrameReader(TAG)
    for flood in (rng.randbytes(1_000_000), b"\xff" * 1_000_000, b"\x01" * 1_000_000, bytes(1_000_000)):
        assert list(reader.feed(flood)) == []
        assert len(reader._partial) <= MAX_WIRE_BYTES
        assert list(reader.feed(b"\0" + encode_frame(GOOD))) == [GOOD]
    assert reader.errors > 1000
