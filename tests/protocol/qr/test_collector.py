"""The collector with senders who mean well: every format, mixed, repeated, shown again."""

from __future__ import annotations

import base64
from itertools import chain, zip_longest

import pytest

from protocol.qr.bbqr_examples import noise, psbt
from protocol.qr.collector_support import LIMIT, Pmofn, bbqr, fast, given, shown, source, ur
from undercroft_protocol.qr.collector import Collector, Counts
from undercroft_protocol.qr.disputes import DISPUTED_SHOWINGS
from undercroft_protocol.qr.stream import Format, Gathered, Kind, Payload

SEVERAL = [Format.FAST, Format.UR, Format.BBQR, Format.PMOFN]


def kind_of(format_: Format) -> Kind:
    return Kind.MESSAGE if format_ is Format.FAST else Kind.PSBT


@pytest.mark.parametrize("format_", SEVERAL)
def test_a_payload_is_given_once_however_long_it_is_shown(format_: Format) -> None:
    collector = Collector(limit=LIMIT)
    assert given(collector, shown(source(format_, psbt(1500)), rounds=10)) == [
        Payload(format_, kind_of(format_), psbt(1500))
    ]
    assert collector.last_problem is None and collector.counts.refused == 0


@pytest.mark.parametrize("format_", SEVERAL)
def test_a_payload_in_a_single_code_is_given_once(format_: Format) -> None:
    collector = Collector(limit=LIMIT)
    one = source(format_, psbt(40))
    assert one.count == 1
    assert [found.data for found in given(collector, shown(one, rounds=20))] == [psbt(40)]


def test_a_plain_psbt_is_given_once() -> None:
    collector = Collector(limit=LIMIT)
    assert given(collector, [base64.b64encode(psbt(200)).decode()] * 20) == [
        Payload(Format.PLAIN, Kind.PSBT, psbt(200))
    ]


def test_the_same_code_fifteen_times_a_second_costs_one() -> None:
    collector = Collector(limit=LIMIT)
    for text in shown(bbqr(psbt(1500))):
        given(collector, [text] * 15)
    counts = collector.counts
    assert counts.symbols - counts.repeats == bbqr(psbt(1500)).count


def test_four_formats_mixed_code_by_code_all_arrive() -> None:
    collector = Collector(limit=LIMIT)
    streams = [list(shown(source(one, psbt(1500, seed=at)), rounds=2)) for at, one in enumerate(SEVERAL)]
    mixed = [text for row in zip_longest(*streams) for text in row if text is not None]
    found = given(collector, mixed)
    assert {one.format: one.data for one in found} == {one: psbt(1500, seed=at) for at, one in enumerate(SEVERAL)}
    assert collector.counts.streams_dropped == 0


def test_two_fast_sessions_mixed_both_arrive() -> None:
    collector = Collector(limit=LIMIT)
    both = zip(shown(fast(noise(3000, 1), 1), rounds=2), shown(fast(noise(3000, 2), 2), rounds=2), strict=True)
    assert sorted(one.data for one in given(collector, chain.from_iterable(both))) == sorted(
        (noise(3000, 1), noise(3000, 2))
    )


def test_the_same_message_in_a_new_fast_session_is_given_again() -> None:
    collector = Collector(limit=LIMIT)
    for number in range(1, 4):
        assert len(given(collector, shown(fast(noise(500), number), rounds=3))) == 1


@pytest.mark.parametrize("format_", [Format.UR, Format.BBQR, Format.PMOFN])
def test_the_same_psbt_is_given_again_after_forget(format_: Format) -> None:
    collector = Collector(limit=LIMIT)
    assert len(given(collector, shown(source(format_, psbt(900)), rounds=3))) == 1
    collector.forget()
    assert len(given(collector, shown(source(format_, psbt(900)), rounds=3))) == 1


def test_a_fast_message_is_not_given_again_after_forget() -> None:
    collector = Collector(limit=LIMIT)
    assert len(given(collector, shown(fast(noise(900))))) == 1
    collector.forget()
    assert given(collector, shown(fast(noise(900)), rounds=3)) == []


def test_after_forget_a_bad_code_is_reported_again() -> None:
    collector = Collector(limit=LIMIT)
    for _ in range(2):
        collector.take("B$2P0000AA")
        assert collector.last_problem is not None
        collector.forget()
        assert collector.last_problem is None


def test_forget_drops_what_is_half_read() -> None:
    collector = Collector(limit=LIMIT)
    texts = list(shown(bbqr(psbt(900))))
    given(collector, texts[:-1])
    collector.forget()
    assert collector.gathered == Gathered(0, 0)
    assert given(collector, texts[-1:]) == []
    assert len(given(collector, texts[:-1])) == 1


