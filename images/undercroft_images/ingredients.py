"""All that the root is made of, laid out before anything is chosen: where each file lies, and what it came with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from private_apt import run

from .components import Component, copyright_file, debian_component, own_component, wheel_component
from .downloads import fetch
from .errors import ImageError
from .locks import Lock
from .places import LOCKS, REPOSITORY, cache
from .wheels import fetch_wheels, unpack

LIBRARY: Final = "usr/lib/python3.13"
"""Where the standard library, the wheels and our own packages lie, in one place: no path is ever added to."""
PACKAGES: Final = {"undercroft_protocol": "protocol", "undercroft_appliance": "appliance"}
"""Our own packages that go into the image, and the folders of the repository they are in."""
LEFT_OUT: Final = "undercroft_appliance/devtools/"
"""Tools for developers, by the beginning of their names in LIBRARY."""
_MOST_LINKS: Final = 8


@dataclass(frozen=True, slots=True)
class Item:
    """A file that may go in: its component, its name there, and where it lies now."""

    component: Component
    path: str
    place: Path = field(compare=False)


@dataclass(frozen=True, slots=True)
class Ingredients:
    """``debian``: the files of the packages, ``modules``: what may lie in LIBRARY, both by their names below those
    roots; ``licenses``: the texts of the wheels by their names in the root."""

    debian: Mapping[str, Item]
    modules: Mapping[str, Item]
    licenses: Mapping[str, Item]
    own: Component

    def resolved(self, name: str) -> Item | None:
        """The file of a Debian package by a name in the root, or behind links of packages."""
        return follow(self.debian, name)


def gather(work: Path) -> Ingredients:
    """Fetch and unpack all of it into the empty folder ``work``. Raises ImageError."""
    debian = _debian(work / "debs")
    own = own_component()
    ours = own_sources(REPOSITORY, own)
    modules: dict[str, Item] = {}
    for name in debian:
        if name.startswith(f"{LIBRARY}/") and (item := follow(debian, name)) is not None:
            modules[name.removeprefix(f"{LIBRARY}/")] = item
    wheels, licenses = _wheels(work / "wheels")
    return Ingredients(debian, merged(merged(modules, wheels), ours), licenses, own)


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
    places = {package: work / package.file for package in packages}
    for package, archive in packages.items():
        places[package].mkdir(parents=True)
        run("dpkg-deb", "-x", archive, places[package])
    found: dict[str, Item] = {}
    for package, place in places.items():
        text = copyright_file(places.values(), package.name)
        component = debian_component(package, packages[package], text)
        for path in place.rglob("*"):
            if path.is_symlink() or path.is_file():
                name = path.relative_to(place).as_posix()
                if name in found:
                    raise ImageError(f"{name} is in two packages: {found[name].component.name} and {package.name}")
                found[name] = Item(component, name, path)
    return found


def _wheels(work: Path) -> tuple[dict[str, Item], dict[str, Item]]:
    """The wheels' modules by their names in LIBRARY, and their licences by their names in the root."""
    modules: dict[str, Item] = {}
    licenses: dict[str, Item] = {}
    for wheel in fetch_wheels():
        component = wheel_component(wheel)
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


def own_sources(repository: Path, own: Component) -> dict[str, Item]:
    """Our sources by their names in LIBRARY: what git tracks or would track; all of them outside of a checkout, as in
    a released archive."""
    # Mishap: a file that git ignores lies beside the sources, and nobody else has it.
    listed = _listed(repository)
    if listed is None:
        places = [path for name, folder in PACKAGES.items() for path in (repository / folder / name).rglob("*.py")]
        listed = [path.relative_to(repository).as_posix() for path in places]
    ours = {}
    for path in sorted(listed):
        name = path.partition("/")[2]
        if (repository / path).is_file() and not name.startswith(LEFT_OUT):
            ours[name] = Item(own, path, repository / path)
    return ours


def _listed(repository: Path) -> list[str] | None:
    """Our Python sources as git lists them; None where this is not the top of a checkout."""
    if not (repository / ".git").exists():
        return None
    patterns = [f"{folder}/{name}/*.py" for name, folder in PACKAGES.items()]
    done = subprocess.run(
        ["git", "-C", repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise ImageError(f"git does not say which sources there are:\n{done.stderr.decode(errors='replace')}")
    return [name for name in done.stdout.decode().split("\0") if name]
