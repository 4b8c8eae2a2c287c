"""The folder in which a demo leaves all that it writes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def emptied(directory: Path) -> Path:
    """The folder, without what an earlier demo left in it; a folder that is not a demo's is never emptied."""
    mark = directory / "made-by-make-demo"
    if directory.exists() and any(directory.iterdir()) and not mark.exists():
        sys.exit(f"{directory} holds something else; choose another with --directory")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    mark.write_text("The working folder of make demo; the next one empties it.\n", encoding="utf-8")
    return directory
