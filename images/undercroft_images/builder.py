"""The machine that builds: a small Debian from a lock, in a folder of its own.

So the compiler is the same for everyone, whatever the machine around it runs. Programs run in it by chroot(2): as root
directly where it may make device nodes, for all others in a user namespace. The emulator runs outside of it, by the
builder's own loader.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from private_apt import exclusive, run, say

from . import keeping
from .downloads import fetch
from .errors import ImageError
from .locks import Lock
from .places import LOCKS, own_cache

EPOCH: Final = 1767225600
"""2026-01-01 00:00 UTC: the time of every file in an image, in seconds since 1970."""
_STAMP: Final = Path("etc/undercroft-builder")
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
_CHROOT: Final = ("/usr/sbin/chroot",)
_NAMESPACE: Final = (
    "/usr/bin/unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c",
    'mount --rbind /dev "$0/dev" && exec /usr/sbin/chroot "$0" "$@"',
)  # fmt: skip
_NO_WAY_IN: Final = (
    "this machine does not let its user enter the builder ({}). An ordinary user needs user namespaces: "
    "`unshare --user --map-root-user true` says why it has none, often one of the settings user.max_user_namespaces, "
    "kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns, or the container around it. "
    "Root needs chroot, and leave to make device nodes"
)
_PROBE: Final = ("/usr/bin/sh", "-c", "test -c /dev/null && : > /dev/null && : < /dev/urandom")


@dataclass(frozen=True, slots=True)
class Builder:
    """``root``: where its file system lies; ``entrance``: the command that goes there, given it and what to run."""

    root: Path
    entrance: tuple[str, ...] = _CHROOT

    @classmethod
    def ready(cls) -> Builder:
        """The builder of the lock, made if it is not there. Raises ImageError."""
        if os.uname().machine != "x86_64":
            raise ImageError("an image is built on an x86_64 machine: the locked compiler is one of those")
        lock = Lock.read(LOCKS / "builder.lock")
        places = own_cache()
        # By its lock, so that two clones with different ones each have theirs.
        key = hashlib.sha256(lock.text().encode()).hexdigest()[:16]
        builder = cls(places / f"builder-{key}")
        stamp = builder.root / _STAMP
        with exclusive(builder.busy("making")):
            if not stamp.exists():
                keeping.drop_unused(places.glob("builder-*"), _STAMP)
                packages = fetch(lock, places / "debs")
                say(f"unpacking the builder's {len(packages)} packages ...")
                builder._make(packages.values())
                stamp.write_text(lock.text(), encoding="ascii")
            keeping.use(stamp)
            return replace(builder, entrance=builder._way_in())

    def busy(self, what: str) -> Path:
        """The file that is locked by whoever does ``what`` with this builder."""
        return self.root.with_name(f"{self.root.name}-{what}.busy")

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

    def _way_in(self) -> tuple[str, ...]:
        """The first entrance that works here. Raises ImageError."""
        words = []
        # Root in a container may be refused device nodes, or the cache's file system may forbid their use.
        for entrance in (_CHROOT, _NAMESPACE) if os.geteuid() == 0 and self._make_nodes() else (_NAMESPACE,):
            done = subprocess.run(
                [*entrance, self.root, *_PROBE],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                env=_ENVIRONMENT,
            )  # fmt: skip
            if done.returncode == 0:
                return entrance
            words.append(done.stdout.strip() or f"{entrance[0]} ended with code {done.returncode}")
        raise ImageError(_NO_WAY_IN.format("; ".join(words)))

    def _make_nodes(self) -> bool:
        """Whether root may make device nodes here; the others see this machine's own."""
        try:
            for name, numbers in _NODES.items():
                node = self.root / "dev" / name
                if not node.is_char_device():
                    node.unlink(missing_ok=True)
                    os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(*numbers))
                    node.chmod(0o666)
        except PermissionError:
            return False
        return True

    def run(self, *command: str | Path, folder: Path, settings: Mapping[str, str] | None = None) -> str:
        """Run a program inside, in ``folder`` (of this root, seen from outside); what it printed.

        Paths in the command are seen from outside and lie below the root. Raises ImageError with its last words.
        """
        words = [str(self.inside(part)) if isinstance(part, Path) else part for part in command]
        inner = ["/usr/bin/env", "-C", str(self.inside(folder)), *words]
        done = subprocess.run(
            [*self.entrance, self.root, *inner],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env={**_ENVIRONMENT, **(settings or {})}, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise ImageError(f"{' '.join(words[:6])} failed in the builder:\n{done.stdout[-_LAST_WORDS:]}")
        return done.stdout

    def inside(self, path: Path) -> Path:
        """How a path below the root is called inside. Raises ValueError for any other."""
        return Path("/") / path.relative_to(self.root)

    @contextmanager
    def workspace(self, name: str) -> Iterator[Path]:
        """An empty folder inside for one piece of work, gone afterwards; a second one of that name waits for it."""
        # Always the same path, so that none can get into a file; what an interrupted build left there is removed.
        place = self.root / "work" / name
        with exclusive(self.busy(name)):
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
