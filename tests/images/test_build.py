"""What is taken for built, what takes its place, and what a build works in. Nothing is built here."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from images.images_support import write_files
from undercroft_images import build, manifest, sources
from undercroft_images.builder import Builder
from undercroft_images.errors import ImageError
from undercroft_images.places import REPOSITORY

FIRMWARE = bytes(32)


class BegunError(Exception):
    """A build began in earnest."""


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which an image was built, and sources that do not change."""

    def begin(*_: object) -> None:
        raise BegunError

    monkeypatch.setattr(Builder, "ready", begin)
    monkeypatch.setattr(build, "_sources", lambda: "sources\n")
    place = write_files(tmp_path / "image", {"kernel8.img": "kernel", "sdcard.img": "card"})
    manifest.write(place, FIRMWARE, sources.Sources(None))
    (tmp_path / "image.sources").write_text("sources\n")
    return place


def test_what_was_built_from_the_same_sources_is_left_alone(output: Path) -> None:
    assert build.build(output) == build.hashes(output)


@pytest.mark.parametrize("name", ["sdcard.img", "manifest.txt", manifest.SUMS, "../image.sources"])
def test_mishap_what_lacks_a_file_is_built_anew(output: Path, name: str) -> None:
    (output / name).unlink()
    with pytest.raises(BegunError):
        build.build(output)


def test_mishap_a_damaged_file_is_built_anew(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (output / "sdcard.img").write_bytes(b"care")
    with pytest.raises(BegunError):
        build.build(output)
    assert "not what SHA256SUMS says: sdcard.img" in capsys.readouterr().out


@pytest.mark.parametrize("error", [BegunError, ImageError("no network")])
def test_mishap_a_build_that_fails_leaves_the_last_one_in_place(
    output: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    before = build.hashes(output)
    monkeypatch.setattr(build, "_sources", lambda: "others\n")

    def fail(place: Path, _: str) -> None:
        (place / "kernel8.img").write_text("half")
        raise error

    monkeypatch.setattr(build, "_build", fail)
    with pytest.raises((BegunError, ImageError)):
        build.build(output)
    assert build.hashes(output) == before
    assert sorted(one.name for one in output.parent.iterdir()) == ["image", "image.busy", "image.sources"]
    assert (output.parent / "image.sources").read_text() == "sources\n"


def _played(place: Path, _: str) -> None:
    write_files(place, {"kernel8.img": "new kernel", "sdcard.img": "new card"})
    manifest.write(place, FIRMWARE, sources.Sources(None))


def test_a_new_build_replaces_the_last_one_and_its_signatures(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (output / f"{manifest.SUMS}.sig").write_text("of the old one")
    monkeypatch.setattr(build, "_sources", lambda: "others\n")
    monkeypatch.setattr(build, "_build", _played)
    assert sorted(build.build(output)) == [manifest.SUMS, "kernel8.img", "manifest.txt", "sdcard.img"]
    assert (output / "kernel8.img").read_text() == "new kernel"
    assert sorted(one.name for one in output.parent.iterdir()) == ["image", "image.busy", "image.sources"]
    assert build.build(output) == build.hashes(output)


def test_a_mistyped_folder_is_not_emptied(output: Path) -> None:
    (output / "letters.txt").write_text("mine")
    (output / "sdcard.img").unlink()
    with pytest.raises(ImageError, match=r"letters\.txt"):
        build.build(output)
    assert (output / "letters.txt").exists()


def test_version_and_licence_of_ours_decide_on_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = build._sources()
    monkeypatch.setattr(sources, "PROJECT", REPOSITORY / "README.md")
    assert build._sources() != before


def test_a_workspace_has_the_same_path_each_time_and_nothing_of_an_interrupted_build(tmp_path: Path) -> None:
    builder = Builder(tmp_path / "builder")
    with builder.workspace("image") as place:
        (place / "left").touch()
    assert not place.exists()
    write_files(place, {"half": "made"})
    with builder.workspace("image") as again:
        assert (again, list(again.iterdir())) == (place, [])


def test_a_second_build_waits_for_the_workspace_of_the_first(tmp_path: Path) -> None:
    builder, seen = Builder(tmp_path / "builder"), []

    def second() -> None:
        with builder.workspace("image"):
            seen.append("second")

    with builder.workspace("image") as place:
        other = threading.Thread(target=second)
        other.start()
        other.join(0.2)
        assert place.exists()
        seen.append("first")
    other.join(10)
    assert seen == ["first", "second"]
