"""Builds twice from nothing, each time as another machine might, and compares every byte."""

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

from private_apt import say

from .build import hashes
from .errors import ImageError
from .places import CACHE_SETTING, cache


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What may differ between two machines: the name of the cache's folder, ``environment``, ``umask``."""

    folder: str
    environment: Mapping[str, str]
    umask: int


BOTH: Final = (
    Surroundings("one", {"LC_ALL": "C", "PYTHONHASHSEED": "1", "TZ": "UTC"}, 0o022),
    Surroundings("another", {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2", "TZ": "Pacific/Kiritimati"}, 0o077),
)
Build = Callable[[Path, Path, Surroundings], None]
"""Builds into the first folder with the second as its cache. Raises ImageError."""


def verify(build: Build | None = None) -> dict[str, str]:
    """The SHA-256 (hex) of each file by its name. Raises ImageError when two builds from nothing differ."""
    kept = cache()
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "debs").mkdir(exist_ok=True)
    found = []
    # In the cache's file system, which has the room, and device nodes.
    with tempfile.TemporaryDirectory(prefix="verify-", dir=kept) as place:
        for number, surroundings in enumerate(BOTH, start=1):
            say(f"build {number} of {len(BOTH)}, from nothing but the downloads")
            home, output = Path(place, surroundings.folder), Path(place, f"output{number}")
            home.mkdir()
            (home / "debs").symlink_to(kept / "debs")
            (build or _in_a_process)(output, home, surroundings)
            found.append(hashes(output))
            shutil.rmtree(home)
    one, other = found
    if differing := sorted(name for name in one | other if one.get(name) != other.get(name)):
        raise ImageError(f"two builds differ in {', '.join(differing)}")
    return one


def _in_a_process(output: Path, home: Path, surroundings: Surroundings) -> None:
    # One of its own: numbers of processes, and the order of sets, are other ones.
    done = subprocess.run(
        [sys.executable, "-m", __package__, "build", "--output", output],
        stdin=subprocess.DEVNULL, umask=surroundings.umask, check=False,
        env={**os.environ, **surroundings.environment, CACHE_SETTING: str(home)},
    )  # fmt: skip
    if done.returncode != 0:
        raise ImageError("one of the two builds failed")
