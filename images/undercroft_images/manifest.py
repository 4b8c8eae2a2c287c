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
from .sources import Sources
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
_BUILT_OF: Final = "Built of"
_COMMIT: Final = re.compile(rf"\n{_BUILT_OF}\n  commit ([0-9a-f]{{40,64}}), without any change\n\n")


def write(output: Path, firmware: bytes, sources: Sources) -> None:
    """Describe all files in the folder ``output``, the root's ``firmware`` hash, and what it was built of."""
    files = {path.name: path for path in sorted(output.iterdir()) if not path.name.startswith(SUMS)}
    files.pop(WORDS, None)
    words = output / WORDS
    words.write_text("\n".join(_words(files, firmware, sources)) + "\n", encoding="ascii")
    files[WORDS] = words
    lines = [f"{file_sha256(path)}  {name}\n" for name, path in sorted(files.items())]
    (output / SUMS).write_text("".join(lines), encoding="ascii")


def _words(files: Mapping[str, Path], firmware: bytes, sources: Sources) -> Iterator[str]:
    yield "Undercroft appliance: what this image was made of. The hashes of its files are in SHA256SUMS."
    yield f"\n{_BUILT_OF}\n{_told(sources)}"
    yield f"\nFirmware hash, which an appliance shows at its start\n  {firmware.hex()}"
    yield "\nFiles, in bytes"
    yield from (f"  {path.stat().st_size:>12}  {name}" for name, path in files.items())
    builder, kernel, board = (Lock.read(LOCKS / f"{name}.lock") for name in ("builder", "kernel", "board"))
    made = [*kernel.packages, *board.packages, *(one for one in builder.packages if one.name in TOOLS)]
    yield f"\nKernel, firmware, and what made bytes of them, of Debian {builder.suite}"
    yield from (f"  {one.name} {one.version}" for one in sorted(made, key=lambda one: one.name))
    yield "\nLocks, options and device trees it was built from, by SHA-256"
    # By their kinds: an editor's copy beside them is on one machine only.
    listed = [*LOCKS.glob("*.lock"), WHEELS, *(one for one in (IMAGES / "pi").iterdir() if one.suffix in _KINDS)]
    listed += [IMAGES / "kernel" / f"{name}.config" for name in FRAGMENTS]
    listed += (IMAGES / "kernel").glob("*.config.in")
    yield from (f"  {file_sha256(path)}  {path.relative_to(REPOSITORY).as_posix()}" for path in sorted(listed))


def _told(sources: Sources) -> str:
    if sources.commit is None:
        return "  sources of which no commit is known: not a git checkout"
    if not sources.changed:
        return f"  commit {sources.commit}, without any change"
    # As ASCII, whatever a file is called.
    names = (f"    {ascii(name)[1:-1]}" for name in sources.changed)
    return "\n".join([f"  commit {sources.commit}, but for what is in no commit:", *names])


def commit(folder: Path) -> str:
    """The commit (hex) of which the image in ``folder`` was built, by its words. Raises ImageError without one."""
    try:
        words = (folder / WORDS).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"{folder / WORDS} cannot be read: {error}") from error
    found = _COMMIT.search(words)
    # Attack: a program that nobody else can see or build. Mishap: a file that was forgotten in the last commit.
    if found is None:
        told = words.partition(f"\n{_BUILT_OF}\n")[2].partition("\n\n")[0].replace("\n", "")
        raise ImageError(f"this image was built of {' '.join(told.split()) or 'unknown sources'}")
    return found[1]


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


def check_release(folder: Path, data: bytes) -> dict[str, str]:
    """The sums in ``data`` (SHA256SUMS) by name, if ``folder`` has these files, built of a commit that is known.

    What is signed, or believed for a signature, is this and nothing less: everyone can build it, and look at it. Raises
    ImageError.
    """
    known = read(data)
    # Mishap: a signature for files that are not the ones that lie here.
    check_files(folder, known)
    commit(folder)
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