@pytest.mark.parametrize("format_", [Format.UR, Format.BBQR, Format.PMOFN])
def test_the_same_psbt_is_given_again_when_other_codes_were_shown_for_a_while(format_: Format) -> None:
    collector = Collector(limit=LIMIT)
    assert len(given(collector, shown(source(format_, psbt(900)), rounds=3))) == 1
    assert len(given(collector, shown(fast(noise(5000)), rounds=10))) == 1
    assert len(given(collector, shown(source(format_, psbt(900)), rounds=3))) == 1


def test_two_psbts_side_by_side_are_given_once_each() -> None:
    collector = Collector(limit=LIMIT)
    texts = [base64.b64encode(psbt(100, seed)).decode() for seed in (1, 2)]
    assert len(given(collector, texts * 100)) == 2


@pytest.mark.parametrize("format_", [Format.BBQR, Format.PMOFN])
def test_what_is_left_of_another_psbt_with_the_same_header_does_not_keep_out_the_next(format_: Format) -> None:
    collector = Collector(limit=LIMIT)
    given(collector, list(shown(source(format_, psbt(1500, seed=1))))[:-3])
    # What is left ends at the first contradiction; from then on the next is read until it is sure to be one alone.
    found = given(collector, shown(source(format_, psbt(1500, seed=2)), rounds=1 + DISPUTED_SHOWINGS))
    assert [one.data for one in found] == [psbt(1500, seed=2)]
    assert collector.last_problem is not None


def test_two_psbts_with_one_header_at_the_same_time_are_never_mixed() -> None:
    collector = Collector(limit=LIMIT)
    both = zip(shown(bbqr(psbt(1500, 1)), rounds=4), shown(bbqr(psbt(1500, 2)), rounds=4), strict=True)
    assert given(collector, chain.from_iterable(both)) == []
    assert collector.last_problem is not None
    alone = shown(bbqr(psbt(1500, 2)), rounds=1 + DISPUTED_SHOWINGS)
    assert [one.data for one in given(collector, alone)] == [psbt(1500, 2)]


def test_a_second_psbt_with_the_same_header_follows_the_first() -> None:
    collector = Collector(limit=LIMIT)
    for seed in (1, 2, 3):
        found = given(collector, shown(bbqr(psbt(1500, seed)), rounds=3))
        assert [one.data for one in found] == [psbt(1500, seed)]


def test_what_is_gathered_is_told() -> None:
    collector = Collector(limit=LIMIT)
    assert collector.gathered == Gathered(0, 0)
    one = bbqr(psbt(900))
    texts = list(shown(one))
    given(collector, texts[:3])
    assert collector.gathered == Gathered(3, one.count)
    given(collector, texts[3:])
    assert collector.gathered == Gathered(one.count, one.count, 900)


def test_foreign_codes_are_counted_once_and_the_reason_is_kept() -> None:
    collector = Collector(limit=LIMIT)
    foreign = ["https://example.com/", "bitcoin:bc1qxyz", "WIFI:T:WPA;S:x;P:y;;", "4006381333931", "é", ""]
    mixed = [text for one in shown(ur(psbt(900)), rounds=2) for text in (one, *foreign)]
    assert [one.data for one in given(collector, mixed)] == [psbt(900)]
    assert collector.counts.refused == len(foreign)
    assert collector.last_problem is not None and collector.last_problem.code == "qr-symbol"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("B$2P0000AA", "total 0"),
        ("B$2X0100AA", "executable"),
        ("UR:CRYPTO-SEED/OEADGDSTASLT", ""),
        ("p3of2 cHNidP8=", "part 3 of 2"),
        ("12345678901234567890", ""),
        ("HELLO", "no PSBT"),
        ("A" * 7090, "longer"),
    ],
)
def test_a_bad_code_is_reported_in_the_words_of_its_format(text: str, reason: str) -> None:
    collector = Collector(limit=LIMIT)
    assert collector.take(text) is None
    assert collector.last_problem is not None and reason in collector.last_problem.detail
    assert collector.counts == Counts(1, 0, 1, 0)


def test_a_new_pmofn_with_the_same_number_of_parts_is_read_after_the_first() -> None:
    collector = Collector(limit=LIMIT)
    first, second = Pmofn(psbt(400, 1)), Pmofn(psbt(400, 2))
    assert [one.data for one in given(collector, [*first.texts, *first.texts, *second.texts, *second.texts])] == [
        psbt(400, 1),
        psbt(400, 2),
    ]
