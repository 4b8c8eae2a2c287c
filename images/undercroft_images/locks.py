"""Lock files: each Debian package that goes in, by the SHA-256 of its bytes.

One line each: hash, size in bytes, path below an archive's root. The head names the suite, and the time (UTC) at which
Debian's snapshot archive has all of them, should the mirrors have moved on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .errors import ImageError

_HEAD: Final = re.compile(r"# debian ([a-z]+) (\d{8}T\d{6}Z)")
_LINE: Final = re.compile(r"([0-9a-f]{64}) ([1-9]\d*) (pool/[A-Za-z0-9/._+~-]+\.deb)")


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """A .deb: its path below an archive's root, the SHA-256 (hex) and size (bytes) that it must have."""

    path: str
    sha256: str
    size: int

    @property
    def file(self) -> str:
        """Its name as a file, which says package, version and architecture."""
        return self.path.rpartition("/")[2]

    @property
    def name(self) -> str:
        """The package's name."""
        return self.file.split("_")[0]

    @property
    def version(self) -> str:
        """The version, without the epoch, which Debian's archive leaves out of file names."""
        return self.file.split("_")[1]


@dataclass(frozen=True, slots=True)
class Lock:
    """``suite`` of Debian, the ``time`` (such as 20261122T000000Z) it was taken, packages sorted by their paths."""

    suite: str
    time: str
    packages: tuple[Package, ...]

    def text(self) -> str:
        """As it stands in its file."""
        lines = [f"# debian {self.suite} {self.time}"]
        lines += [f"{one.sha256} {one.size} {one.path}" for one in self.packages]
        return "\n".join(lines) + "\n"

    @classmethod
    def of(cls, suite: str, time: str, packages: Iterable[Package]) -> Lock:
        """A lock of these packages."""
        return cls(suite, time, tuple(sorted(packages)))

    @classmethod
    def read(cls, path: Path) -> Lock:
        """Raises ImageError for a file that is not exactly as it would be written."""
        text = path.read_text(encoding="ascii", errors="replace")
        head, *lines = text.splitlines() or [""]
        described = _HEAD.fullmatch(head)
        found = [_LINE.fullmatch(line) for line in lines]
        if described is None or not found or None in found:
            raise ImageError(f"{path.name} is no lock file; write it anew with `make image-lock`")
        packages = [Package(one[3], one[1], int(one[2])) for one in found if one is not None]
        lock = cls.of(described[1], described[2], packages)
        # Attack: a second line for the same package, of which a reader checks one and the build takes the other.
        if lock.text() != text or len({one.file for one in packages}) != len(packages):
            raise ImageError(f"{path.name} is not sorted, or names a package twice; write it anew: make image-lock")
        return lock
