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

from private_apt import exclusive, say

from . import manifest, rootfs, sbom, sdcard, secure_boot
from .builder import Builder
from .device_tree import compile_trees
from .downloads import file_sha256
from .errors import ImageError
from .firmware import firmware_hash
from .ingredients import LIBRARY
from .kernel import Kernel
from .places import REPOSITORY
from .sources import inputs
from .sources import of as described

CARD: Final = "sdcard.img"
SBOM: Final = "sbom.json"
_NAMES: Final = (
    sdcard.KERNEL, CARD, SBOM, manifest.WORDS, secure_boot.IMAGE, secure_boot.SIGNATURE, secure_boot.CARD,
)  # fmt: skip
_NAMED: Final = 5
"""Of the changed sources, how many are named."""
_ANOTHER_PART: Final = re.compile(rf"{manifest.SUMS}.*|.*\.dtb|{'|'.join(map(re.escape, _NAMES))}")
"""What an earlier build, or one that was interrupted, may have left, and the signatures of it."""


def build(output: Path) -> dict[str, str]:
    """Leave the image's files in the folder ``output``; their SHA-256 (hex) by name.

    What was built there from the same sources, and is whole, is left alone; so is any earlier build until this one is
    done. Raises ImageError.
    """
    mark = output.with_name(f"{output.name}.sources")
    with exclusive(output.with_name(f"{output.name}.busy")):
        sources = _sources()
        if _is_current(output, mark, sources):
            say(f"{output.name} is up to date")
            return hashes(output)
        _check_replaceable(output)
        with _emptied(output.with_name(f"{output.name}.half")) as half:
            fresh = half / "image"
            fresh.mkdir()
            _build(fresh, sources)
            # Mishap: interrupted from here on, it leaves what would be taken for the build of these sources.
            mark.unlink(missing_ok=True)
            if output.exists():
                output.rename(half / "before")
            fresh.rename(output)
        mark.write_text(sources, encoding="ascii")
    return hashes(output)


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    """A new folder, gone afterwards; so is what an interrupted build left there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _build(output: Path, sources: str) -> None:
    with _told("builder"):
        builder = Builder.ready()
    with _told("kernel"):
        kernel = Kernel.ready(builder)
    with builder.workspace("image") as work:
        with _told("root"):
            root = rootfs.build(builder, work / "root")
            firmware = firmware_hash(root.tree / LIBRARY)
        with _told("kernel with the root in it"):
            image = kernel.with_root(root.archive, work / "kernel")
            # The builder's program: another version of it, or zlib's, makes other bytes.
            builder.run("gzip", "-9n", image, folder=work)
            shutil.copyfile(image.with_name(f"{image.name}.gz"), output / sdcard.KERNEL)
        with _told("device trees, card, boot image"):
            trees = compile_trees(builder, kernel, work / "trees")
            files = sdcard.boot_files(output / sdcard.KERNEL, trees, work / "firmware")
            sdcard.write_card(builder, files, work / "card", output / CARD)
            secure_boot.write_boot_image(builder, files, work / "boot", output / secure_boot.IMAGE)
            for tree in trees:
                shutil.copyfile(tree, output / tree.name)
        with _told("software bill of materials"):
            sbom.write(root, kernel, files, output / SBOM)
    # Mishap: what is written down is not what was read an hour ago.
    if _sources() != sources:
        raise ImageError("the sources were changed while the image was built; build again")
    built_of = described(REPOSITORY, inputs())
    manifest.write(output, firmware, built_of)
    if built_of.changed:
        rest = len(built_of.changed) - _NAMED
        named = ", ".join((*built_of.changed[:_NAMED], *((f"and {rest} more",) if rest > 0 else ())))
        say(f"NOT IN A COMMIT, so that nobody else gets the same bytes: {named}")


def _is_current(output: Path, mark: Path, sources: str) -> bool:
    if not mark.exists() or mark.read_text(encoding="ascii") != sources or not (output / manifest.SUMS).exists():
        return False
    try:
        manifest.check_files(output, manifest.read(manifest.sums(output)))
    except ImageError as error:
        say(f"built anew: {error}")
        return False
    return True


def hashes(output: Path) -> dict[str, str]:
    """The SHA-256 (hex) of each file in a folder by its name."""
    return {path.name: file_sha256(path) for path in sorted(output.iterdir())}


def _check_replaceable(output: Path) -> None:
    """Raises ImageError for a folder that holds something else than an earlier build and its signatures."""
    if not output.exists():
        return
    known = manifest.read(manifest.sums(output)) if (output / manifest.SUMS).exists() else {}
    others = [
        path.name for path in output.iterdir() if path.name not in known and not _ANOTHER_PART.fullmatch(path.name)
    ]
    # Somebody's mistyped folder.
    if others:
        raise ImageError(f"{output} holds something else ({', '.join(sorted(others)[:3])}); name another folder")


def _sources() -> str:
    """The SHA-256 (hex) of all that decides on the image's bytes and lies in this repository, and its commit."""
    files = inputs()
    digest = hashlib.sha256(repr(described(REPOSITORY, files)).encode())
    for path in files:
        digest.update(f"{path.relative_to(REPOSITORY).as_posix()} {file_sha256(path)}\n".encode())
    return digest.hexdigest() + "\n"


@contextmanager
def _told(what: str, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    start = clock()
    yield
    say(f"{what}: {clock() - start:.0f} s")
