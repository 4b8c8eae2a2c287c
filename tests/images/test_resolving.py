"""Where locks and downloads come from: the release, its updates and its security updates. Nothing is fetched here."""

from __future__ import annotations

import hashlib
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import private_apt
from undercroft_images import downloads, resolving
from undercroft_images.errors import ImageError
from undercroft_images.locks import Lock, Package
from undercroft_images.resolving import chosen, sources

MAIN, SECURITY = "pool/main/o/openssl/openssl_3.5-1~deb13u3_arm64.deb", "pool/updates/main/o/openssl/"
STANZA = "Package: openssl\nVersion: 3.5-1~deb13u3\nFilename: {}\nSize: {}\nSHA256: {}\nDescription: TLS\n more: words"


def _apt_knows(monkeypatch: pytest.MonkeyPatch, *archives: str) -> None:
    """The machine's apt settings name these archives, each an address and a suite."""
    pairs = [archive.split() for archive in archives]
    lines = [f"'{address}/dists/{suite}/{file}' x 0" for address, suite in pairs for file in ("InRelease", "main/P.xz")]
    monkeypatch.setattr(private_apt, "run", lambda *_: "\n".join(lines))


def test_mirrors_and_security_updates_are_told_apart_by_their_suites(monkeypatch: pytest.MonkeyPatch) -> None:
    _apt_knows(monkeypatch, "http://a/debian trixie", "http://a/debian trixie-updates", "http://s trixie-security")
    assert (private_apt.mirrors(), private_apt.security_mirrors()) == (["http://a/debian"], ["http://s"])


def test_where_apt_names_no_security_updates_they_are_looked_for_beside_the_mirror(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _apt_knows(monkeypatch, "http://a/debian bookworm")
    assert private_apt.security_mirrors() == ["http://a/debian-security"]


def test_a_lock_is_taken_from_release_updates_and_security_updates() -> None:
    assert sources("arm64", "http://a/debian", "http://s").splitlines() == [
        "deb [arch=arm64] http://a/debian trixie main non-free-firmware",
        "deb [arch=arm64] http://a/debian trixie-updates main non-free-firmware",
        "deb [arch=arm64] http://s trixie-security main non-free-firmware",
    ]


def test_mishap_a_package_in_both_archives_is_locked_at_the_path_that_apt_chose() -> None:
    path = f"{SECURITY}{MAIN.rpartition('/')[2]}"
    described = f"{STANZA.format(MAIN, 7, 'a' * 64)}\n\n{STANZA.format(path, 7, 'a' * 64)}\n"
    assert chosen([path], described) == [Package(path, "a" * 64, 7)]
    with pytest.raises(private_apt.FetchError, match="other"):
        chosen(["pool/main/o/other.deb"], described)


def test_attack_without_security_updates_no_lock_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    locks = tmp_path / "locks"
    locks.mkdir()

    class CutOff:
        def __init__(self, place: Path, _: str) -> None:
            (place / "trusted").mkdir(parents=True)

        def __call__(self, *_: str) -> str:
            raise private_apt.FetchError("trixie-security: no route")

    _apt_knows(monkeypatch, "http://a/debian trixie")
    monkeypatch.setattr(resolving, "LOCKS", locks)
    monkeypatch.setattr(resolving, "PrivateApt", CutOff)
    monkeypatch.setattr(resolving, "check_debian", lambda: None)
    monkeypatch.setattr(resolving, "_KEYRINGS", tmp_path)
    (tmp_path / "debian-archive-keyring.gpg").touch()
    with pytest.raises(private_apt.FetchError, match=r"no lock is written\n.*no route"):
        resolving.write_locks()
    assert list(locks.iterdir()) == []


def test_a_package_is_looked_for_in_every_archive_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def played(command: list[Any], **_: object) -> None:
        asked.append(next(word for word in command if str(word).startswith("http")))

    _apt_knows(monkeypatch, "http://a/debian trixie", "http://s trixie-security")
    monkeypatch.setenv(downloads.ARCHIVE_SETTING, "http://old/debian/ http://old/debian-security")
    monkeypatch.setattr(subprocess, "run", played)
    monkeypatch.setattr(downloads, "check_debian", lambda: None)
    monkeypatch.setattr(time, "sleep", asked.append)
    with pytest.raises(ImageError, match=downloads.ARCHIVE_SETTING):
        downloads.fetch(Lock.of("trixie", "20260101T000000Z", [Package(MAIN, "a" * 64, 7)]), tmp_path / "debs")
    homes = ("http://a/debian", "http://s", "http://old/debian", "http://old/debian-security")
    once = [f"{home}/{MAIN}" for home in homes]
    assert asked[: len(homes)] == asked[-len(homes) :] == once
    assert asked[len(homes) : -len(homes)] == [downloads.PAUSE_SECONDS]


def test_mishap_a_mirror_that_is_away_for_a_moment_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Package(MAIN, hashlib.sha256(b"package").hexdigest(), 7)
    slept: list[float] = []

    def played(command: list[Any], **_: object) -> None:
        if slept:
            Path(command[-2]).write_bytes(b"package")

    _apt_knows(monkeypatch, "http://a/debian trixie")
    monkeypatch.setattr(subprocess, "run", played)
    monkeypatch.setattr(downloads, "check_debian", lambda: None)
    monkeypatch.setattr(time, "sleep", slept.append)
    lock = Lock.of("trixie", "20260101T000000Z", [package])
    assert downloads.fetch(lock, tmp_path / "debs")[package].read_bytes() == b"package"
    assert slept == [downloads.PAUSE_SECONDS]
