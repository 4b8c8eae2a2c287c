"""Bytewords, the generator and the fountain against the published vectors (BCR-2020-005, BCR-2020-012, bc-ur)."""

from __future__ import annotations

import zlib

import pytest

from protocol.qr.ur_examples import joined, reference_message, vectors
from undercroft_protocol.errors import QrSymbolError
from undercroft_protocol.qr.stream import Kind
from undercroft_protocol.qr.ur import UrSource, bytewords
from undercroft_protocol.qr.ur.fountain import MAX_FRAGMENTS, MAX_SEQUENCE, degree, indexes
from undercroft_protocol.qr.ur.part import Part, parse
from undercroft_protocol.qr.ur.xoshiro import Xoshiro256

REFERENCE = vectors("reference")


def part_of(data: bytes, fragment_bytes: int, sequence: int) -> str:
    """Part ``sequence`` as a sender of the reference makes it, in small letters."""
    source = UrSource(Kind.BYTES, data, fragment_bytes=fragment_bytes)
    return source.part(sequence).text().lower()


@pytest.mark.parametrize("one", REFERENCE["bytewords"])
def test_bytewords_are_those_of_the_standard(one: dict[str, str]) -> None:
    data = bytes.fromhex(one["bytes"])
    assert bytewords.encode(data) == one["minimal"].upper()
    assert bytewords.decode(one["minimal"]) == data
    assert bytewords.decode(one["minimal"].upper()) == data


def test_every_byte_has_its_own_pair_of_letters() -> None:
    data = bytes(range(256))
    assert bytewords.decode(bytewords.encode(data)) == data


@pytest.mark.parametrize("text", REFERENCE["bytewords_bad"])
def test_bytewords_that_the_reference_refuses_are_refused(text: str) -> None:
    with pytest.raises(QrSymbolError):
        bytewords.decode(text)


def test_attack_bytewords_of_nothing_are_refused_though_their_checksum_is_right() -> None:
    with pytest.raises(QrSymbolError):
        bytewords.decode(bytewords.encode(b""))


def test_attack_no_single_changed_letter_of_bytewords_is_accepted() -> None:
    text = REFERENCE["bytewords"][0]["minimal"]
    for at in range(len(text)):
        for letter in "abcdefghijklmnopqrstuvwxyz \u017f\u0131":
            if letter != text[at]:
                with pytest.raises(QrSymbolError):
                    bytewords.decode(text[:at] + letter + text[at + 1 :])


def test_the_generator_draws_what_the_reference_draws() -> None:
    generator = Xoshiro256(REFERENCE["xoshiro_seed"].encode())
    assert [generator.next() % 100 for _ in range(100)] == REFERENCE["xoshiro_next_mod_100"]
    generator = Xoshiro256(REFERENCE["xoshiro_seed"].encode())
    assert [generator.below(10) + 1 for _ in range(100)] == REFERENCE["xoshiro_next_1_to_10"]


def test_attack_a_draw_that_rounds_up_to_one_stays_in_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Xoshiro256, "next", lambda _: (1 << 64) - 1)
    assert Xoshiro256(b"").below(7) == 6


def test_parts_mix_the_fragments_that_the_reference_mixes() -> None:
    expected = REFERENCE["fragments_of_1024_bytes"]
    message = reference_message(1024)
    assert message.hex().startswith(REFERENCE["message_of_1024_bytes_starts_with"])
    checksum = zlib.crc32(message)
    for sequence, mixed in enumerate(expected["indexes"], start=1):
        assert sorted(indexes(sequence, expected["fragments"], checksum)) == mixed
        assert degree(sequence, expected["fragments"], checksum) == len(mixed)


@pytest.mark.parametrize("fragments", [1, 2, 12, 200, MAX_FRAGMENTS])
def test_a_part_mixes_distinct_fragments_of_the_message_only(fragments: int) -> None:
    for sequence in (1, fragments, fragments + 1, fragments + 7, MAX_SEQUENCE):
        mixed = indexes(sequence, fragments, 0x12345678)
        assert len(set(mixed)) == len(mixed) == degree(sequence, fragments, 0x12345678)
        assert set(mixed) <= set(range(fragments))


def test_parts_are_written_as_the_reference_writes_them() -> None:
    message = reference_message(256)
    assert [part_of(message, 30, at) for at in range(1, 21)] == REFERENCE["parts_of_256_bytes"]


def test_parts_of_the_reference_are_read() -> None:
    payload, taken = joined(REFERENCE["parts_of_256_bytes"])
    assert (payload.data, taken) == (reference_message(256), 9)
    payload, taken = joined(REFERENCE["parts_of_256_bytes"][2:])
    assert payload.data == reference_message(256)


def test_a_single_part_is_that_of_the_reference() -> None:
    source = UrSource(Kind.BYTES, reference_message(50), fragment_bytes=100)
    assert source.next_symbol().lower() == source.next_symbol().lower() == REFERENCE["single_part_of_50_bytes"]
    assert joined([REFERENCE["single_part_of_50_bytes"]])[0].data == reference_message(50)


def test_a_part_whose_checksum_begins_with_zeros_is_read() -> None:
    found = parse(REFERENCE["part_with_a_short_checksum"])
    assert isinstance(found, Part)
    assert (found.type, found.sequence, found.fragments) == ("crypto-psbt", 20, 29)
    assert found.text().lower() == REFERENCE["part_with_a_short_checksum"]
