"""The whole way: from lock files to the files that are shipped, and what describes them."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from private_apt import say

from . import manifest, rootfs, sbom, sdcard, secure_boot
from .builder import Builder
from .device_tree import compile_trees
from .downloads import file_sha256
from .errors import ImageError
from .kernel import Kernel
from .places import IMAGES, REPOSITORY
from .wheels import LOCK as WHEELS

KERNEL: Final = "kernel8.img"
CARD: Final = "sdcard.img"
BOOT: Final = "boot.img"
SBOM: Final = "sbom.json"
_ANOTHER_PART: Final = re.compile(
    rf"{manifest.SUMS}.*|boot\.sig|sdcard-signed\.img|.*\.dtb|{'|'.join(map(re.escape, (KERNEL, CARD, BOOT, SBOM)))}"
)
"""What an earlier build, or one that was interrupted, may have left, and the signatures of it."""


def build(output: Path, *, anew: bool = False) -> dict[str, str]:
    """Leave the image's files in the folder ``output``; their SHA-256 (hex) by name.

    What was built there from the same sources is left alone, unless it is to be built ``anew``. Raises ImageError.
    """
    mark = output.with_name(f"{output.name}.sources")
    sources = _sources()
    if not anew and mark.exists() and mark.read_text(encoding="ascii") == sources and (output / manifest.SUMS).exists():
        manifest.check_files(output, manifest.read(manifest.sums(output)))
        say(f"{output.name} is up to date")
        return _sums(output)
    _empty(output)
    mark.unlink(missing_ok=True)
    with _told("builder"):
        builder = Builder.ready()
    with _told("kernel"):
        kernel = Kernel.ready(builder)
    with builder.workspace("image") as work:
        with _told("root"):
            root = rootfs.build(builder, work / "root")
        with _told("kernel with the root in it"):
            image = kernel.with_root(root.archive, work / "kernel")
            # The builder's program: another version of it, or zlib's, makes other bytes.
            builder.run("gzip", "-9n", image, folder=work)
            shutil.copyfile(image.with_name(f"{image.name}.gz"), output / KERNEL)
        with _told("device trees, card, boot image"):
            trees = compile_trees(builder, kernel, work / "trees")
            files = sdcard.boot_files(output / KERNEL, trees, work / "firmware")
            sdcard.write_card(builder, files, work / "card", output / CARD)
            secure_boot.write_boot_image(builder, files, work / "boot", output / BOOT)
            for tree in trees:
                shutil.copyfile(tree, output / tree.name)
        with _told("software bill of materials"):
            sbom.write(root, kernel, files, output / SBOM)
    manifest.write(output)
    mark.write_text(sources, encoding="ascii")
    return _sums(output)


def _sums(output: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in sorted(output.iterdir())}


def _empty(output: Path) -> None:
    """Remove an earlier build, with its signatures. Raises ImageError for a folder that holds something else."""
    if output.exists():
        known = manifest.read(manifest.sums(output)) if (output / manifest.SUMS).exists() else {}
        others = [
            path.name for path in output.iterdir() if path.name not in known and not _ANOTHER_PART.fullmatch(path.name)
        ]
        # Somebody's mistyped folder.
        if others:
            raise ImageError(f"{output} holds something else ({', '.join(sorted(others)[:3])}); name another folder")
        shutil.rmtree(output)
    output.mkdir(parents=True)


def _sources() -> str:
    """The SHA-256 (hex) of all that decides on the image's bytes and lies in this repository."""
    folders = (IMAGES, *(REPOSITORY / name / f"undercroft_{name}" for name in ("protocol", "appliance")))
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    digest = hashlib.sha256()
    for path in sorted([*files, WHEELS]):
        digest.update(f"{path.relative_to(REPOSITORY).as_posix()} {file_sha256(path)}\n".encode())
    return digest.hexdigest() + "\n"


@contextmanager
def _told(what: str, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    start = clock()
    yield
    say(f"{what}: {clock() - start:.0f} s")
