"""The appliance's Python packages for its own processor: fetched as locked, each unpacked file checked by its RECORD.

Wheels are zip archives (PEP 427); a RECORD lists each file with its SHA-256 (PEP 376, PEP 376's successors in the
packaging specifications). The lock is the project's own requirements/appliance.txt, with hashes for every platform.
"""

from __future__ import annotations

import base64
import csv
import email.parser
import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from private_apt import exclusive, say

from .downloads import file_sha256
from .errors import ImageError
from .places import REPOSITORY, cache

LOCK: Final = REPOSITORY / "requirements" / "appliance.txt"
_TARGET: Final = (
    "--platform", "manylinux_2_28_aarch64", "--platform", "manylinux_2_17_aarch64",
    "--platform", "manylinux2014_aarch64", "--python-version", "3.13", "--implementation", "cp",
    "--abi", "cp313", "--abi", "abi3", "--abi", "none",
)  # fmt: skip
_PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(.*(?:\n +--hash=.*)*)", re.MULTILINE)
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_LAST_WORDS: Final = 4000


@dataclass(frozen=True, slots=True)
class Pin:
    """A line of the lock: the package's normalized ``name``, its ``version``, the SHA-256 (hex) of its files."""

    name: str
    version: str
    hashes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Wheel:
    """A checked wheel: where it lies, its package's normalized ``name``, ``version`` and its own SHA-256 (hex)."""

    path: Path
    name: str
    version: str
    sha256: str


def pins(lock: str) -> list[Pin]:
    """The packages of a requirements file with hashes, as uv writes it."""
    return [Pin(_normal(one[1]), one[2], frozenset(_HASH.findall(one[3]))) for one in _PINNED.finditer(lock)]


def fetch_wheels() -> list[Wheel]:
    """The wheels of the lock for arm64 and Python 3.13, fetched if they are not there, sorted by name.

    Raises ImageError when one cannot be had, has other bytes, or needs a package that the lock does not name.
    """
    lock = LOCK.read_text(encoding="utf-8")
    folder = cache() / "wheels" / hashlib.sha256("\0".join((lock, *_TARGET)).encode()).hexdigest()[:16]
    with exclusive(cache() / "wheels.busy"):
        folder.mkdir(parents=True, exist_ok=True)
        if len(list(folder.glob("*.whl"))) != len(pins(lock)):
            say("fetching the appliance's Python packages for arm64, each checked by its hash ...")
            _download(folder)
        return check_wheels(pins(lock), folder.iterdir())


def _download(folder: Path) -> None:
    # Without dependencies: the lock names all of them, and pip would judge their conditions for its own interpreter.
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--require-hashes", "--only-binary=:all:", *_TARGET, "-d", folder, "-r", LOCK],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise ImageError(f"the appliance's Python packages cannot be fetched:\n{done.stderr[-_LAST_WORDS:]}")


def check_wheels(pinned: Iterable[Pin], paths: Iterable[Path]) -> list[Wheel]:
    """One wheel for each pin, and nothing else, each with a hash of the lock. Raises ImageError."""
    wanted = {pin.name: pin for pin in pinned}
    found = {}
    for path in sorted(paths):
        name = _normal(path.name.split("-")[0])
        digest = file_sha256(path)
        # Attack: an index, or whoever fills the cache, gives another file; or a source archive, whose set-up would run.
        if path.suffix != ".whl" or name not in wanted or name in found or digest not in wanted[name].hashes:
            raise ImageError(f"{path} is not what {LOCK.name} names; remove it and build again")
        found[name] = Wheel(path, name, wanted[name].version, digest)
    if missing := sorted(wanted.keys() - found.keys()):
        raise ImageError(f"{LOCK.name} names {', '.join(missing)}, but no such wheel was fetched for arm64")
    for wheel in found.values():
        # Mishap: a condition that is true on the appliance but not here keeps a package out of the lock.
        if lost := sorted(_requirements(wheel) - found.keys()):
            raise ImageError(f"{wheel.path.name} needs {', '.join(lost)}, which {LOCK.name} does not name: make lock")
    return [found[name] for name in sorted(found)]


def _requirements(wheel: Wheel) -> set[str]:
    """The names of what a wheel needs under any condition, but for its extras."""
    lines = metadata(wheel).get_all("Requires-Dist", [])
    names = {re.match(r"[A-Za-z0-9._-]+", line) for line in lines if "extra ==" not in line}
    return {_normal(name[0]) for name in names if name is not None}


def metadata(wheel: Wheel) -> email.message.Message:
    """The wheel's METADATA (core metadata specification)."""
    with zipfile.ZipFile(wheel.path) as archive:
        [place] = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
        return email.parser.Parser().parsestr(archive.read(place).decode())


def unpack(wheel: Path) -> dict[str, bytes]:
    """All files of a wheel by their names below the folder they are installed in, each as its RECORD says.

    Raises ImageError for a name that leads elsewhere, a file that RECORD does not list or that differs from it, and
    one that it lists and that is not there.
    """
    with zipfile.ZipFile(wheel) as archive:
        files: dict[str, bytes] = {}
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            _check_name(wheel.name, entry)
            if entry.filename in files:
                raise ImageError(f"{wheel.name} holds {entry.filename} twice")
            files[entry.filename] = archive.read(entry)
    records = [name for name in files if re.fullmatch(r"[^/]+\.dist-info/RECORD", name)]
    if len(records) != 1:
        raise ImageError(f"{wheel.name} has {len(records)} RECORDs, not one")
    listed = {row[0]: row[1] for row in csv.reader(files[records[0]].decode().splitlines())}
    del listed[records[0]]
    recorded = files.keys() - {records[0]}
    # Attack: a file added to the archive, which no installed RECORD would show.
    if odd := sorted(recorded ^ listed.keys()):
        raise ImageError(f"{wheel.name}: its RECORD and its content differ in {', '.join(odd[:5])}")
    for name in recorded:
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=").decode()
        if listed[name] != f"sha256={digest}":
            raise ImageError(f"{wheel.name}: {name} is not what its RECORD says")
    return files


def _check_name(wheel: str, entry: zipfile.ZipInfo) -> None:
    # Attack: a file name that climbs out of the folder (`../../usr/bin/x`), or starts at the root of this machine.
    path = PurePosixPath(entry.filename)
    plain = path.as_posix() == entry.filename and not path.is_absolute() and ".." not in path.parts
    if not plain or "\\" in entry.filename or not entry.filename.isprintable():
        raise ImageError(f"{wheel} holds a file {entry.filename!r}, which is no name below its own folder")
    # Attack: an archive's symbolic link, through which a later file would be written.
    if (entry.external_attr >> 16) & 0o170000 not in (0, 0o100000):
        raise ImageError(f"{wheel}: {entry.filename} is no plain file")
    # `X.data/` holds what goes elsewhere than into the packages' folder; none of ours has one.
    if path.parts[0].endswith(".data"):
        raise ImageError(f"{wheel}: {entry.filename} would be installed outside of the packages' folder")


def _normal(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
