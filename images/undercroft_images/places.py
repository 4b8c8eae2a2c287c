"""Where things lie."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from .errors import ImageError

IMAGES: Final = Path(__file__).resolve().parent.parent
REPOSITORY: Final = IMAGES.parent
LOCKS: Final = IMAGES / "locks"
OUTPUT: Final = REPOSITORY / "build" / "image"
"""What a build leaves: the files that are shipped and what describes them."""
CACHE_SETTING: Final = "UNDERCROFT_IMAGE_CACHE"
"""The environment variable that names another place for `cache`."""


def cache() -> Path:
    """What is kept between builds and told apart by hashes: downloads, builders, kernels.

    What `CACHE_SETTING` names, else a folder in the user's own cache (XDG Base Directory Specification).
    """
    named = os.environ.get(CACHE_SETTING)
    if named:
        return Path(named).resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "undercroft-image"


def own_cache() -> Path:
    """`cache`, made if it is not there. Raises ImageError for one that somebody else has, or can write to."""
    place = cache()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = place.stat()
    # Mishap: made with sudo once, or by a user whose home root works in.
    if found.st_uid != os.geteuid():
        raise ImageError(f"{place} belongs to another user; name a folder of your own in {CACHE_SETTING}")
    # Attack: another user of this machine puts a compiler there.
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ImageError(
            f"others can write to {place}, and so decide what is built; chmod go-w it, or build from nothing"
        )
    return place
