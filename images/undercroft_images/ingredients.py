"""All that the root is made of, laid out before anything is chosen: where each file lies, and what it came with."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote

from private_apt import run

from .downloads import fetch
from .errors import ImageError
from .locks import Lock, Package
from .places import LOCKS, REPOSITORY, cache
from .wheels import Wheel, fetch_wheels, metadata, unpack

LIBRARY: Final = "usr/lib/python3.13"
"""Where the standard library, the wheels and our own packages lie, in one place: no path is ever added to."""
PACKAGES: Final = {"undercroft_protocol": "protocol", "undercroft_appliance": "appliance"}
"""Our own packages that go into the image, and the folders of the repository they are in."""
PROJECT: Final = REPOSITORY / "appliance" / "pyproject.toml"
_LEFT_OUT: Final = "undercroft_appliance/devtools/"
_MOST_LINKS: Final = 8
_LICENSE: Final = re.compile(r"^License: *(\S.*)$", re.MULTILINE)
_FORMAT: Final = "https://www.debian.org/doc/packaging-manuals/copyright-format/"


@dataclass(frozen=True, slots=True, order=True)
class Component:
    """Something that is made elsewhere and goes in as one piece. ``address`` is its package URL (purl), ``sha256``
    (hex) its archive's; the licences are those that it names itself: as an SPDX ``expression``, or as it calls them."""

    name: str
    version: str
    address: str
    sha256: str | None
    licenses: tuple[str, ...] = ()
    expression: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A file that may go in: its component, its name there, and where it lies now."""

    component: Component
    path: str
    place: Path = field(compare=False)


@dataclass(frozen=True, slots=True)
class Ingredients:
    """``debian``: the files of the packages, ``modules``: what may lie in LIBRARY, both by their names below those
    roots; ``licenses``: the texts of the wheels by their names in the root; ``fresh``: our sources that git does not
    track yet."""

    debian: Mapping[str, Item]
    modules: Mapping[str, Item]
    licenses: Mapping[str, Item]
    own: Component
    fresh: tuple[str, ...]

    def resolved(self, name: str) -> Item | None:
        """The file of a Debian package by a name in the root, or behind links of packages."""
        return follow(self.debian, name)


def gather(work: Path) -> Ingredients:
    """Fetch and unpack all of it into the empty folder ``work``. Raises ImageError."""
    debian = _debian(work / "debs")
    own = own_component()
    ours, fresh = own_sources(REPOSITORY, own)
    modules: dict[str, Item] = {}
    for name in debian:
        if name.startswith(f"{LIBRARY}/") and (item := follow(debian, name)) is not None:
            modules[name.removeprefix(f"{LIBRARY}/")] = item
    wheels, licenses = _wheels(work / "wheels")
    return Ingredients(debian, merged(merged(modules, wheels), ours), licenses, own, fresh)


def merged(modules: Mapping[str, Item], more: Mapping[str, Item]) -> dict[str, Item]:
    """Both of them. Raises ImageError where they have a module's name in common, in whatever form."""
    taken = {_top(name) for name in modules}
    for name, item in more.items():
        # Attack: a wheel brings a `hashlib/` or `undercroft_protocol/`, and its code is taken for Python's or ours.
        if _top(name) in taken:
            raise ImageError(f"{item.component.name} brings {name}, a name that is already taken in the root")
    return {**modules, **more}


def _top(name: str) -> str:
    """The name that the module of a file is imported by, up to the first dot."""
    return name.removeprefix("lib-dynload/").partition("/")[0].partition(".")[0]


def follow(files: Mapping[str, Item], name: str) -> Item | None:
    """The file at a name, followed through symbolic links among the packages' own files; None where there is none."""
    for _ in range(_MOST_LINKS):
        # A folder on the way may be a link too, such as that of a package's documents.
        item = next((files[str(one)] for one in _upwards(name) if str(one) in files), None)
        if item is None:
            return None
        if not item.place.is_symlink():
            return item if item.path == name and item.place.is_file() else None
        target = str(item.place.readlink())
        base = PurePosixPath("/") / PurePosixPath(item.path).parent
        rest = PurePosixPath(name).relative_to(item.path)
        name = os.path.normpath(base / target / rest).lstrip("/")
    return None


def _upwards(name: str) -> list[PurePosixPath]:
    path = PurePosixPath(name)
    return [path, *path.parents]


