"""Deterministic CBOR (RFC 8949 section 4.2): every value has one encoding, and nothing else is read."""

from __future__ import annotations

import tracemalloc

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undercroft_protocol import cbor
from undercroft_protocol.errors import CborError

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 64), (1 << 64) - 1)
    | st.binary(max_size=40)
    | st.text(st.characters(codec="utf-8"), max_size=40),
    lambda inner: st.lists(inner, max_size=5).map(tuple) | st.dictionaries(st.integers(-300, 300), inner, max_size=5),
    max_leaves=20,
)


@given(PLAIN)
def test_a_value_reads_back_as_itself(value: cbor.Plain) -> None:
    assert cbor.decode(cbor.encode(value)) == value


@given(PLAIN)
def test_an_encoding_is_the_only_one(value: cbor.Plain) -> None:
    data = cbor.encode(value)
    assert cbor.encode(cbor.decode(data)) == data


@given(st.binary(max_size=60))
def test_random_bytes_are_refused_or_are_the_one_encoding_of_what_they_say(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except CborError:
        return
    assert cbor.encode(value) == data


@given(PLAIN, st.data())
def test_a_flipped_bit_never_reads_as_the_same_value(value: cbor.Plain, data: st.DataObject) -> None:
    good = bytearray(cbor.encode(value))
    at = data.draw(st.integers(0, len(good) * 8 - 1))
    good[at // 8] ^= 1 << (at % 8)
    try:
        read = cbor.decode(bytes(good))
    except CborError:
        return
    assert cbor.encode(read) == bytes(good)
    assert bytes(good) != cbor.encode(value)


# RFC 8949 appendix A, the entries of allowed types.
@pytest.mark.parametrize(
    ("value", "hexadecimal"),
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (255, "18ff"),
        (256, "190100"),
        (1000000, "1a000f4240"),
        (1000000000000, "1b000000e8d4a51000"),
        (18446744073709551615, "1bffffffffffffffff"),
        (-1, "20"),
        (-1000, "3903e7"),
        (-18446744073709551616, "3bffffffffffffffff"),
        (False, "f4"),
        (True, "f5"),
        (None, "f6"),
        (b"", "40"),
        (b"\x01\x02\x03\x04", "4401020304"),
        ("", "60"),
        ("IETF", "6449455446"),
        ("\u6c34", "63e6b0b4"),
        ((), "80"),
        ((1, (2, 3), (4, 5)), "8301820203820405"),
        ({}, "a0"),
        ({1: 2, 3: 4}, "a201020304"),
    ],
)
def test_rfc_8949_examples(value: cbor.Plain, hexadecimal: str) -> None:
    assert cbor.encode(value).hex() == hexadecimal
    assert cbor.decode(bytes.fromhex(hexadecimal)) == value


def test_map_keys_are_sorted_by_their_encoded_bytes() -> None:
    data = cbor.encode({-1: 0, 100: 0, 24: 0, 10: 0, 1000: 0, -300: 0})
    keys = [cbor2.dumps(key) for key in cbor2.loads(data)]
    assert keys == sorted(keys)


@pytest.mark.parametrize(
    ("attack", "hexadecimal"),
    [
        ("a number in a longer form", "1817"),
        ("a number in a longer form, two bytes", "1900ff"),
        ("a number in a longer form, four bytes", "1a0000ffff"),
        ("a number in a longer form, eight bytes", "1b00000000ffffffff"),
        ("a length in a longer form", "580161"),
        ("an array length in a longer form", "980101"),
        ("an indefinite byte string", "5f4101ff"),
        ("an indefinite text", "7f6161ff"),
        ("an indefinite array", "9f01ff"),
        ("an indefinite map", "bf0102ff"),
        ("a break alone", "ff"),
        ("reserved additional information", "1c"),
        ("a half float", "f93c00"),
        ("a single float", "fa47c35000"),
        ("a double float", "fb3ff199999999999a"),
        ("not a number", "f97e00"),
        ("undefined", "f7"),
        ("a simple value", "f0"),
        ("a two byte simple value", "f8ff"),
        ("a tag", "c11a514b67b0"),
        ("a big number", "c249010000000000000000"),
        ("a shared reference tag", "d81c80"),
        ("a duplicate key", "a201010102"),
        ("keys out of order", "a202000100"),
        ("a negative key before a positive one", "a220000100"),
        ("a text key", "a1616101"),
        ("a key of bytes", "a1410101"),
        ("an array as key", "a18001"),
        ("a byte after the end", "0000"),
        ("nothing", ""),
        ("a map without its last value", "a101"),
        ("text that is not UTF-8", "61ff"),
        ("text with an overlong form", "62c0af"),
        ("a surrogate in text", "63eda080"),
        ("more bytes announced than there are", "5affffffff00"),
        ("2^64-1 bytes announced", "5bffffffffffffffff"),
        ("2^64-1 entries announced", "9bffffffffffffffff"),
        ("2^64-1 pairs announced", "bbffffffffffffffff"),
    ],
)
def test_attack_bytes_that_are_not_deterministic_are_refused(attack: str, hexadecimal: str) -> None:
    with pytest.raises(CborError):
        cbor.decode(bytes.fromhex(hexadecimal))


@pytest.mark.parametrize("depth", [cbor.MAX_DEPTH + 1, 10_000, 1_000_000])
def test_attack_nesting_is_bounded(depth: int) -> None:
    with pytest.raises(CborError, match="nested"):
        cbor.decode(b"\x81" * depth + b"\x00")


def test_the_deepest_allowed_nesting_is_read() -> None:
    data = b"\x81" * cbor.MAX_DEPTH + b"\x00"
    assert cbor.encode(cbor.decode(data)) == data


def test_attack_a_message_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(CborError, match="is the most"):
        cbor.decode(b"\x5a\x00\x40\x00\x00" + bytes(cbor.MAX_BYTES))


def test_attack_a_flood_of_empty_items_is_bounded() -> None:
    count = cbor.MAX_ITEMS + 1
    with pytest.raises(CborError, match="items"):
        cbor.decode(b"\x9a" + count.to_bytes(4, "big") + b"\x00" * count)


def test_attack_announced_sizes_allocate_nothing() -> None:
    tracemalloc.start()
    for data in (b"\x9a\x7f\xff\xff\xff", b"\xba\x7f\xff\xff\xff", b"\x5a\x7f\xff\xff\xff", b"\x7a\x7f\xff\xff\xff"):
        with pytest.raises(CborError):
            cbor.decode(data + b"\x00" * 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize("value", [1.0, 1 << 64, -(1 << 64) - 1, {"a": 1}, {True: 1}, object(), [1.5], {1: set()}])
def test_what_has_no_encoding_is_not_encoded(value: object) -> None:
    with pytest.raises(CborError):
        cbor.encode(value)  # type: ignore[arg-type]


def test_a_tag_is_read_only_where_it_is_expected() -> None:
    data = cbor.encode(cbor.Tagged(18, (1, 2)))
    assert data == cbor2.dumps(cbor2.CBORTag(18, [1, 2]))
    assert cbor.decode_tagged(data, 18) == (1, 2)
    for wrong in (data[1:], b"\xd1" + data[1:], b"\xd8\x12" + data[1:]):
        with pytest.raises(CborError):
            cbor.decode_tagged(wrong, 18)
