"""How two builds are compared, and what they begin with. Nothing is built here."""

from __future__ import annotations

from pathlib import Path

import pytest

from images.images_support import write_files
from undercroft_images import manifest, verifying
from undercroft_images.errors import ImageError
from undercroft_images.places import CACHE_SETTING, REPOSITORY
from undercroft_images.sources import Sources, inputs, of


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "kept cache"
    write_files(place / "debs", {"a.deb": ""})
    monkeypatch.setenv(CACHE_SETTING, str(place))
    return place


def _image(place: Path, files: dict[str, str]) -> None:
    write_files(place, files)
    manifest.write(place, bytes(32), Sources(None))


def test_two_builds_begin_with_nothing_but_sources_and_downloads_and_leave_nothing(kept: Path) -> None:
    orders = []

    def played(order: verifying.Order) -> None:
        orders.append(order)
        assert [one.name for one in order.cache.iterdir()] == ["debs"]
        assert (order.cache / "debs").resolve() == kept / "debs"
        copied = {one.relative_to(order.repository) for one in order.repository.rglob("*") if one.is_file()}
        assert {one for one in copied if one.parts[0] != ".git"} == {one.relative_to(REPOSITORY) for one in inputs()}
        _image(order.output, {"kernel8.img": "the same"})

    assert list(verifying.verify(build=played)) == ["kernel8.img", manifest.WORDS]
    for part in ("repository", "cache", "output"):
        assert len({getattr(one, part) for one in orders}) == 2
    assert " " in str(orders[1].repository.relative_to(kept))
    assert [one.name for one in kept.iterdir()] == ["debs"]


def test_a_copy_of_the_sources_is_of_the_same_commit(kept: Path) -> None:
    if not (REPOSITORY / ".git").exists():
        pytest.skip("this is no checkout")

    def played(order: verifying.Order) -> None:
        copies = [order.repository / one.relative_to(REPOSITORY) for one in inputs()]
        assert of(order.repository, copies) == of(REPOSITORY, inputs())
        _image(order.output, {"kernel8.img": "the same"})

    verifying.verify(build=played)


def test_a_quick_comparison_is_of_what_was_built_and_with_what_was_kept(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "OUTPUT", tmp_path / "image")
    orders = []

    def played(order: verifying.Order) -> None:
        orders.append(order)
        _image(order.output, {"kernel8.img": "the same"})
        (order.output / f"{manifest.SUMS}.sig").write_text(f"signed {len(orders)} times")

    verifying.verify(kept=True, build=played)
    assert [one.cache for one in orders] == [kept, kept]
    assert (orders[0].repository, orders[0].output) == (REPOSITORY, tmp_path / "image")
    assert orders[1].repository.is_relative_to(kept)
    assert (tmp_path / "image/kernel8.img").exists()
    assert not orders[1].output.exists()


def test_mishap_what_follows_the_machine_is_named(kept: Path) -> None:
    def played(order: verifying.Order) -> None:
        name = order.surroundings.folder.split()[-1]
        _image(order.output, {"kernel8.img": "same", "boot.img": str(order.surroundings.umask), f"{name}.dtb": ""})

    with pytest.raises(ImageError, match=r"two builds differ in another\.dtb, boot\.img, manifest\.txt, one\.dtb"):
        verifying.verify(build=played)


def test_mishap_a_build_that_leaves_nothing_is_no_proof(kept: Path) -> None:
    with pytest.raises(ImageError, match="SHA256SUMS"):
        verifying.verify(build=lambda order: order.output.mkdir(parents=True))
