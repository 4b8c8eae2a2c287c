"""The collector with senders who mean harm: floods, lies about sizes, poison. The message arrives."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from itertools import cycle, islice, product

import pytest

from protocol.qr.bbqr_examples import noise, psbt
from protocol.qr.collector_support import LIMIT, bbqr, fast, given, shown, source, strangers, ur
from undercroft_protocol.errors import QrMessageError
from undercroft_protocol.qr.bbqr import Encoding, Header
from undercroft_protocol.qr.collector import MAX_STREAMS, MEMORY_FACTOR, Collector
from undercroft_protocol.qr.disputes import DISPUTED_SHOWINGS
from undercroft_protocol.qr.stream import Format, SymbolSource

SEVERAL = [Format.FAST, Format.UR, Format.BBQR, Format.PMOFN]


def rounds_until_given(
    collector: Collector, message: SymbolSource, flood: Iterator[str], each: int, most_rounds: int
) -> int | None:
    """How many rounds of a message it takes while ``each`` codes of a flood come between any two of it."""
    for number in range(1, most_rounds + 1):
        for text in shown(message):
            if collector.take(text) is not None:
                return number
            given(collector, islice(flood, each))
    return None


@pytest.mark.parametrize("format_", SEVERAL)
@pytest.mark.parametrize("each", [1, 20])
def test_attack_a_flood_of_new_senders_does_not_keep_out_a_message(format_: Format, each: int) -> None:
    collector = Collector(limit=LIMIT)
    flood = strangers(10_000)
    given(collector, islice(flood, 50))
    # One more round than without the flood: the first code is lost before there is room.
    assert rounds_until_given(collector, source(format_, psbt(1500)), flood, each, 2) is not None


@pytest.mark.parametrize("format_", SEVERAL)
@pytest.mark.parametrize("codes_each", [3, 10])
def test_attack_a_flood_of_senders_with_several_codes_each_does_not_keep_out_a_message(
    format_: Format, codes_each: int
) -> None:
    collector = Collector(limit=LIMIT)
    flood = strangers(10_000, codes_each)
    given(collector, islice(flood, 50))
    # It gets room once more of its codes were seen than any stranger has.
    assert rounds_until_given(collector, source(format_, psbt(1500)), flood, 50, 6) is not None


def test_attack_codes_that_stay_in_sight_and_bring_nothing_do_not_keep_out_a_message() -> None:
    collector = Collector(limit=LIMIT)
    static = list(strangers(40))
    given(collector, static)
    assert rounds_until_given(collector, source(Format.FAST, psbt(1500)), cycle(static), 40, 2) is not None


def test_attack_a_message_that_has_begun_is_not_pushed_out() -> None:
    collector = Collector(limit=LIMIT)
    message = fast(noise(3000))
    texts = list(shown(message))
    given(collector, texts[:-1])
    given(collector, strangers(400))
    assert [one.data for one in given(collector, texts[-1:])] == [noise(3000)]


def test_four_messages_given_up_half_way_do_not_keep_out_the_next() -> None:
    collector = Collector(limit=LIMIT)
    for number in range(1, 5):
        given(collector, list(shown(fast(noise(6000, number), number)))[:20])
    found = given(collector, shown(fast(noise(6000, 9), 9), rounds=3))
    assert [one.data for one in found] == [noise(6000, 9)]


def test_attack_a_flood_of_repeated_and_foreign_codes_takes_no_room() -> None:
    collector = Collector(limit=LIMIT)
    message = list(shown(ur(psbt(2000))))
    given(collector, message[:-1])
    given(collector, (f"https://example.com/{at}" for at in range(5000)))
    assert collector.counts.refused == 5000 and collector.counts.streams_dropped == 0
    assert [one.data for one in given(collector, message)] == [psbt(2000)]


def test_attack_a_flood_takes_bounded_memory() -> None:
    collector = Collector(limit=LIMIT)
    full = list(strangers(60, codes_each=2))
    # More names than are remembered as waiting, more codes than are remembered at all.
    names = [
        Header(encoding, file_type, total, 0).text() + "AAAAAAAA"
        for encoding, file_type in product((Encoding.BASE32, Encoding.ZLIB), "PB")
        for total in range(2, 1290)
    ]
    tracemalloc.start()
    try:
        given(collector, full)
        given(collector, names)
        given(collector, (f"foreign {at}" for at in range(2500)))
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(names) > 4096
    assert now < 3_000_000 and peak < 4_000_000


def test_attack_long_messages_that_are_never_finished_share_one_bound() -> None:
    limit = 200_000
    collector = Collector(limit=limit)
    tracemalloc.start()
    try:
        for number in range(1, 7):
            message = fast(noise(190_000, number), number, version=40)
            for _ in range(message.count - 1):
                collector.take(message.next_symbol())
        # Codes twice as long as their bytes, and what a sink keeps beside them.
        assert tracemalloc.get_traced_memory()[0] < 2 * MEMORY_FACTOR * limit + 1_000_000
    finally:
        tracemalloc.stop()
    assert collector.counts.streams_dropped >= 6 - MAX_STREAMS


def test_a_message_of_just_the_limit_is_held_and_given() -> None:
    collector = Collector(limit=50_000)
    assert [one.data for one in given(collector, shown(fast(noise(50_000), version=30), rounds=1))] == [noise(50_000)]
    assert [len(one.data) for one in given(collector, shown(bbqr(psbt(50_000), 1990, "H"), rounds=1))] == [50_000]
    assert [len(one.data) for one in given(collector, shown(ur(psbt(50_000), 400), rounds=1))] == [50_000]


@pytest.mark.parametrize("format_", SEVERAL)
def test_attack_a_longer_message_than_the_limit_is_refused(format_: Format) -> None:
    collector = Collector(limit=1000)
    assert (
        given(collector, shown(source(format_, noise(3000) if format_ is Format.FAST else psbt(3000)), rounds=2)) == []
    )
    said = str(collector.last_problem)
    assert "more than 1000 bytes" in said or "1000 is the most" in said


def test_attack_parts_that_inflate_to_nonsense_are_dropped_and_the_good_ones_still_make_it() -> None:
    collector = Collector(limit=LIMIT)
    texts = list(shown(bbqr(psbt(3000), encoding="Z")))
    poison = texts[0][:8] + "A" * len(texts[0][8:])
    assert given(collector, [poison, *texts[1:]]) == []
    assert isinstance(collector.last_problem, QrMessageError)
    assert [one.data for one in given(collector, texts)] == [psbt(3000)]


def test_attack_a_code_of_the_same_session_cut_in_another_way_does_not_spoil_the_message() -> None:
    collector = Collector(limit=LIMIT)
    liar = fast(noise(9000, 5), 1, version=12)
    collector.take(liar.next_symbol())
    assert [one.data for one in given(collector, shown(fast(noise(3000), 1), rounds=2))] == [noise(3000)]


@pytest.mark.parametrize("seed", range(3))
def test_attack_mutated_codes_never_raise_and_never_give_another_message(seed: int) -> None:
    rng = random.Random(seed)
    collector = Collector(limit=LIMIT)
    goods = {one: psbt(1200, seed=at) for at, one in enumerate(SEVERAL)}
    # BBQr and pMofN have no checksum: a changed character is another message to any reader.
    checked: list[SymbolSource] = [fast(goods[Format.FAST], 7), ur(goods[Format.UR])]
    for _ in range(1500):
        text = rng.choice(checked).next_symbol()
        at = rng.randrange(len(text))
        collector.take(text[:at] + rng.choice("0123456789ABZ$/-é\0") + text[at + 1 :])
        collector.take(text[: rng.randrange(len(text))])
    found = [payload for one in checked for payload in given(collector, shown(one, rounds=3))]
    assert {one.data for one in found} <= set(goods.values())


@pytest.mark.parametrize(
    "text", ["\ud800", "\0", "B$", "ur:", "UR:/", "p1of1 ", "0" * 7089, "B$2P0100", "ur:" + "/" * 5000]
)
def test_attack_odd_texts_never_raise(text: str) -> None:
    collector = Collector(limit=LIMIT)
    assert collector.take(text) is None
    assert collector.counts.refused == 1


@pytest.mark.parametrize("format_", [Format.BBQR, Format.PMOFN])
@pytest.mark.parametrize("at", [0, 5])
def test_attack_a_part_with_two_contents_is_never_in_a_payload(format_: Format, at: int) -> None:
    good = list(shown(source(format_, psbt(1500))))
    other = list(shown(source(format_, psbt(1500, seed=5))))[at]
    for before in range(len(good) + 1):
        collector = Collector(limit=LIMIT)
        # The bad one before the good one is indistinguishable from it as long as the good one was not shown.
        texts = [good[at], *good[:before], other, *good[before:], *good * DISPUTED_SHOWINGS]
        assert [one.data for one in given(collector, texts)] == [psbt(1500)]
