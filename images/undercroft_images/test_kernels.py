"""Kernels for tests: the shipped one with drivers that stand for hardware, and neither a root nor a fixed command line.

They are kept apart from everything that is shipped, under a key of all that goes into them.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Final

from private_apt import exclusive, say

from .builder import Builder
from .kernel import Kernel
from .places import IMAGES, cache

PERIPHERALS: Final = "test-peripherals"


def ready(builder: Builder, name: str = PERIPHERALS) -> Path:
    """The Image of the shipped options and of the fragment ``name``, built if it is not there. Raises ImageError."""
    kernel = Kernel.ready(builder)
    options = (IMAGES / "kernel" / f"{name}.config").read_text(encoding="ascii")
    key = hashlib.sha256(f"{kernel.objects.name}\0{options}".encode()).hexdigest()[:16]
    kept = cache() / "test-kernels" / f"{name}-{key}"
    kept.parent.mkdir(exist_ok=True)
    with exclusive(cache() / "test-kernels.busy"):
        if not kept.exists():
            say(f"building the kernel {name} (1 to 3 minutes; kept for the next time) ...")
            with builder.workspace(name) as work:
                image = kernel.with_options(options, work / "objects")
                half = kept.with_suffix(".half")
                shutil.copyfile(image, half)
                half.replace(kept)
    return kept
