"""The synthetic camera for readers and links: the same for the same seed, and torn as a shutter tears."""

from __future__ import annotations

import numpy as np
import pytest

from undercroft_demo.optics import PROFILES, Optics, screen_image
from undercroft_demo.shutter import EXPOSURE_SECONDS, READOUT_SECONDS, RESPONSE_SECONDS, row_shares
from undercroft_protocol.errors import QrSizeError
from undercroft_protocol.qr.draw import draw


@pytest.mark.parametrize("profile", PROFILES)
def test_a_seed_gives_the_same_pictures_and_another_gives_others(profile: str) -> None:
    screen = screen_image([draw("1")], width=320, height=240)
    pictures = []
    for seed in (1, 1, 2):
        optics = Optics(profile, width=320, height=240, seed=seed)
        pictures.append([optics.shoot(screen) for _ in range(3)])
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])
    assert all(one.shape == (240, 320) and one.dtype == np.uint8 for one in pictures[0])


def test_codes_that_do_not_fit_on_the_screen_are_refused() -> None:
    with pytest.raises(QrSizeError):
        screen_image([draw("1", version=40)], width=100, height=100)


def test_every_row_sees_all_of_the_light_and_no_more() -> None:
    for began in (0.0, 0.01, 0.05, 0.2):
        shares = row_shares([-1.0, 0.02, 0.04, 0.1], began, 480)
        assert shares.min() >= 0
        assert np.allclose(shares.sum(axis=0), 1.0, atol=1e-5)


def test_a_change_during_the_readout_tears_the_picture_at_its_row() -> None:
    old, new = row_shares([-1.0, READOUT_SECONDS / 2], 0.0, 1000)
    assert old[:150].min() == pytest.approx(1.0)
    assert new[-1] > 0.8
    assert np.all(np.diff(new) >= 0)


def test_what_was_shown_long_before_gives_no_light() -> None:
    old, new = row_shares([-1.0, 0.0], 10 * RESPONSE_SECONDS, 100)
    assert old.max() < 1e-3
    assert row_shares([-1.0, READOUT_SECONDS + EXPOSURE_SECONDS], 0.0, 100)[1].max() == pytest.approx(0.0)
    assert new.min() > 0.99