def _debian(work: Path) -> dict[str, Item]:
    packages = fetch(Lock.read(LOCKS / "root.lock"), cache() / "debs")
    found: dict[str, Item] = {}
    for package, archive in packages.items():
        place = work / package.file
        place.mkdir(parents=True)
        run("dpkg-deb", "-x", archive, place)
        component = debian_component(package, place)
        for path in place.rglob("*"):
            if path.is_symlink() or path.is_file():
                name = path.relative_to(place).as_posix()
                if name in found:
                    raise ImageError(f"{name} is in two packages: {found[name].component.name} and {package.name}")
                found[name] = Item(component, name, path)
    return found


def debian_component(package: Package, place: Path | None = None) -> Component:
    """A Debian package, which is unpacked in ``place``, with the licences that its copyright file names (DEP-5)."""
    architecture = package.file.removesuffix(".deb").rpartition("_")[2]
    address = f"pkg:deb/debian/{quote(package.name)}@{quote(package.version)}?arch={architecture}&distro=trixie"
    if place is None:
        return Component(package.name, package.version, address, package.sha256)
    copyright_file = place / "usr/share/doc" / package.name / "copyright"
    licenses: tuple[str, ...] = ()
    if copyright_file.is_file():
        text = copyright_file.read_text(encoding="utf-8", errors="replace")
        if _FORMAT.removeprefix("https:") in text.splitlines()[0]:
            licenses = tuple(sorted(set(_LICENSE.findall(text))))
    return Component(package.name, package.version, address, package.sha256, licenses)


def _wheels(work: Path) -> tuple[dict[str, Item], dict[str, Item]]:
    """The wheels' modules by their names in LIBRARY, and their licences by their names in the root."""
    modules: dict[str, Item] = {}
    licenses: dict[str, Item] = {}
    for wheel in fetch_wheels():
        component = _of_wheel(wheel)
        for name, content in unpack(wheel.path).items():
            place = work / wheel.name / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            item = Item(component, name, place)
            folder, _, rest = name.partition("/")
            if not folder.endswith(".dist-info"):
                if name in modules:
                    raise ImageError(f"{name} is in two wheels: {modules[name].component.name} and {wheel.name}")
                modules[name] = item
            elif rest.startswith("licenses/"):
                licenses[f"usr/share/doc/{wheel.name}/{rest.removeprefix('licenses/')}"] = item
    return modules, licenses


def _of_wheel(wheel: Wheel) -> Component:
    described = metadata(wheel)
    called = described["License"]
    address = f"pkg:pypi/{wheel.name}@{quote(wheel.version)}"
    return Component(
        wheel.name, wheel.version, address, wheel.sha256, (called,) if called else (), described["License-Expression"]
    )


def own_component() -> Component:
    """What is ours, with the version and licence of `PROJECT`."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    version = project["version"]
    return Component("undercroft", version, f"pkg:generic/undercroft@{version}", None, (), project["license"])


def own_sources(repository: Path, own: Component) -> tuple[dict[str, Item], tuple[str, ...]]:
    """Our sources by their names in LIBRARY, and the paths of those among them that git does not track yet.

    They are what git tracks or would track; all of them outside of a checkout, as in a released archive.
    """
    # Mishap: a file that git ignores lies beside the sources, and nobody else has it.
    tracked = _listed(repository, "--cached")
    fresh = _listed(repository, "--others", "--exclude-standard")
    if tracked is None or fresh is None:
        places = [path for name, folder in PACKAGES.items() for path in (repository / folder / name).rglob("*.py")]
        tracked, fresh = [path.relative_to(repository).as_posix() for path in places], []
    ours = {}
    for path in sorted({*tracked, *fresh}):
        name = path.partition("/")[2]
        if (repository / path).is_file() and not name.startswith(_LEFT_OUT):
            ours[name] = Item(own, path, repository / path)
    return ours, tuple(sorted(path for path in fresh if path.partition("/")[2] in ours))


def _listed(repository: Path, *which: str) -> list[str] | None:
    """Our Python sources as git lists them; None where this is not the top of a checkout."""
    if not (repository / ".git").exists():
        return None
    patterns = [f"{folder}/{name}/*.py" for name, folder in PACKAGES.items()]
    done = subprocess.run(
        ["git", "-C", repository, "ls-files", "-z", *which, "--", *patterns],
        stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise ImageError(f"git does not say which sources there are:\n{done.stderr.decode(errors='replace')}")
    return [name for name in done.stdout.decode().split("\0") if name]
