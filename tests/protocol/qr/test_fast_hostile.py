"""The reader of the fast format against whoever holds a code in front of the camera."""

from __future__ import annotations

import random
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from hashlib import sha256

import pytest

from protocol.qr.fast_examples import LIMIT, MESSAGE, SESSION, rewritten, texts
from undercroft_protocol.errors import QrMessageError, QrSymbolError
from undercroft_protocol.fields import MAX_MESSAGE_BYTES
from undercroft_protocol.qr.fast import FastSink, FastSource, fast_session
from undercroft_protocol.qr.fast.digits import from_digits, to_digits
from undercroft_protocol.qr.fast.sink import MOST_MEMORY_BYTES
from undercroft_protocol.qr.fast.symbol import MAX_COUNT, SEQUENCES, payload_bytes, read_symbol, write_symbol
from undercroft_protocol.qr.stream import Gathered

COUNT = 12


def _message(sink: FastSink, several: list[str]) -> bytes:
    found = [payload.data for payload in map(sink.take, several) if payload is not None]
    assert len(found) == 1
    return found[0]


def test_attack_every_changed_bit_of_a_symbol_is_refused() -> None:
    sink = FastSink(limit=LIMIT)
    several = texts(MESSAGE[:60], count=1)
    data = from_digits(several[0])
    for bit in range(8 * len(data)):
        changed = (int.from_bytes(data) ^ 1 << bit).to_bytes(len(data))
        with pytest.raises(QrSymbolError, match="checksum"):
            sink.take(to_digits(changed))
    assert sink.gathered == Gathered(0, 0)
    assert _message(sink, several) == MESSAGE[:60]


def test_attack_every_cut_or_lengthened_symbol_is_refused() -> None:
    text = texts(MESSAGE[:60], count=1)[0]
    sink = FastSink(limit=LIMIT)
    for wrong in [text[:cut] for cut in range(len(text))] + [
        text + "0",
        "0" + text,
        text + text,
        text + "\n",
        " " + text,
    ]:
        with pytest.raises(QrSymbolError):
            sink.take(wrong)
        with pytest.raises(QrSymbolError):
            fast_session(wrong)


def test_attack_a_symbol_without_a_payload_is_refused() -> None:
    for take in (FastSink(limit=LIMIT).take, fast_session):
        with pytest.raises(QrSymbolError, match="too few"):
            take(write_symbol(SESSION, 1, 0, b""))


def test_attack_a_byte_more_than_the_longest_message_needs_is_refused_at_the_first_symbol() -> None:
    # A parcel around 100 bytes has 136 at most, so that the first of two rows has 135.
    sink = FastSink(limit=100)
    with pytest.raises(QrSymbolError, match="more than 100 bytes"):
        sink.take(write_symbol(SESSION, 2, 0, bytes(136)))
    assert sink.take(write_symbol(SESSION, 2, 0, bytes(135))) is None
    assert sink.gathered == Gathered(1, 2, 270)


@pytest.mark.parametrize(
    "other",
    [
        {"session": b"\x11\x22\x33\x45"},
        {"count": COUNT + 1},
        {"count": COUNT - 1},
        {"payload": MESSAGE[:252]},
        {"payload": MESSAGE[:254]},
        {"sequence": 3, "payload": MESSAGE[:253]},
    ],
    ids=["session", "more", "fewer", "shorter", "longer", "same number"],
)
def test_attack_another_announcement_is_refused_and_spoils_nothing(other: dict[str, bytes | int]) -> None:
    sink = FastSink(limit=LIMIT)
    several = texts(count=COUNT)
    for text in several[:6]:
        sink.take(text)
    before = sink.gathered
    with pytest.raises(QrSymbolError):
        sink.take(rewritten(several[7], **other))  # type: ignore[arg-type]
    assert sink.gathered == before
    assert _message(sink, several[6:]) == MESSAGE


def test_attack_mixed_sessions_stay_apart() -> None:
    sink = FastSink(limit=LIMIT)
    ours, theirs = texts(count=COUNT), texts(MESSAGE[::-1], count=COUNT, session=b"abcd")
    refused = 0
    found = []
    for one, other in zip(ours, theirs, strict=True):
        found += [payload.data for payload in [sink.take(one)] if payload is not None]
        with pytest.raises(QrSymbolError, match="another message"):
            sink.take(other)
        refused += 1
    assert (found, refused) == ([MESSAGE], COUNT)


def test_attack_a_message_longer_than_the_limit_is_refused_at_its_first_symbol() -> None:
    for limit in (0, 100, 2700):
        sink = FastSink(limit=limit)
        for text in texts(count=30):
            with pytest.raises(QrSymbolError, match=f"more than {limit} bytes"):
                sink.take(text)
        assert sink.gathered == Gathered(0, 0)
    assert _message(FastSink(limit=len(MESSAGE)), texts(count=COUNT)) == MESSAGE


