"""What `make bench-links` counts is what the codec does, and the payload it carries is a fair one."""

from __future__ import annotations

import zlib

import pytest

from undercroft_demo.bench_links_frames import Case, count, scheme_of, solver_agrees, whole_codec_agrees
from undercroft_demo.frames_model import AnySuffice, Cyclic, Trial
from undercroft_demo.payloads import KINDS, batch_of, psbt_batch
from undercroft_protocol.bitcoin.psbt_records import PsbtRecords
from undercroft_protocol.squeeze import squeeze


@pytest.mark.parametrize("batch", [None, 3])
def test_the_codec_needs_the_frames_that_are_counted(batch: int | None) -> None:
    whole_codec_agrees(Case("ours", 9000, 20, 1, batch))


def test_a_gaussian_decoder_of_urs_needs_the_frames_that_are_counted() -> None:
    solver_agrees(Case("UR by Gauss", 30_000, 15, 1))


def test_no_scheme_gets_fewer_trials_for_having_many_parts() -> None:
    for name, size in (("ours", 100_000), ("UR by Gauss", 60_000), ("UR", 45_000)):
        case = Case(name, size, 10, 6)
        assert scheme_of(case).count > 270
        assert len(count(case, (0.0,)).shown[0]) == 6


def test_a_reader_without_loss_needs_every_part_once() -> None:
    for name in ("limit", "ours", "BBQr", "BBQr Z", "cyclic"):
        case = Case(name, 9000, 20, 5)
        counted = count(case)
        assert counted.shown[0] == (scheme_of(case).count,) * 5


def test_all_schemes_of_a_trial_lose_the_same_frames() -> None:
    read = Trial(5, 0.4).read()
    first = [next(read) for _ in range(30)]
    assert AnySuffice(30).shown(Trial(5, 0.4)) == first[-1] + 1
    assert AnySuffice(1).shown(Trial(5, 0.4)) == Cyclic(1).shown(Trial(5, 0.4)) == first[0] + 1


def test_a_batch_is_the_same_for_the_same_seed_and_packs_as_real_ones_do() -> None:
    assert psbt_batch(20_000, 1) == psbt_batch(20_000, 1) != psbt_batch(20_000, 2)
    batches = [psbt_batch(50_000, seed) for seed in range(4)]
    assert {len(batch) for batch in batches} == {50_000}
    assert 0.66 < sum(len(zlib.compress(batch, 9)) for batch in batches) / 200_000 < 0.71
    assert 0.64 < sum(len(squeeze(batch)) for batch in batches) / 200_000 < 0.69


@pytest.mark.parametrize("kind", KINDS)
def test_each_psbt_of_a_batch_is_one(kind: object) -> None:
    batch = batch_of([one for one in KINDS if one is kind], 10_000, 4)
    end = batch.index(b"psbt\xff", 5)
    assert PsbtRecords.parse(batch[:end])
