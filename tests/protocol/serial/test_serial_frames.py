"""COBS and frames: exact, strict, and never lost in garbage for longer than to the next zero."""

from __future__ import annotations

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
    Frame,
    FrameReader,
    Kind,
    decode_frame,
    encode_frame,
)

GOOD = Frame(Kind.DATA, b"\x01\x00\xff\x7f", 2**32 - 1, b"a\0b" * 100)

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
    assert decode_frame(wire[:-1]) == GOOD


def test_the_longest_frame_fits_the_bound() -> None:
    longest = Frame(Kind.DATA, b"tag!", 1, b"\x07" * MAX_PAYLOAD_BYTES)
    wire = encode_frame(longest)
    assert len(wire) - 1 <= MAX_WIRE_BYTES
    assert decode_frame(wire[:-1]) == longest
    with pytest.raises(FrameError):
        encode_frame(Frame(Kind.DATA, b"tag!", 1, bytes(MAX_PAYLOAD_BYTES + 1)))


def test_attack_every_changed_bit_is_noticed() -> None:
    wire = encode_frame(GOOD)[:-1]
    for bit in range(8 * len(wire)):
        spoilt = bytearray(wire)
        spoilt[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FrameError):
            decode_frame(bytes(spoilt))


def _with_first_byte(first: int) -> bytes:
    body = bytes([first]) + cobs.decode(encode_frame(GOOD)[:-1])[1:-4]
    return cobs.encode(body + zlib.crc32(body).to_bytes(4, "big"))


def test_only_the_known_version_and_kinds_are_frames() -> None:
    assert decode_frame(_with_first_byte(0x13)) == GOOD
    for first in (0x03, 0x23, 0x10, 0x17, 0x1F):
        with pytest.raises(FrameError):
            decode_frame(_with_first_byte(first))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_frames_are_found_in_chunks_of_any_size(size: int) -> None:
    frames = [Frame(Kind.DATA, b"abcd", number, bytes([number]) * 3 * number) for number in range(60)]
    stream = b"\0\0" + b"".join(encode_frame(frame) for frame in frames)
    reader = FrameReader()
    found = [frame for at in range(0, len(stream), size) for frame in reader.feed(stream[at : at + size])]
    assert found == frames
    assert reader.errors == 0


def test_attack_a_flood_of_garbage_neither_fills_the_memory_nor_hides_the_next_frame() -> None:
    rng = random.Random(1)
    reader = FrameReader()
    for flood in (rng.randbytes(1_000_000), b"\xff" * 1_000_000, b"\x01" * 1_000_000, bytes(1_000_000)):
        assert list(reader.feed(flood)) == []
        assert len(reader._partial) <= MAX_WIRE_BYTES
        assert list(reader.feed(b"\0" + encode_frame(GOOD))) == [GOOD]
    assert reader.errors > 1000
