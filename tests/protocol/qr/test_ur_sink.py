"""Uniform Resources as they are read: any parts that suffice, and none that do not fit (goal G6)."""

from __future__ import annotations

import dataclasses
import json
import random
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.qr.ur_examples import LIMIT, VECTORS, joined, noise, texts
from undercroft_protocol import cbor
from undercroft_protocol.errors import ProtocolError, QrMessageError, QrSymbolError
from undercroft_protocol.qr.stream import Gathered, Kind
from undercroft_protocol.qr.ur import UrSink, UrSource, bytewords, ur_stream
from undercroft_protocol.qr.ur.fountain import MAX_FRAGMENTS
from undercroft_protocol.qr.ur.part import Part, parse, whole_text
from undercroft_protocol.qr.ur.solver import Solver
from vectors import make_qr_ur

BAD = sorted((VECTORS / "qr").glob("ur-*.json"))


def standard(data: bytes, fragment_bytes: int, start: int = 1) -> Iterator[str]:
    """The stream of a sender of the reference, from part ``start`` on, without end."""
    source = UrSource(Kind.PSBT, data, fragment_bytes=fragment_bytes)
    while True:
        yield source.part(start).text()
        start += 1


def test_the_vectors_are_what_their_maker_writes() -> None:
    expected = {name: make_qr_ur.as_text(vector) for name, vector in make_qr_ur.vectors().items()}
    assert {path.name: path.read_text(encoding="utf-8") for path in BAD} == expected


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_attack_a_bad_code_is_refused_and_does_no_harm(path: Path) -> None:
    vector: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    sink, codes, payloads = UrSink(limit=10_000), [], []
    for text in vector["texts"]:
        try:
            payload = sink.take(text)
        except ProtocolError as error:
            codes.append(error.code)
        else:
            payloads += [payload.data] if payload else []
    assert codes[:1] == [vector["expect"]]
    assert payloads == ([make_qr_ur.DATA] if vector["after"] == "whole" else [])


@pytest.mark.parametrize("fragments", [85, 200, 341])
def test_a_late_reader_of_the_standard_stream_needs_hardly_more_than_the_fragments(fragments: int) -> None:
    data, needed = noise(fragments * 40 - 3), []
    for start in range(fragments + 1, 4 * fragments, fragments):
        payload, taken = joined(standard(data, 40, start))
        assert payload.data == data
        needed.append(taken / fragments)
    assert sum(needed) / len(needed) <= 1.1


def test_parts_come_in_any_order_twice_and_in_either_case() -> None:
    shown = texts(noise(3000), 120, fragment_bytes=50)
    random.Random(4).shuffle(shown)
    doubled = [one for text in shown for one in (text.lower(), text)]
    assert joined(doubled)[0].data == noise(3000)


def test_progress_counts_independent_parts() -> None:
    shown = texts(noise(500), 12, fragment_bytes=50)
    sink = UrSink(limit=LIMIT)
    assert sink.gathered == Gathered(0, 0, 0)
    for text in (shown[3], shown[3], shown[7]):
        assert sink.take(text) is None
    assert sink.gathered == Gathered(2, 11, 503)


def test_the_payload_is_given_once() -> None:
    shown = texts(noise(500), 30, fragment_bytes=50)
    sink = UrSink(limit=LIMIT)
    assert sum(sink.take(text) is not None for text in shown) == 1
    single = texts(b"psbt", 1, fragment_bytes=50)[0]
    sink = UrSink(limit=LIMIT)
    assert sink.take(single) is not None
    assert sink.take(single.lower()) is None
    with pytest.raises(QrSymbolError):
        sink.take(shown[0])


@pytest.mark.parametrize("type_", ["psbt", "crypto-psbt", "bytes"])
def test_old_and_new_names_are_read(type_: str) -> None:
    payload, _ = joined([whole_text(type_, cbor.encode(b"12345"))])
    assert payload.kind is (Kind.BYTES if type_ == "bytes" else Kind.PSBT)
    assert payload.data == b"12345"


def test_attack_a_psbt_that_is_no_byte_string_is_refused() -> None:
    for item in ("text", 5, [b"psbt"], {1: b"psbt"}):
        with pytest.raises(QrMessageError):
            UrSink(limit=LIMIT).take(whole_text("crypto-psbt", cbor.encode(item)))
    with pytest.raises(QrMessageError):
        UrSink(limit=LIMIT).take(whole_text("crypto-psbt", cbor.encode(b"psbt") + b"\x00"))


def test_attack_an_account_that_is_no_cbor_item_is_refused() -> None:
    for body in (b"\xa1\x01", b"\xa2\x01\x00\x01\x00", b"\x9f\x01\xff", b"\xfb" + bytes(8), b"\x81" * 40):
        with pytest.raises(QrMessageError):
            UrSink(limit=LIMIT).take(whole_text("crypto-account", body))


def test_the_limit_is_exact() -> None:
    assert joined(texts(noise(1000), 1, fragment_bytes=2000), limit=1000)[0].data == noise(1000)
    assert joined(texts(noise(1000), 99, fragment_bytes=50), limit=1000)[0].data == noise(1000)
    for fragment_bytes in (50, 2000):
        with pytest.raises(QrMessageError):
            joined(texts(noise(1001), 99, fragment_bytes=fragment_bytes), limit=1000)


