"""The kernel: Debian's source, an allow-list of options, and at last the root linked into it.

The slow part, a kernel without a root, is kept in the builder's root under a key of all that goes into it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from private_apt import exclusive, run, say

from . import keeping
from .builder import Builder
from .downloads import fetch
from .errors import ImageError
from .locks import Lock
from .places import IMAGES, LOCKS, cache

FRAGMENTS: Final = ("base", "harden", "arm64", "emulator", "raspberrypi")
COMMAND_LINE: Final = (
    "console=tty1 quiet loglevel=3 panic=-1 random.trust_bootloader=off page_alloc.shuffle=1 "
    "rdinit=/usr/bin/python3.13 -- -I -S -m undercroft_appliance.boot"
)
"""What follows the two dashes are the arguments of PID 1. A boot loader's seed is mixed into the random numbers, but is
not believed: who wrote the card may know it. CONFIG_SHUFFLE_PAGE_ALLOCATOR does nothing that is not asked for here."""
_FOLDER: Final = IMAGES / "kernel"
_CROSS: Final = ("ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", "LOCALVERSION=")
_REPRODUCIBLE: Final = {
    "KBUILD_BUILD_HOST": "undercroft",
    "KBUILD_BUILD_TIMESTAMP": "2026-01-01",
    "KBUILD_BUILD_USER": "undercroft",
    "KBUILD_BUILD_VERSION": "1",
}
_IMAGE: Final = Path("arch/arm64/boot/Image")
_DONE: Final = Path("done")
_WANTED: Final = "wanted.config"
"""The fragments, beside the configuration that Kconfig made of them."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel without a root: its ``source`` and its ``objects``, in the builder's root."""

    builder: Builder
    source: Path
    objects: Path

    @classmethod
    def ready(cls, builder: Builder, fragments: Sequence[str] = FRAGMENTS) -> Kernel:
        """The kernel of these fragments, built if it is not there. Raises ImageError."""
        options = [(_FOLDER / f"{name}.config").read_text(encoding="ascii") for name in fragments]
        lock = LOCKS / "kernel.lock"
        named = [line for line in "\n".join(options).splitlines() if _named(line) is not None]
        recipe = [*named, lock.read_text(), (LOCKS / "builder.lock").read_text(), *_CROSS, *_REPRODUCIBLE.values()]
        key = hashlib.sha256("\0".join(recipe).encode()).hexdigest()[:16]
        source = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
        place = builder.root / "kernel"
        kernel = cls(builder, place / f"source-{source}", place / key)
        with exclusive(builder.busy("kernel")):
            kernel._unpack(lock)
            if not (kernel.objects / _DONE).exists():
                keeping.drop_unused(place.iterdir(), _DONE)
                shutil.rmtree(kernel.objects, ignore_errors=True)
                kernel.objects.mkdir(parents=True)
                kernel._configure("\n".join(options))
                say("building the kernel (6 to 20 minutes on two cores; kept for the next time) ...")
                kernel._make("Image")
                (kernel.objects / _DONE).touch()
            for used in (kernel.source, kernel.objects):
                keeping.use(used / _DONE)
        return kernel

    def _unpack(self, lock: Path) -> None:
        stamp = self.source / _DONE
        if stamp.exists():
            return
        shutil.rmtree(self.source, ignore_errors=True)
        self.source.mkdir(parents=True)
        [archive] = fetch(Lock.read(lock), cache() / "debs").values()
        say("unpacking the kernel's source ...")
        with self.builder.workspace("source") as work:
            run("dpkg-deb", "-x", archive, work)
            [tarball] = work.glob("usr/src/linux-source-*.tar.xz")
            # The builder's: a small Debian has no xz.
            self.builder.run(
                "tar", "-C", self.source, "--strip-components=1", "--no-same-owner", "-xJf", tarball, folder=work
            )
        stamp.touch()

    def _configure(self, options: str, base: str = "allnoconfig") -> None:
        wanted = self.objects / _WANTED
        wanted.write_text(options, encoding="ascii")
        check_names(options, self.source)
        self._make(base, KCONFIG_ALLCONFIG=str(self.builder.inside(wanted)))
        check_options(options, self.options())

    def _make(self, target: str, **settings: str) -> None:
        inside = self.builder.inside
        self.builder.run(
            "make", "-s", "-C", self.source, f"O={inside(self.objects)}", *_CROSS, f"-j{len(os.sched_getaffinity(0))}",
            target, folder=self.objects, settings={**_REPRODUCIBLE, **settings},
        )  # fmt: skip

    def options(self) -> str:
        """The whole configuration, as Kconfig wrote it."""
        return (self.objects / ".config").read_text(encoding="ascii")

    def with_root(self, archive: Path, place: Path) -> Path:
        """Link a root (a cpio archive below the builder's root) into a copy at ``place``; its Image (raw).

        Raises ImageError.
        """
        template = (_FOLDER / "shipped.config.in").read_text(encoding="ascii")
        inside = str(self.builder.inside(archive))
        options = template.replace("@ROOT@", inside).replace("@COMMAND_LINE@", COMMAND_LINE)
        image = self.with_options(options, place)
        check_linked(image.read_bytes(), archive.read_bytes())
        return image

    def with_options(self, more: str, place: Path) -> Path:
        """Build a copy at ``place`` (below the builder's root) with these options changed; its Image (raw).

        Raises ImageError.
        """
        # A copy with hard links would let the relink write into the kept kernel.
        run("cp", "-a", "--reflink=auto", self.objects, place)
        linked = Kernel(self.builder, self.source, place)
        config = place / ".config"
        kept = without(self.options().splitlines(), more)
        config.write_text("\n".join([*kept, more]), encoding="ascii")
        linked._make("olddefconfig")
        # Mishap: what is changed takes something else with it.
        wanted = without((place / _WANTED).read_text(encoding="ascii").splitlines(), more)
        check_options("\n".join([*wanted, more]), linked.options())
        linked._make("Image")
        return place / _IMAGE


