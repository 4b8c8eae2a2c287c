"""What is taken for built, what a build works in, and how two builds are compared. Nothing is built here."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from images.images_support import write_files
from undercroft_images import build, manifest, verifying
from undercroft_images.builder import Builder
from undercroft_images.errors import ImageError
from undercroft_images.places import CACHE_SETTING, REPOSITORY

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
    manifest.write(place, FIRMWARE)
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


def test_mishap_an_interrupted_build_does_not_pass_for_a_whole_one(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_sources", lambda: "others\n")
    monkeypatch.setattr("shutil.rmtree", Builder.ready)
    with pytest.raises(BegunError):
        build.build(output)
    assert (output / manifest.SUMS).exists()
    assert not output.with_name("image.sources").exists()


def test_a_mistyped_folder_is_not_emptied(output: Path) -> None:
    (output / "letters.txt").write_text("mine")
    (output / "sdcard.img").unlink()
    with pytest.raises(ImageError, match=r"letters\.txt"):
        build.build(output)
    assert (output / "letters.txt").exists()


def test_version_and_licence_of_ours_decide_on_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = build._sources()
    monkeypatch.setattr(build, "PROJECT", REPOSITORY / "README.md")
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


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_SETTING, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_two_builds_begin_with_nothing_but_downloads_and_leave_nothing(kept: Path) -> None:
    homes = []

    def played(output: Path, home: Path, _: verifying.Surroundings) -> None:
        homes.append(home)
        assert [one.name for one in home.iterdir()] == ["debs"]
        assert (home / "debs").resolve() == kept / "debs"
        write_files(output, {"kernel8.img": "the same"})

    assert list(verifying.verify(played)) == ["kernel8.img"]
    assert len(set(homes)) == 2
    assert [one.name for one in kept.iterdir()] == ["debs"]


def test_mishap_what_follows_the_machine_is_named(kept: Path) -> None:
    def played(output: Path, home: Path, around: verifying.Surroundings) -> None:
        write_files(output, {"kernel8.img": "same", "boot.img": str(around.umask), f"{home.name}.dtb": ""})

    with pytest.raises(ImageError, match=r"two builds differ in another\.dtb, boot\.img, one\.dtb"):
        verifying.verify(played)
