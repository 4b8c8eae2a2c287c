"""What was built: SHA256SUMS over all files (as sha256sum of coreutils writes it), and the same in words.

Nothing in it is of the machine that built, or of the day: whoever builds the same sources gets the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from .downloads import file_sha256
from .errors import ImageError
from .kernel import FRAGMENTS
from .locks import Lock
from .places import IMAGES, LOCKS, REPOSITORY
from .wheels import LOCK as WHEELS

SUMS: Final = "SHA256SUMS"
WORDS: Final = "manifest.txt"
_LINE: Final = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._+-]*)")
TOOLS: Final = (
    "binutils-aarch64-linux-gnu", "device-tree-compiler", "dosfstools", "fdisk", "gcc-14-aarch64-linux-gnu", "gzip",
    "mtools", "python3.13-minimal",
)  # fmt: skip
"""Packages of the builder whose programs made bytes of the image."""
_KINDS: Final = (".dts", ".dtsi", ".txt")


def write(output: Path, firmware: bytes) -> None:
    """Describe all files in the folder ``output``, and the root's ``firmware`` hash, in two more."""
    files = {path.name: path for path in sorted(output.iterdir()) if not path.name.startswith(SUMS)}
    files.pop(WORDS, None)
    words = output / WORDS
    words.write_text("\n".join(_words(files, firmware)) + "\n", encoding="ascii")
    files[WORDS] = words
    lines = [f"{file_sha256(path)}  {name}\n" for name, path in sorted(files.items())]
    (output / SUMS).write_text("".join(lines), encoding="ascii")


def _words(files: Mapping[str, Path], firmware: bytes) -> Iterator[str]:
    yield "Undercroft appliance: what this image was made of. The hashes of its files are in SHA256SUMS."
    yield f"\nFirmware hash, which an appliance shows at its start\n  {firmware.hex()}"
    yield "\nFiles, in bytes"
    yield from (f"  {path.stat().st_size:>12}  {name}" for name, path in files.items())
    builder, kernel, board = (Lock.read(LOCKS / f"{name}.lock") for name in ("builder", "kernel", "board"))
    made = [*kernel.packages, *board.packages, *(one for one in builder.packages if one.name in TOOLS)]
    yield f"\nKernel, firmware, and what made bytes of them, of Debian {builder.suite}"
    yield from (f"  {one.name} {one.version}" for one in sorted(made, key=lambda one: one.name))
    yield "\nLocks, options and device trees it was built from, by SHA-256"
    # By their kinds: an editor's copy beside them is on one machine only.
    sources = [*LOCKS.glob("*.lock"), WHEELS, *(one for one in (IMAGES / "pi").iterdir() if one.suffix in _KINDS)]
    sources += [IMAGES / "kernel" / f"{name}.config" for name in FRAGMENTS]
    sources += (IMAGES / "kernel").glob("*.config.in")
    yield from (f"  {file_sha256(path)}  {path.relative_to(REPOSITORY).as_posix()}" for path in sorted(sources))


def sums(folder: Path) -> bytes:
    """SHA256SUMS in ``folder`` as it is. Raises ImageError where there is none."""
    try:
        return (folder / SUMS).read_bytes()
    except OSError as error:
        raise ImageError(f"{folder / SUMS} cannot be read: {error.strerror}") from error


def read(data: bytes) -> dict[str, str]:
    """The SHA-256 (hex) of each file by its name. Raises ImageError for what `write` does not write."""
    lines = data.decode("ascii", "replace").splitlines()
    found = [_LINE.fullmatch(line) for line in lines]
    known = {one[2]: one[1] for one in found if one is not None}
    # Attack: a name such as ../../etc/passwd or /dev/sda, one that is there twice, or a line that a reader skips.
    plain = "".join(f"{known[name]}  {name}\n" for name in sorted(known)).encode()
    if not known or plain != data or any(name.startswith(SUMS) for name in known):
        raise ImageError(f"{SUMS} is not as it is written: sorted, plain names, each of them once")
    return known


def unlisted(folder: Path, known: Mapping[str, str]) -> list[str]:
    """The names in ``folder`` that no sum covers, without the sums themselves and their signatures."""
    return sorted(one.name for one in folder.iterdir() if one.name not in known and not one.name.startswith(SUMS))


def check_files(folder: Path, known: Mapping[str, str]) -> None:
    """Raises ImageError when a file in ``folder`` is missing or is not what its sum says."""
    missing = [name for name in known if not (folder / name).is_file()]
    if missing:
        raise ImageError(f"{folder} lacks {', '.join(missing)}, which {SUMS} names")
    if changed := [name for name, sha256 in known.items() if file_sha256(folder / name) != sha256]:
        raise ImageError(f"not what {SUMS} says: {', '.join(changed)}")
