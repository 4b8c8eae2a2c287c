"""Of which commit an image is built, and whether what it is built of is, byte for byte, what that commit holds."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .components import PROJECT, own_component
from .errors import ImageError
from .ingredients import LEFT_OUT, PACKAGES, own_sources
from .places import IMAGES, REPOSITORY
from .wheels import LOCK as WHEELS

_APT: Final = REPOSITORY / "tools" / "private_apt.py"
_IMAGES: Final = "images/"


@dataclass(frozen=True, slots=True)
class Sources:
    """``commit``: git's name of it (hex); None outside of a checkout. ``changed``: paths of what is not as there."""

    commit: str | None
    changed: tuple[str, ...] = ()


def inputs() -> list[Path]:
    """All files of this repository that decide on the image's bytes. Raises ImageError."""
    files = [path for path in IMAGES.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    ours = own_sources(REPOSITORY, own_component())
    return sorted([*files, *(item.place for item in ours.values()), PROJECT, WHEELS, _APT])


def of(repository: Path, files: Iterable[Path]) -> Sources:
    """What these files of a repository are, compared with the commit that is checked out. Raises ImageError."""
    if not (repository / ".git").exists():
        return Sources(None)
    commit = _git(repository, "rev-parse", "--verify", "HEAD").decode().strip()
    held = {}
    for line in _git(repository, "ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0")[:-1]:
        kind, _, name = os.fsdecode(line).partition("\t")
        held[name] = kind.split()[2]
    names = [path.relative_to(repository).as_posix() for path in files]
    # Attack: git is told to look away from a file (assume-unchanged, a filter), or to take one object for another.
    listed = os.fsencode("".join(f"{name}\n" for name in names))
    found = _git(repository, "hash-object", "--no-filters", "--stdin-paths", given=listed).decode().split()
    if len(found) != len(names):
        raise ImageError("the sources of the image have names that git cannot take")
    changed = {name for name, blob in zip(names, found, strict=True) if held.get(name) != blob}
    removed = {name for name in held if _counts(name)} - set(names)
    return Sources(commit, tuple(sorted(changed | removed)))


def _counts(name: str) -> bool:
    """Whether a file of a commit is one of `inputs`."""
    folder, _, rest = name.partition("/")
    ours = any(rest.startswith(f"{one}/") for one, place in PACKAGES.items() if place == folder)
    return name.startswith(_IMAGES) or (ours and rest.endswith(".py") and not rest.startswith(LEFT_OUT))


def _git(repository: Path, *words: str, given: bytes = b"") -> bytes:
    done = subprocess.run(
        ["git", "--no-replace-objects", "-C", repository, *words], input=given, capture_output=True, check=False
    )
    if done.returncode != 0:
        raise ImageError(f"git does not say what the image is built of:\n{done.stderr.decode(errors='replace')}")
    return done.stdout
