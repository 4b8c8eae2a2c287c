"""BBQr as it is read: one mutation of good codes each (signers' survey, lines 74 to 78)."""

from __future__ import annotations

import base64
import tracemalloc
import zlib

import pytest

from protocol.qr.bbqr_examples import LIMIT, joined, noise, psbt, texts
from undercroft_protocol.errors import QrMessageError, QrSymbolError
from undercroft_protocol.qr.bbqr import BbqrSink, Encoding, Header, parse_header
from undercroft_protocol.qr.stream import Gathered, Kind


def good() -> list[str]:
    """Four parts: three of 120 bytes and one of less."""
    return texts(noise(460), characters=200, encoding="2", kind=Kind.BYTES)


def z_parts(deflated: bytes, file_type: str = "B") -> list[str]:
    """What is already deflated, in as many parts as it takes."""
    cut = [deflated[at : at + 2500] for at in range(0, len(deflated), 2500)]
    return [
        Header(Encoding.ZLIB, file_type, len(cut), at).text() + base64.b32encode(part).decode().rstrip("=")
        for at, part in enumerate(cut)
    ]


def raw_deflate(data: bytes, window_bits: int) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -window_bits)
    return deflater.compress(data) + deflater.flush()


def refused(text: str, match: str, before: list[str] | None = None) -> None:
    """The code is refused and changes nothing: the good ones still make the payload."""
    sink = BbqrSink(limit=LIMIT)
    for part in before or []:
        sink.take(part)
    was = sink.gathered
    with pytest.raises(QrSymbolError, match=match):
        sink.take(text)
    assert sink.gathered == was
    whole = [sink.take(part) for part in good()]
    assert [one.data for one in whole if one is not None] == [noise(460)]


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("B$2B0000", "total 0"),
        ("B$2B0404", "part 4 of 4"),
        ("B$2BZZZZ", "part 1295 of 1295"),
        ("B$2X0400", "executable"),
        ("B$2Q0400", "'Q'"),
        ("B$QB0400", "encoding 'Q'"),
        ("B$2B04-1", "base 36"),
        ("B$2B0 00", "base 36"),
        ("B$2b0400", "'b'"),
        ("b$2B0400", "header"),
        ("B$2B040", "header"),
        ("B%2B0400", "header"),
        ("B$2B\u0660\u06640\u0660", "base 36"),
    ],
)
def test_attack_a_bad_header_is_refused(header: str, match: str) -> None:
    refused(header + good()[0][8:] if len(header) == 8 else header, match)


def test_lower_case_base_36_is_no_number() -> None:
    with pytest.raises(QrSymbolError, match="base 36"):
        parse_header("B$2B0a00AA")


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ("", "base32"),
        ("A" * 191 + "1", "base32"),
        ("A" * 191 + "a", "base32"),
        ("A" * 186 + "======", "base32"),
        ("A" * 188, "groups of 8"),
    ],
)
def test_attack_a_body_that_is_not_whole_groups_of_base32_is_refused(body: str, match: str) -> None:
    refused(good()[1][:8] + body, match)


@pytest.mark.parametrize("body", ["A", "ABC", "ABCDEF"])
def test_attack_a_last_part_that_is_no_whole_byte_is_refused(body: str) -> None:
    refused(good()[-1][:8] + body, "whole byte")


@pytest.mark.parametrize("body", ["AB", "AAAB", "AAAAB", "AAAAAAB", "AAAAAAAAAB"])
def test_attack_bits_behind_the_last_byte_are_refused(body: str) -> None:
    refused(good()[-1][:8] + body, "behind its last byte")


def test_attack_odd_hex_is_refused() -> None:
    part = texts(b"\1\2\3", encoding="H")[0]
    for text in (part + "4", part[:-1], part[:-1] + "g", part.lower().replace("b$hp", "B$HP") + "af"):
        with pytest.raises(QrSymbolError, match="hex"):
            BbqrSink(limit=LIMIT).take(text)


@pytest.mark.parametrize("encoding", ["2", "H", "Z"])
def test_attack_two_headers_in_one_body_are_refused(encoding: str) -> None:
    parts = texts(noise(460), characters=200, encoding=encoding, kind=Kind.BYTES)
    with pytest.raises(QrSymbolError):
        BbqrSink(limit=LIMIT).take(parts[0] + parts[1])


@pytest.mark.parametrize("change", [(2, "Z"), (2, "H"), (3, "P"), (5, "5")])
def test_attack_another_encoding_type_or_total_in_the_middle_is_refused(change: tuple[int, str]) -> None:
    at, character = change
    text = good()[1]
    body = "AB" * 96 if character == "H" else text[8:]
    refused(text[:at] + character + text[at + 1 : 8] + body, "another encoding", before=good()[:1])


def test_attack_unequal_part_sizes_are_refused() -> None:
    refused(good()[1][:-8], "among parts of", before=good()[:1])
    refused(good()[1] + "AAAAAAAA", "among parts of", before=good()[:1])


def test_attack_a_last_part_longer_than_the_others_is_refused_whichever_comes_first() -> None:
    long_last = good()[3][:8] + good()[0][8:] + "AAAAAAAA"
    refused(long_last, "the last part has", before=good()[:1])
    sink = BbqrSink(limit=LIMIT)
    sink.take(long_last)
    with pytest.raises(QrSymbolError, match="the last part has"):
        sink.take(good()[0])


def test_attack_the_same_part_with_another_content_is_refused_and_the_first_stays() -> None:
    changed = good()[1][:-1] + ("A" if good()[1][-1] != "A" else "B")
    refused(changed, "another content", before=good()[:2])


