"""Several codes on one picture are all read, in the grid that shows them largest."""

from __future__ import annotations

import pytest

from protocol.qr.drawing_support import digits, read_all
from undercroft_protocol.errors import QrSizeError
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.sheet import (
    MAX_CODES,
    QUIET,
    best_grid,
    enlarged,
    largest_version,
    module_rows,
    picture_of,
    tight_picture,
)


def test_where_no_grid_fits_it_is_the_one_that_misses_the_fewest_pixels() -> None:
    # 54 x 29 modules beside each other, 29 x 54 above each other.
    for shape, expected in (((50, 20), (2, 1)), ((20, 50), (1, 2))):
        grid = best_grid(2, 21, *shape)
        assert (grid.columns, grid.rows, grid.scale) == (*expected, 0)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 8, 16])
def test_every_code_of_a_grid_is_read(count: int) -> None:
    texts = [digits(100, seed) for seed in range(count)]
    codes = [draw(text, version=5) for text in texts]
    assert read_all(picture_of(codes, width=1280, height=720)) == sorted(texts)


@pytest.mark.parametrize(
    ("count", "version", "shape", "expected"),
    [
        (2, 40, (1280, 720), (2, 1)),
        (6, 20, (1920, 1080), (3, 2)),
        (8, 30, (1920, 1080), (4, 2)),
        (2, 27, (300, 600), (1, 2)),
        (6, 10, (100, 2000), (1, 6)),
        (1, 40, (1000, 1000), (1, 1)),
    ],
)
def test_the_grid_follows_the_shape(
    count: int, version: int, shape: tuple[int, int], expected: tuple[int, int]
) -> None:
    width, height = shape
    grid = best_grid(count, 17 + 4 * version, width, height)
    assert (grid.columns, grid.rows) == expected
    assert grid.scale * grid.width <= width
    assert grid.scale * grid.height <= height
    # One pixel more for each module would not fit.
    assert (grid.scale + 1) * grid.width > width or (grid.scale + 1) * grid.height > height


def test_quiet_zones_are_around_and_between() -> None:
    codes = [draw(str(one), version=1) for one in range(3)]
    grid = best_grid(3, 21, 2 * 29, 2 * 29)
    assert (grid.columns, grid.rows) == (2, 2)
    rows = module_rows(codes, grid)
    assert (len(rows), {len(row) for row in rows}) == (grid.height, {grid.width})
    light_rows = [*range(QUIET), *range(25, 29), *range(50, 54)]
    assert all(not any(rows[at]) for at in light_rows)
    assert all(not any(row[at] for row in rows) for at in light_rows)
    # Each code stands there as it is; the fourth place is empty.
    assert b"".join(row[4:25] for row in rows[4:25]) == codes[0].modules
    assert b"".join(row[29:50] for row in rows[4:25]) == codes[1].modules
    assert b"".join(row[4:25] for row in rows[29:50]) == codes[2].modules
    assert not any(b"".join(row[29:50] for row in rows[29:50]))


def test_scaling_is_exact() -> None:
    code = draw("7", version=1)
    large, small = tight_picture([code], scale=3, columns=1), tight_picture([code], scale=1, columns=1)
    assert (large.width, large.height) == (3 * 29, 3 * 29)
    assert all(
        large.grey[y * large.width + x] == small.grey[(y // 3) * small.width + x // 3]
        for y in range(large.height)
        for x in range(large.width)
    )
    assert set(small.grey) == {0, 255}
    assert enlarged([b"\x00\x01"], 2) == [b"\x00\x00\x01\x01"] * 2


def test_the_largest_version_fits_and_the_next_does_not() -> None:
    for count, width, height in ((1, 200, 100), (2, 640, 480), (6, 1280, 720)):
        version = largest_version(count, width, height)
        assert version is not None
        assert best_grid(count, 17 + 4 * version, width, height).scale >= 1
        assert version == 40 or best_grid(count, 21 + 4 * version, width, height).scale == 0
    # Streams of codes begin with version 5, of 37 modules.
    assert largest_version(1, 44, 44) is None
    assert largest_version(1, 45, 45) == 5


def test_codes_that_do_not_fit_or_differ_are_refused() -> None:
    with pytest.raises(QrSizeError, match="185 x 185 pixels are needed, 184 x 500"):
        picture_of([draw("1", version=40)], width=184, height=500)
    with pytest.raises(QrSizeError, match=r"\[21, 25\]"):
        picture_of([draw("1", version=1), draw("1", version=2)], width=500, height=500)
    with pytest.raises(ValueError, match="no code"):
        tight_picture([], scale=1, columns=1)


@pytest.mark.parametrize("count", [0, MAX_CODES + 1])
def test_an_impossible_count_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 16"):
        best_grid(count, 21, 1000, 1000)
