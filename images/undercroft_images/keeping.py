"""How long the cache keeps what it can make again: until nothing has used it for `DAYS` days."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from private_apt import say

DAYS: Final = 30
_DAY_SECONDS: Final = 86400


def use(stamp: Path) -> None:
    """Note on the file ``stamp`` that what it marks was used now."""
    os.utime(stamp)


def drop_unused(folders: Iterable[Path], stamp: Path) -> None:
    """Remove those of these folders whose file ``stamp`` (relative) is older than `DAYS` days; half-made ones stay."""
    oldest = time.time() - DAYS * _DAY_SECONDS
    for folder in folders:
        mark = folder / stamp
        if mark.exists() and mark.stat().st_mtime < oldest:
            say(f"removing {folder.name}: not used for {DAYS} days")
            # Mishap: it is interrupted in the middle, and the rest passes for the whole.
            mark.unlink()
            shutil.rmtree(folder)