def check_linked(image: bytes, root: bytes) -> None:
    """Raises ImageError for an Image that lacks this root (cpio) or our command line."""
    # Mishap: the clock was set back, and for make the kept kernel is newer than its new options.
    if root not in image or COMMAND_LINE.encode() + b"\0" not in image:
        raise ImageError("the kernel was not linked with its root and command line; is this machine's clock right?")


def _named(line: str) -> str | None:
    found = re.match(r"(?:# )?(CONFIG_\w+)(?:=| is not set)", line)
    return None if found is None else found[1]


def without(lines: Iterable[str], options: str) -> list[str]:
    """The lines of a configuration that say nothing of what ``options`` name."""
    replaced = {_named(line) for line in options.splitlines()} - {None}
    return [line for line in lines if _named(line) not in replaced]


def check_names(wanted: str, source: Path) -> None:
    """Raises ImageError for options of a fragment that this source does not know."""
    # Mishap: one that is renamed upstream stays "not set" by its old name, and comes on by its new one.
    known = {
        name
        for file in source.rglob("Kconfig*")
        for name in re.findall(r"^\s*(?:menu)?config\s+(\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    named = {name.removeprefix("CONFIG_") for line in wanted.splitlines() if (name := _named(line)) is not None}
    if unknown := sorted(named - known):
        raise ImageError(f"this kernel has no options of these names: {', '.join(unknown)}")


def check_options(wanted: str, have: str) -> None:
    """Raises ImageError for options of a fragment that Kconfig did not take, or turned on all the same."""
    # Attack: by mistake, an option whose dependency is missing is dropped without a word, and a wall with it.
    lines = set(have.splitlines())
    on = {_named(line) for line in lines if not line.startswith("#")}
    lost = [
        line
        for line in wanted.splitlines()
        if (name := _named(line)) is not None and (name in on if line.startswith("#") else line not in lines)
    ]
    if lost:
        raise ImageError("the kernel's configuration did not take:\n  " + "\n  ".join(lost))
