"""The rows of `make bench-links`: what is worse than asked is shown as missed, and nothing beats its limit."""

from __future__ import annotations

import pytest

from undercroft_demo import bench_links_camera, bench_links_eye, bench_links_serial
from undercroft_demo.bench_links_camera import Setup
from undercroft_demo.bench_links_serial import CASES, Runs
from undercroft_demo.payloads import psbt_batch
from undercroft_protocol.qr.picture import Picture


class Reader:
    """Gives these texts for every picture."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)

    def look(self, picture: Picture) -> list[str]:
        return self.texts


BLANK = Picture(8, 8, bytes(64))


@pytest.mark.parametrize(("texts", "read"), [((), 0), (("7",), 1), (("7", "7"), 1)])
def test_a_picture_counts_once_however_often_its_code_is_given(texts: tuple[str, ...], read: int) -> None:
    tally = bench_links_eye._look(Reader(*texts), BLANK, "7")  # type: ignore[arg-type]
    assert (tally.read, tally.of) == (read, 1)


def test_a_reader_that_gives_what_was_not_shown_ends_the_benchmark() -> None:
    with pytest.raises(AssertionError, match="not shown"):
        bench_links_eye._look(Reader("7", "8"), BLANK, "7")  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [2_000, 12_000])
def test_a_message_through_the_camera_is_no_faster_than_the_limit(size: int) -> None:
    setup = Setup(2, 2, 20, 15, 1280, 720)
    run = bench_links_camera.carry(setup, bench_links_camera.fast(size, 20, 1), size, seed=1)
    assert 0.5 * setup.limit(size) < run.rate <= setup.limit(size)


@pytest.mark.parametrize("case", [case for case in CASES if case.goal is not None])
def test_a_serial_row_is_missed_below_its_goal_and_by_one_run_that_did_not_finish(
    case: bench_links_serial.Case,
) -> None:
    assert case.goal is not None
    rows = {
        "met": Runs((case.goal,) * 7, 7),
        "below": Runs((case.goal - 0.001,) * 7, 7),
        "unfinished": Runs((1.0,) * 6, 7),
    }
    assert {name: bench_links_serial._row(case, runs, "").met for name, runs in rows.items()} == {
        "met": True,
        "below": False,
        "unfinished": False,
    }


def test_a_batch_over_serial_is_missed_below_its_goal_and_by_one_run_that_did_not_finish() -> None:
    batch = psbt_batch(2_000, seed=1)
    for runs, met in ((Runs((1.4,) * 3, 3), True), (Runs((1.39,) * 3, 3), False), (Runs((1.5,) * 2, 3), False)):
        assert bench_links_serial._psbt_row(batch, runs, "").met is met
