"""The machine that builds: a small Debian from a lock, in a folder of its own.

So the compiler is the same for everyone, whatever the machine around it runs. Programs run in it by chroot(2): as root
directly, for others in a user namespace. The emulator runs outside of it, by the builder's own loader.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from private_apt import exclusive, run, say

from .downloads import fetch
from .errors import ImageError
from .locks import Lock
from .places import LOCKS, cache

EPOCH: Final = 1767225600
"""2026-01-01 00:00 UTC: the time of every file in an image, in seconds since 1970."""
_STAMP: Final = "etc/undercroft-builder"
_NODES: Final = {"null": (1, 3), "zero": (1, 5), "random": (1, 8), "urandom": (1, 9)}
_ENVIRONMENT: Final = {
    "HOME": "/tmp",  # noqa: S108 - of the builder's own root
    "LC_ALL": "C",
    "PATH": "/usr/sbin:/usr/bin",
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": str(EPOCH),
    "TZ": "UTC",
}
_LOADER: Final = "usr/lib64/ld-linux-x86-64.so.2"
_LIBRARIES: Final = "usr/lib/x86_64-linux-gnu"
_LAST_WORDS: Final = 4000


@dataclass(frozen=True, slots=True)
class Builder:
    """``root``: where its file system lies."""

    root: Path

    @classmethod
    def ready(cls) -> Builder:
        """The builder of the lock, made if it is not there. Raises ImageError."""
        if os.uname().machine != "x86_64":
            raise ImageError("an image is built on an x86_64 machine: the locked compiler is one of those")
        path = LOCKS / "builder.lock"
        lock = Lock.read(path)
        places = cache()
        with exclusive(places / "builder.busy"):
            builder = cls(places / "builder")
            stamp = builder.root / _STAMP
            if not stamp.exists() or stamp.read_bytes() != path.read_bytes():
                packages = fetch(lock, places / "debs")
                say(f"unpacking the builder's {len(packages)} packages ...")
                builder._make(packages.values())
                stamp.write_bytes(path.read_bytes())
            builder._make_nodes()
        return builder

    def _make(self, archives: Iterable[Path]) -> None:
        if self.root.exists():
            shutil.rmtree(self.root)
        self.root.mkdir(parents=True)
        # base-files has the links from /bin to /usr/bin, through which others unpack.
        for archive in sorted(archives, key=lambda one: (not one.name.startswith("base-files_"), one.name)):
            run("dpkg-deb", "-x", archive, self.root)
        # What maintainer scripts would do, as far as a build needs it.
        (self.root / "usr/bin/awk").symlink_to("gawk")
        (self.root / "tmp").chmod(0o1777)
        (self.root / "work").mkdir()

    def _make_nodes(self) -> None:
        """For root: other users see this machine's own."""
        missing = {name: numbers for name, numbers in _NODES.items() if not (self.root / "dev" / name).exists()}
        # Mishap: an ordinary user made the builder, and for root the first `> /dev/null` in it makes a plain file.
        for name, numbers in missing.items() if os.geteuid() == 0 else ():
            os.mknod(self.root / "dev" / name, stat.S_IFCHR | 0o666, os.makedev(*numbers))
            (self.root / "dev" / name).chmod(0o666)

    def run(self, *command: str | Path, folder: Path, settings: Mapping[str, str] | None = None) -> str:
        """Run a program inside, in ``folder`` (of this root, seen from outside); what it printed.

        Paths in the command are seen from outside and lie below the root. Raises ImageError with its last words.
        """
        words = [str(self.inside(part)) if isinstance(part, Path) else part for part in command]
        inner = ["/usr/bin/env", "-C", str(self.inside(folder)), *words]
        done = subprocess.run(
            [*self._entrance(), *inner],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env={**_ENVIRONMENT, **(settings or {})}, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise ImageError(f"{' '.join(words[:6])} failed in the builder:\n{done.stdout[-_LAST_WORDS:]}")
        return done.stdout

    def _entrance(self) -> list[str]:
        if os.geteuid() == 0:
            return ["/usr/sbin/chroot", str(self.root)]
        script = 'mount --rbind /dev "$0/dev" && exec /usr/sbin/chroot "$0" "$@"'
        return ["/usr/bin/unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c", script, str(self.root)]

    def inside(self, path: Path) -> Path:
        """How a path below the root is called inside. Raises ValueError for any other."""
        return Path("/") / path.relative_to(self.root)

    @contextmanager
    def workspace(self, name: str) -> Iterator[Path]:
        """An empty folder inside for one piece of work, gone afterwards; a second one of that name waits for it."""
        # Always the same path, so that none can get into a file; what an interrupted build left there is removed.
        place = self.root / "work" / name
        with exclusive(self.root.with_name(f"{self.root.name}-{name}.busy")):
            if place.exists():
                shutil.rmtree(place)
            place.mkdir(parents=True)
            try:
                yield place
            finally:
                shutil.rmtree(place)

    def outside(self, program: str) -> list[str]:
        """How to run a single program of the builder without entering it, such as the emulator."""
        libraries = self.root / _LIBRARIES
        return [str(self.root / _LOADER), "--library-path", f"{libraries}:{libraries}/pulseaudio",
                str(self.root / "usr/bin" / program)]  # fmt: skip
