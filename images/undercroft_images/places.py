"""Where things lie."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

IMAGES: Final = Path(__file__).resolve().parent.parent
REPOSITORY: Final = IMAGES.parent
LOCKS: Final = IMAGES / "locks"
OUTPUT: Final = REPOSITORY / "build" / "image"
"""What a build leaves: the files that are shipped and what describes them."""
CACHE_SETTING: Final = "UNDERCROFT_IMAGE_CACHE"
"""The environment variable that names another place for `cache`."""


def cache() -> Path:
    """What is kept between builds and told apart by hashes: downloads, the builder's root, kernels.

    What `CACHE_SETTING` names, else a folder in the user's own cache (XDG Base Directory Specification).
    """
    named = os.environ.get(CACHE_SETTING)
    if named:
        return Path(named).resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "undercroft-image"
