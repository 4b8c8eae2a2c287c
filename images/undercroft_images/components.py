"""What was made elsewhere and goes in as one piece: version, address and licences, as it tells them itself."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from private_apt import run

from .errors import ImageError
from .locks import Package
from .places import REPOSITORY
from .wheels import Wheel, metadata

PROJECT: Final = REPOSITORY / "appliance" / "pyproject.toml"
_DOCUMENTS: Final = "usr/share/doc"
_MOST_LINKS: Final = 8
_FORMAT: Final = "//www.debian.org/doc/packaging-manuals/copyright-format/"
_LICENSE: Final = re.compile(r"^License:[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
_IN_PROSE: Final = {
    "GCC RUNTIME LIBRARY EXCEPTION\n\nVersion 3.1": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2\n": "Python-2.0.1",
}
"""Copyright files that no program can read: a heading in them, and what they come to for our part (SPDX)."""


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


def debian_component(package: Package, archive: Path, copyright_text: str | None = None) -> Component:
    """A Debian package, with the licences that its copyright file names.

    Its version is that of the archive's control file: the file's name lacks the epoch, without which it compares as
    older than it is. Raises ImageError.
    """
    described = run("dpkg-deb", "-f", archive, "Architecture", "Source", "Version")
    fields = dict(line.split(": ", 1) for line in described.splitlines())
    version = fields["Version"]
    address = f"pkg:deb/debian/{quote(package.name)}@{_quoted(version)}?arch={fields['Architecture']}&distro=trixie"
    # Debian's lists of weaknesses name source packages; "name (version)" where the version is another one.
    if (source := fields.get("Source", "").replace(" (", "@").removesuffix(")")) not in ("", package.name):
        address += f"&upstream={_quoted(source)}"
    named, expression = ((), None) if copyright_text is None else licenses(copyright_text, package.name)
    return Component(package.name, version, address, package.sha256, named, expression)


def copyright_file(places: Iterable[Path], name: str) -> str:
    """The text of a Debian package's copyright file, among packages that are unpacked in these places.

    Its folder may be a link to that of another. Raises ImageError.
    """
    places = list(places)
    for _ in range(_MOST_LINKS):
        folders = [place / _DOCUMENTS / name for place in places]
        link = next((one for one in folders if one.is_symlink()), None)
        if link is None:
            texts = [one / "copyright" for one in folders if (one / "copyright").is_file()]
            if len(texts) == 1:
                return texts[0].read_text(encoding="utf-8", errors="replace")
            break
        name = link.readlink().name
    raise ImageError(f"the package {name} has no copyright file, or more than one")


def licenses(copyright_text: str, name: str) -> tuple[tuple[str, ...], str | None]:
    """The licences that a copyright file names (DEP-5), or else the SPDX expression that it comes to.

    Raises ImageError for a text in prose that is not in the list here.
    """
    if _FORMAT in copyright_text.partition("\n")[0]:
        found: tuple[str, ...] = tuple(sorted(set(_LICENSE.findall(copyright_text))))
        if found:
            return found, None
    known = [expression for heading, expression in _IN_PROSE.items() if heading in copyright_text]
    # Mishap: a new package, or a new text, of which nobody has looked at the licence.
    if len(known) != 1:
        raise ImageError(f"{name}: its copyright file names no licence that a program can read; see _IN_PROSE")
    return (), known[0]


def wheel_component(wheel: Wheel) -> Component:
    """A wheel, with the licence that its METADATA names."""
    described = metadata(wheel)
    called = described["License"]
    address = f"pkg:pypi/{wheel.name}@{_quoted(wheel.version)}"
    return Component(
        wheel.name, wheel.version, address, wheel.sha256, (called,) if called else (), described["License-Expression"]
    )


def own_component() -> Component:
    """What is ours, with the version and licence of `PROJECT`."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    version = project["version"]
    return Component("undercroft", version, f"pkg:generic/undercroft@{version}", None, (), project["license"])


def _quoted(version: str) -> str:
    """In a package URL, the colon of an epoch stays as it is."""
    return quote(version, safe=":")
