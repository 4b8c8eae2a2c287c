"""Picture files and films say what the source said."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from PIL import Image, ImageSequence

from protocol.qr.drawing_support import Numbers, read_all
from undercroft_protocol.errors import ScreenError
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.picture import Picture
from undercroft_protocol.qr.screen import files
from undercroft_protocol.qr.screen.files import write_gif, write_png


def picture_in(image: Image.Image) -> Picture:
    grey = image.convert("L")
    return Picture(grey.width, grey.height, grey.tobytes())


def test_a_png_is_the_code_with_its_quiet_zone(tmp_path: Path) -> None:
    write_png(tmp_path / "one.png", draw("12345", version=3), 5)
    with Image.open(tmp_path / "one.png") as image:
        assert image.size == (5 * (29 + 8), 5 * (29 + 8))
        assert read_all(picture_in(image)) == ["12345"]


@pytest.mark.parametrize("codes", [1, 2, 6])
def test_a_film_shows_each_symbol_of_the_source_once(tmp_path: Path, codes: int) -> None:
    write_gif(tmp_path / "film.gif", Numbers(), frames=4, pictures_per_second=10, scale=3, codes=codes)
    expected = [f"{number:030}" for number in range(4 * codes)]
    with Image.open(tmp_path / "film.gif") as film:
        shown = [read_all(picture_in(frame)) for frame in ImageSequence.Iterator(film)]
        assert film.info["loop"] == 0
        assert film.info["duration"] == 100
    assert shown == [expected[at : at + codes] for at in range(0, len(expected), codes)]


@pytest.mark.parametrize(
    ("codes", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (3, 3, 1), (5, 5, 1), (6, 3, 2), (8, 4, 2)]
)
def test_a_film_of_several_codes_is_wide_and_leaves_no_place_empty(
    tmp_path: Path, codes: int, columns: int, rows: int
) -> None:
    write_gif(tmp_path / "film.gif", Numbers(), frames=1, pictures_per_second=10, scale=1, codes=codes)
    with Image.open(tmp_path / "film.gif") as film:
        assert film.size == (columns * 25 + 4, rows * 25 + 4)


def test_a_film_that_is_too_large_is_refused_before_a_code_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "draw_alike", lambda texts, *, version=None: pytest.fail("drawn"))
    with pytest.raises(ScreenError, match="take fewer"):
        write_gif(tmp_path / "film.gif", Numbers(7000), frames=1000, pictures_per_second=10, scale=6, codes=1)


@pytest.mark.parametrize(
    "change",
    [
        {"frames": 0},
        {"frames": 5001},
        {"pictures_per_second": 0},
        {"pictures_per_second": 51},
        {"codes": 0},
        {"codes": 17},
        {"scale": 0},
        {"scale": 100000},
    ],
)
def test_impossible_films_are_refused_before_anything_is_written(tmp_path: Path, change: dict[str, int]) -> None:
    wanted = {"frames": 2, "pictures_per_second": 10, "scale": 2, "codes": 1} | change
    with pytest.raises(ScreenError):
        write_gif(tmp_path / "film.gif", Numbers(), **wanted)
    assert not (tmp_path / "film.gif").exists()


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ScreenError, match="cannot be written"):
        write_png(tmp_path / "none" / "one.png", draw("1"), 2)


def test_without_pillow_the_report_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ScreenError, match="install pillow"):
        write_png(tmp_path / "one.png", draw("1"), 2)
