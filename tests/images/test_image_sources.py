"""What an image is built of, compared with a commit, in repositories made for each test."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from images.images_support import write_files
from undercroft_images import sources
from undercroft_images.errors import ImageError
from undercroft_images.places import REPOSITORY

_FILES = {
    "images/kernel/base.config": "CONFIG_A=y\n",
    "protocol/undercroft_protocol/cbor.py": "x = 1\n",
    "requirements/appliance.txt": "thing==1.0\n",
}
_OTHERS = {
    "host/desk.py": "",
    "protocol/undercroft_protocol/schema.cddl": "",
    "appliance/undercroft_appliance/devtools/memscan.py": "",
}


def git(place: Path, *words: str) -> str:
    settings = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", place, *settings, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    write_files(tmp_path, {**_FILES, **_OTHERS})
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "all of it")
    return tmp_path


def found(checkout: Path, *more: str) -> sources.Sources:
    return sources.of(checkout, [path for name in (*_FILES, *more) if (path := checkout / name).exists()])


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    assert found(checkout) == sources.Sources(git(checkout, "rev-parse", "HEAD"))


def test_what_is_no_part_of_an_image_counts_for_nothing(checkout: Path) -> None:
    write_files(checkout, {**dict.fromkeys(_OTHERS, "changed"), "notes.txt": "new"})
    assert found(checkout).changed == ()


def test_attack_a_changed_a_new_and_a_removed_source_are_named(checkout: Path) -> None:
    write_files(checkout, {"images/kernel/base.config": "CONFIG_A=n\n", "images/pi/ä.dts": "new"})
    (checkout / "protocol/undercroft_protocol/cbor.py").unlink()
    changed = ("images/kernel/base.config", "images/pi/ä.dts", "protocol/undercroft_protocol/cbor.py")
    assert found(checkout, "images/pi/ä.dts").changed == changed


def test_attack_what_is_staged_and_not_committed_is_a_change(checkout: Path) -> None:
    write_files(checkout, {"requirements/appliance.txt": "thing==2.0\n"})
    git(checkout, "add", ".")
    assert found(checkout).changed == ("requirements/appliance.txt",)


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_attack_a_change_that_git_is_told_not_to_see_is_seen(checkout: Path, flag: str) -> None:
    write_files(checkout, {"requirements/appliance.txt": "thing==6.6\n"})
    git(checkout, "update-index", flag, "requirements/appliance.txt")
    assert git(checkout, "status", "--porcelain") == ""
    assert found(checkout).changed == ("requirements/appliance.txt",)


def test_attack_a_change_behind_a_filter_is_seen(checkout: Path) -> None:
    write_files(checkout, {".git/info/attributes": "*.txt filter=clean\n"})
    git(checkout, "config", "filter.clean.clean", "echo thing==1.0; true")
    write_files(checkout, {"requirements/appliance.txt": "thing==6.6\n"})
    assert git(checkout, "diff") == ""
    assert found(checkout).changed == ("requirements/appliance.txt",)


def test_attack_a_commit_that_git_is_told_to_take_for_another_is_seen(checkout: Path) -> None:
    write_files(checkout, {"requirements/appliance.txt": "thing==6.6\n"})
    git(checkout, "commit", "-q", "-a", "-m", "another")
    git(checkout, "replace", "HEAD~", "HEAD")
    git(checkout, "reset", "-q", "--soft", "HEAD~")
    assert git(checkout, "diff", "HEAD") == ""
    assert found(checkout).changed == ("requirements/appliance.txt",)


def test_outside_of_a_checkout_no_commit_is_known(tmp_path: Path) -> None:
    write_files(tmp_path, _FILES)
    assert found(tmp_path) == sources.Sources(None)


def test_a_checkout_without_a_commit_is_an_error_and_not_a_clean_one(tmp_path: Path) -> None:
    write_files(tmp_path, _FILES)
    git(tmp_path, "init", "-q")
    with pytest.raises(ImageError, match="git does not say"):
        found(tmp_path)


def test_all_that_decides_on_the_image_is_looked_at() -> None:
    names = {path.relative_to(REPOSITORY).as_posix() for path in sources.inputs()}
    for name in (
        "images/locks/root.lock", "images/undercroft_images/sources.py", "requirements/appliance.txt",
        "appliance/pyproject.toml", "appliance/undercroft_appliance/boot/__main__.py", "tools/private_apt.py",
    ):  # fmt: skip
        assert name in names
    assert not any("devtools" in name or name.endswith(".pyc") for name in names)
