"""The root as it is shipped, cut out of kernel8.img, with one file more for a test."""

from __future__ import annotations

import gzip
import stat
from pathlib import Path
from typing import Final

from undercroft_images import cpio
from undercroft_images.ingredients import LIBRARY

from . import image_peripherals_guest

_MAGIC: Final = b"070701"
_HEAD: Final = 110
_TRAILER: Final = b"TRAILER!!!\0"


def root_of(kernel8: Path) -> bytes:
    """The archive inside a kernel8.img. Raises ValueError when there is none."""
    image = gzip.decompress(kernel8.read_bytes())
    start = image.find(_MAGIC)
    while start >= 0:
        end = _end(image, start)
        if end is not None:
            return image[start:end]
        # The kernel's own code names the magic too.
        start = image.find(_MAGIC, start + 1)
    raise ValueError(f"{kernel8.name} has no root in it")


def _end(image: bytes, at: int) -> int | None:
    """Where the archive (cpio "newc") that begins here ends; None when none does."""
    while image[at : at + len(_MAGIC)] == _MAGIC:
        try:
            size, name_size = (int(image[at + place : at + place + 8], 16) for place in (54, 94))
        except ValueError:
            return None
        name = image[at + _HEAD : at + _HEAD + name_size]
        at += -(-(_HEAD + name_size) // 4) * 4 + -(-size // 4) * 4
        if name == _TRAILER:
            return at
    return None


def with_guest(root: bytes) -> bytes:
    """The archive and, in another one behind it, what plays a machine's surroundings: the kernel unpacks both."""
    source = Path(image_peripherals_guest.__file__).read_bytes()
    name = f"{LIBRARY}/{image_peripherals_guest.MODULE}.py"
    return root + bytes(-len(root) % 512) + cpio.archive({name: cpio.Entry(stat.S_IFREG | 0o644, source)})
