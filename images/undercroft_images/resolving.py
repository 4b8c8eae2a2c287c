"""Writes the lock files anew: what apt would install today, for each of the things that need packages."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from private_apt import FetchError, PrivateApt, check_debian, mirrors, run, say

from .locks import Lock, Package
from .places import LOCKS

SUITE: Final = "trixie"
_KEYRINGS: Final = Path("/usr/share/keyrings")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a lock is to hold: ``packages`` and all that they depend on (or they alone), for ``architecture``."""

    packages: tuple[str, ...]
    architecture: str
    alone: bool = False


WANTED: Final = {
    # The machine that builds: compilers, file systems, the emulator. None of it goes into the image.
    "builder": Wanted(
        (
            "base-files", "bash", "bc", "binutils-aarch64-linux-gnu", "bison", "coreutils", "cpio", "dash",
            "device-tree-compiler", "diffutils", "dosfstools", "fdisk", "findutils", "flex", "gawk", "gcc",
            "gcc-aarch64-linux-gnu", "grep", "gzip", "libc6-dev", "libpython3-stdlib", "make", "mtools", "openssl",
            "patch", "perl", "python3-minimal", "qemu-system-arm", "sed", "tar", "xz-utils", "zstd",
        ),
        "amd64",
    ),
    "kernel": Wanted(("linux-source-6.12",), "amd64", alone=True),
    "root": Wanted(("libpython3-stdlib", "libstdc++6", "python3-minimal"), "arm64"),
    "board": Wanted(("raspi-firmware",), "arm64", alone=True),
}  # fmt: skip
"""By the names of the lock files."""


def write_locks() -> None:
    """Resolve all of them against Debian as it is now. Raises FetchError."""
    check_debian()
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    with tempfile.TemporaryDirectory(prefix="image-lock-") as work:
        for name, wanted in WANTED.items():
            say(f"{name}: {', '.join(wanted.packages)}")
            lock = Lock.of(SUITE, moment, _resolved(wanted, Path(work) / name))
            (LOCKS / f"{name}.lock").write_text(lock.text(), encoding="ascii")
            say(f"{name}.lock: {len(lock.packages)} packages")


def _resolved(wanted: Wanted, place: Path) -> list[Package]:
    apt = _apt(place, wanted.architecture)
    printed = apt("download" if wanted.alone else "install", "--print-uris", *wanted.packages)
    named = [re.match(r"'\S+' ([^_]+)_([^_]+)_", line) for line in printed.splitlines()]
    versions = [f"{one[1]}={one[2].replace('%3a', ':')}" for one in named if one is not None]
    # apt has checked the list that this comes from by the archive's signature.
    described = run("apt-cache", "-c", place / "apt.conf", "show", *versions)
    return [_package(stanza) for stanza in described.strip().split("\n\n")]


def _package(stanza: str) -> Package:
    fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line.startswith(" "))
    return Package(fields["Filename"], fields["SHA256"], int(fields["Size"]))


def _apt(place: Path, architecture: str) -> PrivateApt:
    apt = PrivateApt(
        place,
        f'APT::Architecture "{architecture}";\n'
        "#clear APT::Architectures;\n"
        f'APT::Architectures {{ "{architecture}"; }};\n'
        f'Dir::Etc::sourcelist "{place}/sources.list";\n'
        'Dir::Etc::sourceparts "/dev/null";\n'
        'Dir::Etc::trusted "/dev/null";\n'
        f'Dir::Etc::trustedparts "{place}/trusted";',
    )
    keyrings = sorted(_KEYRINGS.glob("debian-archive-keyring.*"))
    if not keyrings:
        raise FetchError("no Debian archive keyring here; install the package debian-archive-keyring")
    shutil.copyfile(keyrings[0], place / "trusted" / "archive.gpg")
    (place / "sources.list").write_text(
        "".join(f"deb [arch={architecture}] {mirror} {SUITE} main non-free-firmware\n" for mirror in mirrors()[:1]),
        encoding="utf-8",
    )
    apt("update", "--error-on=any")
    return apt
