"""What `tools/fetch_debs.py` put into `.tools/debs`: programs and libraries that benchmarks and tests compare with."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import shutil
from pathlib import Path
from typing import Final

_DEBS: Final = Path(__file__).resolve().parents[2] / ".tools" / "debs"


def program(name: str) -> Path | None:
    """A fetched program, or the system's; None if there is none."""
    for folder in sorted(_DEBS.glob("*")):
        if (folder / name).exists():
            return folder / name
    found = shutil.which(name)
    return None if found is None else Path(found)


def libzbar() -> str | None:
    """The system's zbar library, or the path of the fetched one with what it needs loaded; None if there is none."""
    if (found := ctypes.util.find_library("zbar")) is not None:
        return found
    wanted = _DEBS / "libzbar0" / "libzbar.so.0"
    if not wanted.exists():
        return None
    waiting = sorted(wanted.parent.glob("*.so.*"))
    while waiting:
        # One that is loaded is found by its name by those that need it: the leaves come first, then what needs them.
        unloaded = [library for library in waiting if not _loads(library)]
        if len(unloaded) == len(waiting):
            return None
        waiting = unloaded
    return str(wanted)


def lend_zbar() -> str | None:
    """Let `import pyzbar.pyzbar` find the fetched library in this process; returns what `libzbar` does."""
    path = libzbar()
    if path is not None:
        library = importlib.import_module("pyzbar.zbar_library")
        library.find_library = lambda name: path if name == "zbar" else ctypes.util.find_library(name)  # type: ignore[attr-defined]
    return path


def _loads(library: Path) -> bool:
    try:
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True
