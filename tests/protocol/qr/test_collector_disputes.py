"""Two payloads with one header: what is given is one of them, never a mixture, and the report says what to do."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from itertools import chain, cycle, islice

import pytest

from protocol.qr.bbqr_examples import noise
from protocol.qr.collector_support import LIMIT, Pmofn, bbqr, fast, given, shown, strangers
from undercroft_protocol.errors import QrMessageError
from undercroft_protocol.qr.bbqr import Encoding, Header
from undercroft_protocol.qr.collector import Collector
from undercroft_protocol.qr.disputes import AWAY, DISPUTED_SHOWINGS, STANDING, crowded
from undercroft_protocol.qr.scanner import Seen

MARK = b"psbt\xff"


def parts(seed: int, number: int, shared: int = 0) -> tuple[bytes, list[str]]:
    """A payload of so many parts and its codes; the first ``shared`` parts are those of every other seed."""
    pieces = [noise(30, 0 if at < shared else seed * 100 + at) for at in range(number)]
    codes = [Header(Encoding.HEX, "B", number, at).text() + piece.hex().upper() for at, piece in enumerate(pieces)]
    return b"".join(pieces), codes


class Screen:
    """Shows codes in turn, each in so many pictures; a code is lost whole, and a picture of it by itself."""

    def __init__(self, codes: list[str], rng: random.Random, *, loss: float, blur: float) -> None:
        self._codes, self._rng, self._loss, self._blur = codes, rng, loss, blur
        self._pictures = rng.choice((1.0, 2.5, 6.0, 15.0))
        self._phase = rng.uniform(0, self._pictures * len(codes))
        self._shown, self._lost = -1, False

    def seen(self, picture: int) -> list[str]:
        shown_now = int((picture + self._phase) / self._pictures)
        if shown_now != self._shown:
            self._shown, self._lost = shown_now, self._rng.random() < self._loss
        if self._lost or self._rng.random() < self._blur:
            return []
        return [self._codes[shown_now % len(self._codes)]]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("number", "shared"), [(2, 0), (3, 0), (6, 4), (13, 0)])
def test_attack_two_senders_in_sight_are_never_mixed_once_seen_and_the_one_left_arrives(
    seed: int, number: int, shared: int
) -> None:
    rng = random.Random(1000 * number + seed)
    (first, first_codes), (second, second_codes) = parts(1, number, shared), parts(2, number, shared)
    loss, blur = rng.choice([(0.0, 0.0), (0.3, 0.1), (0.5, 0.0), (0.5, 0.3)])
    screens = [Screen(codes, rng, loss=loss, blur=blur) for codes in (first_codes, second_codes)]
    other = fast(noise(2000, 5), 5)
    collector = Collector(limit=LIMIT)
    arrived: list[bytes] = []
    # The first contradiction, or the simulation says nothing.
    given(collector, [first_codes[-1], second_codes[-1]])
    assert collector.disputed
    for picture in range(1500):
        codes = [*screens[0].seen(picture), *screens[1].seen(picture)]
        if picture % 5 == 0:
            codes.append(other.next_symbol())
        rng.shuffle(codes)
        arrived += [one.data for one in collector.take_picture(codes)]
    assert set(arrived) <= {first, second, noise(2000, 5)}
    assert arrived.count(noise(2000, 5)) == 1
    # The second one is taken away. What it left ends once each code of the first was seen. Then each counts at the
    # latest when so many codes were seen since it counted last.
    known: set[str] = set()
    tally = dict.fromkeys(first_codes, 0)
    counted = dict.fromkeys(first_codes, 0)
    now = 0
    alone: list[bytes] = []
    for picture in range(1500, 60_000):
        codes = screens[0].seen(picture)
        alone += [one.data for one in collector.take_picture(codes)]
        if first in alone or min(tally.values()) >= DISPUTED_SHOWINGS:
            break
        for code in codes:
            now += 1
            if known >= tally.keys() and now - counted[code] > STANDING:
                tally[code], counted[code] = tally[code] + 1, now
            known.add(code)
    # It may have been given while the other one was lost for long, and stays in sight.
    assert alone == [first] or (not alone and first in arrived)


def test_a_sender_alone_is_given_after_so_many_rounds_and_no_sooner() -> None:
    (_, first), (data, second) = parts(1, AWAY + 1), parts(2, AWAY + 1)
    collector = Collector(limit=LIMIT)
    # The contradicting code itself is read again in the next round.
    assert given(collector, [first[0], second[0], *second * (DISPUTED_SHOWINGS - 1)]) == []
    assert [one.data for one in given(collector, second)] == [data]


@pytest.mark.parametrize("pictures", [1, 3, 15])
def test_a_sender_of_two_codes_alone_is_given_in_the_end(pictures: int) -> None:
    (_, first), (data, second) = parts(1, 2), parts(2, 2)
    collector = Collector(limit=LIMIT)
    given(collector, [first[0], second[0]])
    stream = [code for code in second for _ in range(pictures)] * (2 + DISPUTED_SHOWINGS * STANDING // (2 * pictures))
    assert [one.data for one in given(collector, stream)] == [data]


def test_the_report_says_what_to_do_and_how_far_it_is() -> None:
    (_, first), (_, second) = parts(1, 10), parts(2, 10)
    collector = Collector(limit=LIMIT)
    given(collector, [first[0], second[0], *second[1:4]])
    assert isinstance(collector.last_problem, QrMessageError)
    assert "show one message alone" in collector.last_problem.detail
    seen = Seen(1, 5, collector.gathered, 0.0, collector.last_problem, collector.disputed)
    assert seen.missing == "3 of 80 codes; parts of two messages were seen: show one alone"


@pytest.mark.parametrize("ended", ["forget", "out of sight"])
def test_a_dispute_ends(ended: str) -> None:
    (_, first), (data, second) = parts(1, 10), parts(2, 10)
    collector = Collector(limit=LIMIT)
    given(collector, [*first[:5], *second[:5]])
    assert collector.disputed
    if ended == "forget":
        collector.forget()
        assert not collector.disputed
    else:
        given(collector, strangers(65))
    assert [one.data for one in given(collector, second)] == [data]
    assert not collector.disputed


def test_attack_a_stranger_between_two_senders_does_not_end_their_dispute() -> None:
    (first, first_codes), (second, second_codes) = parts(1, 2), parts(2, 2)
    rng = random.Random(3)
    collector = Collector(limit=LIMIT)
    given(collector, [first_codes[0], second_codes[0]])
    flood = cycle(list(strangers(90)))
    for _ in range(600):
        texts = [rng.choice(first_codes + second_codes), *islice(flood, 30)]
        assert {one.data for one in given(collector, texts)} <= {first, second}


def test_attack_parts_of_two_sizes_are_a_dispute() -> None:
    collector = Collector(limit=LIMIT)
    given(collector, ["B$HB0300" + "AB" * 8, "B$HB0301" + "AB" * 9])
    assert collector.disputed and "show one message alone" in str(collector.last_problem)


def test_attack_a_code_that_is_bad_by_itself_is_no_dispute() -> None:
    data, codes = parts(1, 4)
    collector = Collector(limit=LIMIT)
    found = given(collector, [codes[0], codes[1][:-1], codes[1][:8] + "xy", *codes[1:]])
    assert [one.data for one in found] == [data] and not collector.disputed


@pytest.mark.parametrize("taken", [0, 1])
def test_attack_two_senders_in_one_picture_are_not_mixed_at_first_sight(taken: int) -> None:
    (first, first_codes), (second, second_codes) = parts(1, 2), parts(2, 2)
    collector = Collector(limit=LIMIT)
    pictures = [[first_codes[at % 2], second_codes[1 - at % 2]] for at in (0, 0, 0, 1, 1, 1, 0, 0, 0)]
    found = list(chain.from_iterable(collector.take_picture(one[::-1] if taken else one) for one in pictures))
    assert found == [] and collector.disputed
    assert first != second


def test_several_codes_of_one_sender_in_a_picture_are_given() -> None:
    data, codes = parts(1, 8)
    collector = Collector(limit=LIMIT)
    pictures = [codes[at : at + 2] for at in (0, 2, 4, 6) for _ in range(3)]
    assert list(chain.from_iterable(map(collector.take_picture, pictures))) == []
    assert [one.data for one in chain.from_iterable(map(collector.take_picture, pictures))] == [data]


def test_only_codes_without_a_session_crowd_a_picture() -> None:
    _, codes = parts(1, 3)
    pmofn = Pmofn(MARK + noise(200))
    texts = [*islice(shown(fast(noise(900))), 2), codes[0], codes[0], pmofn.texts[0], "B$", "pick me"]
    assert crowded(texts, limit=LIMIT) == set()
    assert len(crowded([*texts, codes[1], pmofn.texts[1]], limit=LIMIT)) == 2


def test_attack_a_payload_given_before_that_stays_in_sight_is_not_mixed_into_the_next() -> None:
    (first, first_codes), (_, second_codes) = parts(1, 2), parts(2, 2)
    collector = Collector(limit=LIMIT)
    assert [one.data for one in given(collector, first_codes)] == [first]
    assert given(collector, [second_codes[0], first_codes[1], second_codes[0], first_codes[1]]) == []
    assert given(collector, [first_codes[0]]) == [] and collector.disputed


def test_attack_many_disputes_take_bounded_memory() -> None:
    def contradictions() -> Iterator[str]:
        for total in range(2, 1290):
            for body in ("AB", "CD"):
                yield Header(Encoding.HEX, "B", total, 0).text() + body

    collector = Collector(limit=LIMIT)
    tracemalloc.start()
    try:
        given(collector, contradictions())
        assert tracemalloc.get_traced_memory()[0] < 1_500_000
    finally:
        tracemalloc.stop()
    assert [one.data for one in given(collector, shown(bbqr(MARK + noise(900)), rounds=2))] == [MARK + noise(900)]


def test_attack_what_is_doubted_is_not_inflated_before_it_is_sure() -> None:
    bomb = list(shown(bbqr(bytes(90_000), encoding="Z", characters=64)))
    assert len(bomb) > 1
    collector = Collector(limit=LIMIT)
    tracemalloc.start()
    try:
        assert collector.take_picture(bomb) == []
        assert tracemalloc.get_traced_memory()[1] < 60_000
    finally:
        tracemalloc.stop()
