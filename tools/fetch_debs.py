"""Put what benchmarks and tests compare with behind `.tools/`: ZMODEM and the zbar library; standard library only.

Each package comes from the machine's own Debian suite with the libraries it needs (`private_apt`), so that it runs on
the machine's C library, and what is needed of it lies in `.tools/debs/PACKAGE/`. What the system has itself is left to
the system. Without them everything works: the comparison says that the peer is missing.
"""

import ctypes.util
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from private_apt import FetchError, PrivateApt, check_debian, exclusive, run, say

_OF_THE_C_LIBRARY: Final = re.compile(r"(ld-linux.*|lib(c|m|dl|rt|pthread|resolv)\.so\.\d+)")
"""Two of these in one process do not agree: the machine's own is used."""


def _has_zmodem() -> bool:
    return shutil.which("sz") is not None and shutil.which("rz") is not None


def _has_zbar() -> bool:
    return ctypes.util.find_library("zbar") is not None


@dataclass(frozen=True, slots=True)
class Deb:
    """What is wanted of a package: files by their names; and whether the system has it already."""

    wanted: tuple[str, ...]
    on_system: Callable[[], bool]


DEBS: Final[Mapping[str, Deb]] = MappingProxyType(
    {
        "lrzsz": Deb(("sz", "rz"), _has_zmodem),
        "libzbar0": Deb(("libzbar.so.0",), _has_zbar),
    }
)


def missing(tools: Path) -> list[str]:
    """The packages that neither the system nor `tools`/debs has."""
    return [
        name
        for name, deb in DEBS.items()
        if not all((tools / "debs" / name / file).exists() for file in deb.wanted) and not deb.on_system()
    ]


def _keep(root: Path, wanted: tuple[str, ...], tree: Path) -> None:
    """Copy the wanted files and the libraries they load from an unpacked system into the flat folder `tree`."""
    tree.mkdir()
    folders = {library.parent for library in root.glob("**/*.so.*")}
    settings = {"LD_LIBRARY_PATH": ":".join(sorted(str(folder) for folder in folders))}
    for name in wanted:
        found = next((file for file in root.glob(f"**/{name}") if "bin" in file.parts or ".so" in name), None)
        if found is None:
            raise FetchError(f"the package has no {name}")
        shutil.copy2(found.resolve(), tree / name)
        # The machine's loader lists what it would load, first of all from the unpacked system.
        for library, place in re.findall(r"^\s*(\S+) => (.+) \(0x", run("ldd", found, settings=settings), re.MULTILINE):
            if _OF_THE_C_LIBRARY.fullmatch(library) is None and Path(place).is_relative_to(root):
                shutil.copy2(Path(place).resolve(), tree / library)


def _fetch(name: str, work: Path, tools: Path) -> None:
    apt = PrivateApt(work / name)
    apt("update")
    try:
        apt("install", "--download-only", name)
    except FetchError:
        # Where a source could not be read (no network), that is the reason, and the better word.
        apt("update", "--error-on=any")
        raise
    names = [archive for archive in apt.unpack(work / name / "root") if not archive.startswith("libc6_")]
    tree = work / name / "tree"
    _keep((work / name / "root").resolve(), DEBS[name].wanted, tree)
    (tree / "PACKAGES").write_text("\n".join(names) + "\n", encoding="utf-8")
    place = tools / "debs" / name
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(exist_ok=True)
    tree.replace(place)


def ensure_debs(tools: Path) -> None:
    """Make `tools`/debs complete; does nothing when it is. Raises FetchError."""
    if not missing(tools):
        return
    with exclusive(tools / "fetch.lock"):
        for left_over in tools.glob("debs-*"):
            shutil.rmtree(left_over)
        for name in missing(tools):
            check_debian()
            say(f"{name}: none here; fetching Debian's ...")
            with tempfile.TemporaryDirectory(prefix="debs-", dir=tools) as work:
                _fetch(name, Path(work).resolve(), tools)


def main() -> int:
    try:
        ensure_debs(Path(__file__).resolve().parent.parent / ".tools")
    except FetchError as error:
        print(f"  not fetched: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
