"""The emulator's own device tree, changed: what the image does on it is told by the tree alone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from undercroft_images.builder import Builder

from .machine import BARE, VIRT

Change: TypeAlias = tuple[str, str, tuple[str, ...]]
"""A node, a property of it, and the strings that it has from now on."""


def changed_tree(builder: Builder, place: Path, changes: Iterable[Change]) -> Path:
    """Write the tree of the machine "virt", with these changes, to ``place``. Raises ImageError."""
    command = [*builder.outside("qemu-system-aarch64"), *BARE, *VIRT, "-machine", f"dumpdtb={place}"]
    subprocess.run(command, check=True, capture_output=True)
    with builder.workspace("tree") as work:
        tree = work / "tree.dtb"
        tree.write_bytes(place.read_bytes())
        for node, name, values in changes:
            builder.run("fdtput", "-t", "s", tree, node, name, *values, folder=work)
        place.write_bytes(tree.read_bytes())
    return place
