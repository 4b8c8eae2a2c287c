"""How long an appliance signed a batch, by looks at its line now and then."""

from __future__ import annotations

import pytest

from undercroft_demo.image_test.exchange import Exchange
from undercroft_demo.image_test.power_cut import Batch, Stopwatch
from undercroft_demo.story import StoryError

STATUS, BATCH, LOG = (1, 212), (2, 27_643), (3, 212)


def at_work(asked: tuple[int, int]) -> Exchange:
    return Exchange(asked, is_delivered=True, replies=asked[0] - 1, is_amid_frame=False)


def answered(asked: tuple[int, int]) -> Exchange:
    return Exchange(asked, is_delivered=True, replies=asked[0], is_amid_frame=False)


def timed(*looks: Exchange) -> Stopwatch:
    stopwatch = Stopwatch()
    for second, seen in enumerate(looks):
        stopwatch.look(seen, float(second))
    return stopwatch


def test_the_batch_is_the_longest_message() -> None:
    looks = (at_work(STATUS), answered(STATUS), at_work(BATCH), at_work(BATCH), answered(BATCH), at_work(LOG))
    assert timed(*looks).batch() == Batch(27_643, 2.0)


def test_mishap_the_host_asked_the_next_thing_before_anybody_looked() -> None:
    assert timed(at_work(STATUS), at_work(BATCH), at_work(LOG), answered(LOG)).batch() == Batch(27_643, 1.0)


@pytest.mark.parametrize(
    "looks",
    [
        (),
        (answered(STATUS), answered(BATCH), answered(LOG)),
        (at_work(STATUS), answered(BATCH), at_work(LOG), answered(LOG)),
        (at_work(BATCH),),
    ],
)
def test_mishap_a_question_around_the_batch_is_not_taken_for_it(looks: tuple[Exchange, ...]) -> None:
    with pytest.raises(StoryError):
        timed(*looks).batch()
