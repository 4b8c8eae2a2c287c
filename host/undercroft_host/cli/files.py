"""Files that a command writes."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import Conflict, Failure


def check_new(path: Path) -> None:
    """A file can be made there, as far as can be told beforehand. Raises Conflict, Failure."""
    # A link that leads nowhere is there too: writing would make a file somewhere else.
    if os.path.lexists(path):
        raise Conflict(f"{path} is there already")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise Failure(f"{path}: there is no folder {path.parent} in which you can write")


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not be there yet. Raises Conflict, Failure."""
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise Conflict(f"{path} is there already") from None
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error
