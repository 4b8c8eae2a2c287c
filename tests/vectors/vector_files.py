"""A folder of vectors: one JSON file each, written anew or compared with what would be written."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path


def unique(files: Iterable[tuple[str, str]]) -> dict[str, str]:
    """File names and texts. Raises ValueError for a name that is there twice."""
    found: dict[str, str] = {}
    for name, text in files:
        if name in found:
            raise ValueError(f"{name} twice")
        found[name] = text
    return found


def differing(folder: Path, files: Mapping[str, str]) -> list[str]:
    """The names of the files that are not as they would be written."""
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in files.keys() | there.keys() if files.get(name) != there.get(name))


def main(folder: Path, files: Mapping[str, str]) -> int:
    """Write the folder, or with `--check` say what differs; returns the exit code."""
    if sys.argv[1:] == ["--check"]:
        found = differing(folder, files)
        print("\n".join(found) or "as written")
        return 1 if found else 0
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.json"):
        if path.name not in files:
            path.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return 0
