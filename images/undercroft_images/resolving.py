"""Writes the lock files anew: what apt would install today, for each of the things that need packages.

From Debian's release, its updates and its security updates; without the last there is no lock.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from private_apt import FetchError, PrivateApt, check_debian, mirrors, run, say, security_mirrors

from .locks import Lock, Package
from .places import LOCKS

SUITE: Final = "trixie"
_OF_SECURITY: Final = "pool/updates/"
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
    found = {}
    with tempfile.TemporaryDirectory(prefix="image-lock-") as work:
        for name, wanted in WANTED.items():
            say(f"{name}: {', '.join(wanted.packages)}")
            found[name] = Lock.of(SUITE, moment, _resolved(wanted, Path(work) / name))
    for name, lock in found.items():
        (LOCKS / f"{name}.lock").write_text(lock.text(), encoding="ascii")
        updates = sum(one.path.startswith(_OF_SECURITY) for one in lock.packages)
        say(f"{name}.lock: {len(lock.packages)} packages, {updates} of them security updates")


def _resolved(wanted: Wanted, place: Path) -> list[Package]:
    apt = _apt(place, wanted.architecture)
    printed = apt("download" if wanted.alone else "install", "--print-uris", *wanted.packages)
    named = re.findall(r"^'\S+?/(pool/\S+)' ([^_]+)_([^_]+)_", printed, re.MULTILINE)
    # apt has checked the list that this comes from by the archive's signature.
    versions = [f"{name}={version.replace('%3a', ':')}" for _, name, version in named]
    described = run("apt-cache", "-c", place / "apt.conf", "show", *versions)
    return chosen({unquote(path) for path, _, _ in named}, described)


def chosen(paths: Iterable[str], described: str) -> list[Package]:
    """The packages at these paths by apt's descriptions. Raises FetchError when one is not described."""
    found = {}
    for stanza in described.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line.startswith(" "))
        found[fields["Filename"]] = Package(fields["Filename"], fields["SHA256"], int(fields["Size"]))
    # Mishap: what came from the security updates into the release is in both, at two paths.
    if missing := sorted(set(paths) - set(found)):
        raise FetchError(f"apt does not describe {', '.join(missing)}")
    return [found[path] for path in paths]


def _apt(place: Path, architecture: str) -> PrivateApt:
    keyrings = sorted(_KEYRINGS.glob("debian-archive-keyring.*"))
    if not keyrings:
        raise FetchError("no Debian archive keyring here; install the package debian-archive-keyring")
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
    shutil.copyfile(keyrings[0], place / "trusted" / "archive.gpg")
    complaints = []
    # A machine's apt may know other archives than Debian's: their signatures are none of the keyring's.
    for mirror, security in product(mirrors(), security_mirrors()):
        (place / "sources.list").write_text(sources(architecture, mirror, security), encoding="utf-8")
        try:
            apt("update", "--error-on=any")
        except FetchError as error:
            complaints.append(f"{mirror} with {security}: {error}")
        else:
            return apt
    # Attack: whoever cuts off the security updates keeps known holes in the next image.
    raise FetchError(
        "\n".join([f"no mirror here has {SUITE} with its security updates; no lock is written", *complaints])
    )


def sources(architecture: str, mirror: str, security: str) -> str:
    """The archives that a lock is taken from, as apt's sources.list: the release, its updates, security updates."""
    suites = ((mirror, SUITE), (mirror, f"{SUITE}-updates"), (security, f"{SUITE}-security"))
    return "".join(f"deb [arch={architecture}] {place} {suite} main non-free-firmware\n" for place, suite in suites)