def test_attack_the_most_that_can_be_announced_takes_no_memory_before_its_limit_is_checked() -> None:
    text = write_symbol(SESSION, MAX_COUNT, SEQUENCES - 1, bytes(payload_bytes(40)))
    sink = FastSink(limit=MAX_MESSAGE_BYTES)
    tracemalloc.start()
    with pytest.raises(QrSymbolError, match="more than"):
        sink.take(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_a_million_symbols_cannot_be_announced() -> None:
    with pytest.raises(OverflowError):
        write_symbol(SESSION, 1_000_000, 0, b"u")
    assert read_symbol(write_symbol(SESSION, MAX_COUNT, SEQUENCES - 1, b"u")).count == MAX_COUNT


@pytest.mark.parametrize("skip", [0, 6, 100])
@pytest.mark.parametrize("at", [0, 5, 11])
def test_attack_false_content_under_a_right_checksum_is_found_at_the_end(at: int, skip: int) -> None:
    several = texts(count=COUNT, skip=skip)
    payload = bytearray(read_symbol(several[at]).payload)
    payload[100] ^= 1
    several[at] = rewritten(several[at], payload=bytes(payload))
    sink = FastSink(limit=LIMIT)
    for text in several[:-1]:
        assert sink.take(text) is None
    with pytest.raises(QrMessageError):
        sink.take(several[-1])
    with pytest.raises(QrMessageError):
        sink.take(texts(count=1, skip=50)[0])
    assert _message(FastSink(limit=LIMIT), texts(count=COUNT, skip=skip)) == MESSAGE


def _parcel(body: bytes, *, length: int | None = None, digest: bytes | None = None) -> bytes:
    head = (len(body) if length is None else length).to_bytes(3)
    return head + (digest or sha256(MESSAGE[:50]).digest()) + body


def _cut(parcel: bytes, count: int, size: int = 0) -> list[str]:
    size = size or -(-len(parcel) // count)
    rows = (parcel[at * size : (at + 1) * size].ljust(size, b"\0") for at in range(count))
    return [write_symbol(SESSION, count, at, row) for at, row in enumerate(rows)]


def _taken(parcel: bytes, *, count: int = 1, size: int = 0) -> bytes:
    return _message(FastSink(limit=LIMIT), _cut(parcel, count, size))


def test_a_parcel_written_by_hand_is_read() -> None:
    body = b"\0" + MESSAGE[:50]
    assert _taken(_parcel(body)) == MESSAGE[:50]
    assert _taken(_parcel(body), count=3) == MESSAGE[:50]


def test_attack_a_parcel_that_is_not_as_a_sender_writes_it_is_refused() -> None:
    body = b"\0" + MESSAGE[:50]
    wrong: dict[str, Callable[[], bytes]] = {
        "zero behind": lambda: _taken(_parcel(body) + b"\0"),
        "a zero more in each row": lambda: _taken(_parcel(body), count=3, size=30),
        "a row more": lambda: _taken(_parcel(body), count=87, size=1),
        "something in the padding": lambda: _taken(_parcel(body) + b"\x01", count=3),
        "shorter": lambda: _taken(_parcel(body, length=50)),
        "longer": lambda: _taken(_parcel(body, length=52)),
        "far longer": lambda: _taken(_parcel(body, length=0xFFFFFF)),
        "nothing": lambda: _taken(_parcel(b"")),
        "less than a head": lambda: _taken(b"\0"),
        "another hash": lambda: _taken(_parcel(body, digest=bytes(32))),
        "another method": lambda: _taken(_parcel(b"\x07" + body[1:])),
    }
    for name, take in wrong.items():
        with pytest.raises(QrMessageError):
            pytest.fail(f"{name}: read as {take()!r}")


def test_attack_a_bomb_is_refused_after_the_limit() -> None:
    deflate = zlib.compressobj(9, wbits=-15)
    bomb = b"\x01" + deflate.compress(bytes(50_000_000)) + deflate.flush()
    several = _cut(_parcel(bomb), 40)
    sink = FastSink(limit=100_000)
    for text in several[:-1]:
        sink.take(text)
    tracemalloc.start()
    with pytest.raises(QrMessageError, match="more than 100000 bytes"):
        sink.take(several[-1])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_attack_a_flood_of_symbols_takes_no_more_memory_than_the_message() -> None:
    sink = FastSink(limit=2000)
    rng = random.Random(9)
    tracemalloc.start()
    for at in range(3000):
        # One row is never sent, nor any sum with it: a sender who means never to end.
        sequence, payload = (at % 99, rng.randbytes(20)) if at < 99 else (rng.randrange(99), rng.randbytes(20))
        text = write_symbol(SESSION, 100, sequence, payload)
        try:
            sink.take(text)
        except QrSymbolError:
            continue
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sink.gathered.have == 99
    assert peak < 200_000


def _held(sink: FastSink) -> int:
    return sum(sys.getsizeof(row) for row in sink._elimination._rows.values())


@pytest.mark.slow
def test_attack_the_longest_message_in_its_worst_order_stays_within_the_stated_memory() -> None:
    message = random.Random(2).randbytes(MAX_MESSAGE_BYTES)
    source = FastSource(message, version=23, session=SESSION)
    count = source.count
    assert count > MAX_COUNT * 0.9
    plain = [source.next_symbol() for _ in range(count)]
    sink = FastSink(limit=MAX_MESSAGE_BYTES)
    # Half of the rows in sums, whose coefficients take most then; tracing every step of it would take minutes.
    for _ in range(count // 2):
        assert sink.take(source.next_symbol()) is None
    worst = _held(sink)
    assert worst > count // 2 * (count // 2)
    rest = plain[: count - count // 2]
    for text in rest[:-1]:
        assert sink.take(text) is None
    held = _held(sink)
    tracemalloc.start()
    payload = sink.take(rest[-1])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert payload is not None and payload.data == message
    assert max(worst, held + peak) < MOST_MEMORY_BYTES
    assert held + peak > MOST_MEMORY_BYTES // 4
