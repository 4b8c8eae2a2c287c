"""Builds twice, as two machines might, and compares every byte."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from private_apt import run, say

from . import manifest
from .errors import ImageError
from .places import CACHE_SETTING, OUTPUT, REPOSITORY, own_cache
from .sources import inputs


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What may differ between two machines: the name of the folder that all lies in, ``environment``, ``umask``."""

    folder: str
    environment: Mapping[str, str]
    umask: int


BOTH: Final = (
    Surroundings("one", {"LC_ALL": "C", "PYTHONHASHSEED": "1", "TZ": "UTC"}, 0o022),
    Surroundings("and another", {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2", "TZ": "Pacific/Kiritimati"}, 0o077),
)


@dataclass(frozen=True, slots=True)
class Order:
    """A build of the sources in ``repository`` with ``cache``, into the new folder ``output``, in ``surroundings``."""

    repository: Path
    cache: Path
    output: Path
    surroundings: Surroundings


Build = Callable[[Order], None]
"""Carries an order out. Raises ImageError."""


def verify(*, kept: bool = False, build: Build | None = None) -> dict[str, str]:
    """The SHA-256 (hex) of each file by its name, when two builds agree. Raises ImageError when they differ.

    Both are of copies of the sources and begin from nothing but downloads. With ``kept``, one is `OUTPUT` and the other
    is made with the same cache: so only the root, the link and what is packed are compared.
    """
    cache = own_cache()
    (cache / "debs").mkdir(exist_ok=True)
    begin = "with the cache's tools and kernel" if kept else "from nothing but the downloads"
    found = []
    # In the cache's file system, which has the room.
    with tempfile.TemporaryDirectory(prefix="verify-", dir=cache) as place:
        for number, surroundings in enumerate(BOTH, start=1):
            if kept and number == 1:
                order = Order(REPOSITORY, cache, OUTPUT, surroundings)
            else:
                order = _elsewhere(Path(place, surroundings.folder), surroundings, cache, kept=kept)
            say(f"build {number} of {len(BOTH)}, {begin}: {order.output}")
            (build or _in_a_process)(order)
            found.append(manifest.read(manifest.sums(order.output)))
            manifest.check_files(order.output, found[-1])
            shutil.rmtree(Path(place, surroundings.folder), ignore_errors=kept)
    one, other = found
    if differing := sorted(name for name in one | other if one.get(name) != other.get(name)):
        raise ImageError(f"two builds differ in {', '.join(differing)}")
    say(f"compared: {len(one)} files of two builds {begin}, in two folders, with two umasks, locales and time zones;")
    say("they are the same, byte for byte")
    return one


def _elsewhere(home: Path, surroundings: Surroundings, cache: Path, *, kept: bool) -> Order:
    """An order in the new folder ``home``, with a copy of the sources and, unless it is ``kept``, an empty cache."""
    order = Order(home / "sources", cache if kept else home / "cache", home / "image", surroundings)
    order.repository.mkdir(parents=True)
    if (REPOSITORY / ".git").exists():
        # For the commit, which stands in what is built. Nothing is checked out: what else lies there must not matter.
        run("git", "clone", "--quiet", "--shared", "--no-checkout", REPOSITORY, order.repository)
    for path in inputs():
        copy = order.repository / path.relative_to(REPOSITORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    if not kept:
        order.cache.mkdir(mode=0o700)
        (order.cache / "debs").symlink_to(cache / "debs")
    return order


def _in_a_process(order: Order) -> None:
    # One of its own: numbers of processes, and the order of sets, are other ones.
    modules = os.pathsep.join(str(order.repository / folder) for folder in ("images", "tools"))
    around = order.surroundings
    done = subprocess.run(
        [sys.executable, "-m", __package__, "build", "--output", order.output],
        stdin=subprocess.DEVNULL, umask=around.umask, cwd=order.repository, check=False,
        env={**os.environ, **around.environment, CACHE_SETTING: str(order.cache), "PYTHONPATH": modules},
    )  # fmt: skip
    if done.returncode != 0:
        raise ImageError("one of the two builds failed")