def test_attack_the_last_one_does_not_win_just_before_the_end() -> None:
    changed = good()[0][:8] + good()[1][8:]
    refused(changed, "another content", before=good()[:3])


def test_a_part_seen_again_changes_nothing() -> None:
    sink = BbqrSink(limit=LIMIT)
    for _ in range(3):
        assert sink.take(good()[0]) is None
    assert sink.gathered == Gathered(1, 4)


@pytest.mark.parametrize("encoding", ["2", "H"])
def test_the_length_is_told_as_soon_as_two_sizes_are_known(encoding: str) -> None:
    parts = texts(noise(460), encoding=encoding, kind=Kind.BYTES)
    sink = BbqrSink(limit=LIMIT)
    sink.take(parts[-1])
    assert sink.gathered == Gathered(1, len(parts), 0)
    sink.take(parts[1])
    assert sink.gathered == Gathered(2, len(parts), 460)


def test_attack_nothing_of_an_earlier_payload_is_in_the_next() -> None:
    first, second = noise(460, seed=1), noise(400, seed=2)
    assert joined(texts(first, kind=Kind.BYTES)[:-1]) is None
    found = joined(texts(second, kind=Kind.BYTES))
    assert found is not None and found.data == second


@pytest.mark.parametrize("limit", [0, 1, 459])
def test_attack_more_bytes_than_the_limit_are_refused_from_the_first_part_on(limit: int) -> None:
    with pytest.raises((QrSymbolError, QrMessageError), match=f"more than {limit} bytes"):
        joined(good(), limit=limit)
    found = joined(good(), limit=460)
    assert found is not None


def test_attack_parts_that_can_only_become_too_many_are_refused_at_the_first_one() -> None:
    header = Header(Encoding.HEX, "B", 11, 0).text()
    sink = BbqrSink(limit=1000)
    with pytest.raises(QrSymbolError, match="more than 1000 bytes"):
        sink.take(header + "AB" * 101)
    assert sink.gathered == Gathered(0, 0)
    assert sink.take(header + "AB" * 100) is None


def test_attack_bytes_behind_a_stream_that_ends_where_the_reader_pauses_are_refused() -> None:
    # Fed 512 bytes at a time; bytes that nothing makes shorter are stored with five before them.
    deflated = raw_deflate(noise(1019), 10)
    assert len(deflated) == 1024
    whole = joined(z_parts(deflated))
    assert whole is not None and whole.data == noise(1019)
    with pytest.raises(QrMessageError, match="behind the end"):
        joined(z_parts(deflated + b"\0"))


def test_attack_1295_parts_announced_allocate_nothing() -> None:
    part = "B$2BZZ00" + "A" * 8
    tracemalloc.start()
    try:
        sink = BbqrSink(limit=4_000_000)
        sink.take(part)
        assert sink.gathered == Gathered(1, 1295)
        assert tracemalloc.get_traced_memory()[1] < 20_000
    finally:
        tracemalloc.stop()


def test_attack_a_bomb_is_stopped_at_the_limit() -> None:
    parts = z_parts(raw_deflate(bytes(50_000_000), 10))
    tracemalloc.start()
    try:
        with pytest.raises(QrMessageError, match="more than 100000 bytes"):
            joined(parts)
        assert tracemalloc.get_traced_memory()[1] < 10 * LIMIT
    finally:
        tracemalloc.stop()


def test_exactly_the_limit_is_inflated() -> None:
    found = joined(z_parts(raw_deflate(bytes(LIMIT), 10)))
    assert found is not None and found.data == bytes(LIMIT)
    with pytest.raises(QrMessageError, match="more than"):
        joined(z_parts(raw_deflate(bytes(LIMIT + 1), 10)))


@pytest.mark.parametrize("distance", [1100, 2000, 10_000, 30_000])
def test_attack_a_window_of_more_than_10_bits_is_refused(distance: int) -> None:
    far = noise(distance) + noise(distance)[:300]
    deflated = raw_deflate(far, 15)
    assert zlib.decompress(deflated, wbits=-15) == far
    with pytest.raises(QrMessageError, match="window of 10 bits"):
        joined(z_parts(deflated))


def test_a_window_of_10_bits_is_read_to_its_end() -> None:
    near = noise(1000) + noise(1000)[:300]
    found = joined(z_parts(raw_deflate(near, 15)))
    assert found is not None and found.data == near


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda data: data[:-1], "ends in the middle"),
        (lambda data: data[: len(data) // 2], "ends in the middle"),
        (lambda data: data + b"\0", "behind the end"),
        (lambda data: data + bytes(5000), "behind the end"),
        (lambda data: b"\x78\xda" + data, "window"),
        (lambda data: b"\x07" + data, "window"),
    ],
)
def test_attack_what_is_not_one_deflated_stream_is_refused(spoil, match: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(QrMessageError, match=match):
        joined(z_parts(spoil(raw_deflate(psbt(3000), 10))))


@pytest.mark.parametrize("file_type", ["U", "J"])
def test_attack_a_text_that_is_not_utf8_is_refused(file_type: str) -> None:
    with pytest.raises(QrMessageError, match="UTF-8"):
        joined([f"B$H{file_type}0100C328"])


def test_a_text_longer_than_any_code_is_refused() -> None:
    with pytest.raises(QrSymbolError, match="longer"):
        BbqrSink(limit=LIMIT).take("B$2B0100" + "A" * 4296)
