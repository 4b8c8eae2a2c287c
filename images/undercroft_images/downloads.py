"""Fetches what a lock names, and stops at the first byte that differs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from private_apt import check_debian, exclusive, mirrors, say, security_mirrors

from .errors import ImageError
from .locks import Lock, Package

_HELPER: Final = "/usr/lib/apt/apt-helper"
ARCHIVE_SETTING: Final = "UNDERCROFT_IMAGE_ARCHIVE"
"""The environment variable with the addresses of more archives, such as Debian's snapshot archives (of the release and
of its security updates) as they were at the lock's time: they keep what mirrors drop once it is superseded."""
_AT_ONCE: Final = 40
PAUSE_SECONDS: Final = 20


def file_sha256(path: Path) -> str:
    """The SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(lock: Lock, folder: Path) -> dict[Package, Path]:
    """Where each package of the lock lies in ``folder``; what is not there yet is fetched.

    Raises ImageError when one cannot be had, or has other bytes than the lock says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places = {package: folder / package.file for package in lock.packages}
    # Mishap: two builds that share a cache write into the same half-fetched file.
    with exclusive(folder.with_name(f"{folder.name}.busy")):
        _fetch_missing(places)
    for package, place in places.items():
        _check(package, place)
    return places


def _fetch_missing(places: dict[Package, Path]) -> None:
    missing = [package for package, place in places.items() if not place.exists()]
    if not missing:
        return
    check_debian()
    megabytes = sum(package.size for package in missing) / 1e6
    say(f"fetching {len(missing)} Debian packages ({megabytes:.0f} MB), each checked by its hash ...")
    more = [archive.rstrip("/") for archive in os.environ.get(ARCHIVE_SETTING, "").split()]
    archives = (*mirrors(), *security_mirrors(), *more)
    if _try(archives, missing, places):
        # Mishap: a mirror that is away for a moment, or is just being brought up to date.
        say(f"not everything was to be had; trying again in {PAUSE_SECONDS} s ...")
        time.sleep(PAUSE_SECONDS)
        _try(archives, missing, places)


def _try(archives: Iterable[str], wanted: Sequence[Package], places: dict[Package, Path]) -> Sequence[Package]:
    """Try the archives one after the other; what none of them had."""
    for archive in archives:
        _download(archive, wanted, places)
        wanted = [one for one in wanted if not places[one].exists()]
    return wanted


def _download(archive: str, wanted: Sequence[Package], places: dict[Package, Path]) -> None:
    """Try one archive; what it does not have stays missing."""
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        # apt's own downloader knows the machine's proxies; it keeps nothing whose hash is another.
        triples = [
            word for one in some for word in (f"{archive}/{one.path}", f"{places[one]}.part", f"SHA256:{one.sha256}")
        ]
        subprocess.run(
            [_HELPER, "-o", "APT::Sandbox::User=root", "download-file", *triples],
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        for one in some:
            part = places[one].with_name(f"{places[one].name}.part")
            if part.exists() and part.stat().st_size == one.size and file_sha256(part) == one.sha256:
                part.replace(places[one])
            part.unlink(missing_ok=True)


def _check(package: Package, place: Path) -> None:
    if not place.exists():
        raise ImageError(
            f"{package.file} with SHA-256 {package.sha256} is not to be had from the mirrors of this machine's apt. "
            f"Check the network; or name archives of old packages in {ARCHIVE_SETTING} (Debian's snapshot archives "
            "of release and security as they were at the time in the lock's first line); or take newer packages: "
            "make image-lock"
        )
    # Attack: a mirror, or whoever sits on the way to it, gives other bytes; or the cache was changed.
    if place.stat().st_size != package.size or file_sha256(place) != package.sha256:
        raise ImageError(f"{place} is not what the lock says; remove it and build again")
