"""Where the builder lies, who may have it, how it is entered, and how long it is kept. None is made here."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from images.images_support import write_files
from undercroft_images import builder, keeping, places
from undercroft_images.builder import Builder
from undercroft_images.errors import ImageError
from undercroft_images.locks import Lock, Package

LOCK = Lock.of("trixie", "20260101T000000Z", [Package("pool/main/b/bash/bash_5_amd64.deb", "ab" * 32, 5)])
NEWER = Lock.of("trixie", "20260102T000000Z", LOCK.packages)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(places.CACHE_SETTING, str(tmp_path / "cache"))
    monkeypatch.setattr(builder, "LOCKS", write_files(tmp_path / "locks", {"builder.lock": LOCK.text()}))
    monkeypatch.setattr(builder, "fetch", lambda _lock, _folder: {})
    monkeypatch.setattr(Builder, "_make", lambda self, _archives: (self.root / "etc").mkdir(parents=True))
    monkeypatch.setattr(Builder, "_way_in", lambda _: ("enter",))
    return tmp_path / "cache"


def test_two_clones_with_other_locks_have_each_their_own_builder(cache: Path, tmp_path: Path) -> None:
    one = Builder.ready()
    (tmp_path / "locks/builder.lock").write_text(NEWER.text())
    other = Builder.ready()
    assert one.root != other.root
    assert one.busy("image") != other.busy("image")
    assert all((each.root / "etc/undercroft-builder").exists() for each in (one, other))
    (tmp_path / "locks/builder.lock").write_text(LOCK.text())
    assert Builder.ready() == one


def test_a_builder_that_nothing_used_for_long_goes_when_a_new_one_is_made(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = Builder.ready()
    half = cache / "builder-half-made"
    half.mkdir()
    long_ago = time.time() - (keeping.DAYS + 1) * 86400
    os.utime(old.root / "etc/undercroft-builder", (long_ago, long_ago))
    (tmp_path / "locks/builder.lock").write_text(NEWER.text())
    new = Builder.ready()
    assert (old.root.exists(), new.root.exists(), half.exists()) == (False, True, True)
    assert old.root.name in capsys.readouterr().out


def test_a_builder_that_is_used_stays(cache: Path, tmp_path: Path) -> None:
    old = Builder.ready()
    long_ago = time.time() - (keeping.DAYS + 1) * 86400
    os.utime(old.root / "etc/undercroft-builder", (long_ago, long_ago))
    assert Builder.ready() == old
    (tmp_path / "locks/builder.lock").write_text(NEWER.text())
    Builder.ready()
    assert old.root.exists()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_attack_a_cache_that_others_can_write_to_is_refused(cache: Path, mode: int) -> None:
    cache.mkdir()
    cache.chmod(mode)
    with pytest.raises(ImageError, match="others can write"):
        Builder.ready()


def test_mishap_the_cache_of_another_user_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir()
    monkeypatch.setattr("os.geteuid", lambda: cache.stat().st_uid + 1)
    with pytest.raises(ImageError, match="another user"):
        Builder.ready()


def test_a_new_cache_is_for_its_user_alone(cache: Path) -> None:
    assert places.own_cache().stat().st_mode & 0o777 == 0o700


def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, lets_in: str, nodes: bool) -> Builder:
    """A builder on a machine where only programs named `lets_in` get in, and device nodes may be made or not."""
    for name in ("chroot", "unshare"):
        answer = "exit 0" if name == lets_in else "echo not permitted; exit 1"
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{answer}\n")
        program.chmod(0o755)
    monkeypatch.setattr(builder, "_CHROOT", (str(tmp_path / "chroot"),))
    monkeypatch.setattr(builder, "_NAMESPACE", (str(tmp_path / "unshare"),))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(Builder, "_make_nodes", lambda _: nodes)
    return Builder(tmp_path)


@pytest.mark.parametrize(
    ("lets_in", "nodes", "entrance"),
    [("chroot", True, "chroot"), ("unshare", True, "unshare"), ("unshare", False, "unshare")],
)
def test_root_that_may_make_no_device_nodes_goes_in_as_others_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, lets_in: str, nodes: bool, entrance: str
) -> None:
    found = _machine(tmp_path, monkeypatch, lets_in=lets_in, nodes=nodes)._way_in()
    assert found == (str(tmp_path / entrance),)


def test_who_gets_in_by_no_way_is_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImageError, match=r"\(not permitted; not permitted\).*user namespaces"):
        _machine(tmp_path, monkeypatch, lets_in="nothing", nodes=True)._way_in()


@pytest.mark.parametrize("error", [PermissionError("mknod"), None])
def test_mishap_a_plain_file_in_place_of_a_device_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    write_files(tmp_path, {"dev/null": "written to"})
    made = []

    def node(path: Path, *_: int) -> None:
        if error is not None:
            raise error
        made.append(path.name)
        path.touch()

    monkeypatch.setattr("os.mknod", node)
    assert Builder(tmp_path)._make_nodes() is (error is None)
    assert "null" in made or error is not None
    assert not (tmp_path / "dev/null").exists() or (tmp_path / "dev/null").read_text() == ""