def test_after_a_wrong_message_a_sink_is_of_no_more_use_and_a_fresh_one_is() -> None:
    shown = texts(noise(500), 11, fragment_bytes=50)
    first = parse(shown[0])
    assert isinstance(first, Part)
    sink = UrSink(limit=LIMIT)
    sink.take(dataclasses.replace(first, data=bytes(len(first.data))).text())
    with pytest.raises(QrMessageError):
        for text in shown[1:]:
            sink.take(text)
    with pytest.raises(QrMessageError):
        sink.take(shown[0])
    assert joined(shown)[0].data == noise(500)


def test_attack_one_changed_part_anywhere_never_gives_another_message() -> None:
    data, rng = noise(600), random.Random(8)
    shown = texts(data, 40, fragment_bytes=50, start=5)
    for _ in range(60):
        at = rng.randrange(len(shown))
        one = parse(shown[at])
        assert isinstance(one, Part)
        changed = dataclasses.replace(one, data=rng.randbytes(len(one.data))).text()
        try:
            payload, _ = joined([*shown[:at], changed, *shown[at + 1 :]])
        except (QrSymbolError, QrMessageError):
            continue
        assert payload.data == data


@pytest.mark.parametrize(
    "fields",
    [
        [1, 9, 9 * 20 + 1, 5, bytes(20)],
        [1, 9, 8 * 20, 5, bytes(20)],
        [1, 9, 0, 5, bytes(20)],
        [1, 9, 9 * 20, -1, bytes(20)],
        [1, 9, -9 * 20, 5, bytes(20)],
        [1 << 32, 9, 9 * 20, 5, bytes(20)],
    ],
)
def test_attack_a_part_whose_numbers_do_not_fit_is_refused_before_it_names_a_stream(fields: list[Any]) -> None:
    with pytest.raises(QrSymbolError):
        ur_stream(f"UR:BYTES/{fields[0]}-{fields[1]}/{bytewords.encode(cbor.encode(fields))}")


def test_attack_a_text_longer_than_a_code_or_of_other_letters_names_no_stream() -> None:
    longest = whole_text("bytes", bytes(2139))
    assert len(longest) == 4295
    assert ur_stream(longest) == ("bytes", 1, 0, 0)
    for text in (whole_text("bytes", bytes(2140)), longest.replace("BYTES", "BYTE\u017f")):
        with pytest.raises(QrSymbolError):
            ur_stream(text)


def test_attack_a_fragment_more_than_is_read_is_refused() -> None:
    for fragments, read in ((MAX_FRAGMENTS, True), (MAX_FRAGMENTS + 1, False)):
        text = Part("bytes", 7, fragments, 30 * fragments, 1, bytes(30)).text()
        if read:
            assert ur_stream(text) == ("bytes", fragments, 30 * fragments, 1)
        else:
            with pytest.raises(QrSymbolError, match="4096 is the most"):
                ur_stream(text)


def test_attack_a_message_announced_beyond_the_limit_is_refused_at_its_first_part() -> None:
    # 16 bytes more than the limit are left for the head of the CBOR item.
    for length, taken in ((116, True), (117, False)):
        sink = UrSink(limit=100)
        text = Part("bytes", 1, 3, length, 1, bytes(39)).text()
        if taken:
            assert sink.take(text) is None
        else:
            with pytest.raises(QrSymbolError, match="117 bytes announced"):
                sink.take(text)
        assert sink.gathered.have == int(taken)


def test_attack_a_million_fragments_cost_neither_memory_nor_time() -> None:
    body = cbor.encode([7, 1_000_000, 30_000_000, 1, bytes(30)])
    text = f"UR:BYTES/7-1000000/{bytewords.encode(body)}"
    tracemalloc.start()
    try:
        for read in (UrSink(limit=LIMIT).take, ur_stream):
            with pytest.raises(QrSymbolError):
                read(text)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_attack_the_largest_stream_that_is_read_stays_within_bounds() -> None:
    source = UrSource(Kind.BYTES, noise(4096 * 20 - 5), fragment_bytes=20)
    assert source.count == 4096
    sink, rng = UrSink(limit=LIMIT), random.Random(3)
    tracemalloc.start()
    try:
        for _ in range(15):
            sink.take(source.part(rng.randrange(4097, 1 << 32)).text())
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    assert sink.gathered.need == 4096


def test_no_call_is_many_times_longer_than_the_others_at_the_end() -> None:
    data = noise(40_000)
    sink, seconds = UrSink(limit=LIMIT), []
    for text in standard(data, 200, 201):
        start = time.thread_time()
        payload = sink.take(text)
        seconds.append(time.thread_time() - start)
        if payload:
            break
    # The reference reduces everything when the last part comes: hundreds of times the median.
    assert sorted(seconds)[-2] < 60 * sorted(seconds)[len(seconds) // 2]


def test_rows_stay_reduced() -> None:
    rng = random.Random(6)
    fragments = [rng.randbytes(4) for _ in range(30)]
    solver = Solver(30, 4)
    while solver.rank < 30:
        mixed = rng.sample(range(30), rng.randrange(1, 12))
        total = 0
        for at in mixed:
            total ^= int.from_bytes(fragments[at], "big")
        solver.add(mixed, total.to_bytes(4, "big"))
    assert solver.message() == b"".join(fragments)
