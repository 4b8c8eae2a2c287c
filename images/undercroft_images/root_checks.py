"""What must be true of a finished root, read from its archive as the kernel will, not from how it was made."""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from private_apt import say

from . import cpio
from .elf import MAGIC
from .errors import ImageError
from .firmware import firmware_hash
from .ingredients import LIBRARY, PACKAGES
from .native import INTERPRETER, LOADER, checked
from .places import REPOSITORY, cache

if TYPE_CHECKING:
    from .rootfs import Root

_PROGRAMS: Final = frozenset({INTERPRETER, LOADER})
_LINKS: Final = {"lib": b"usr/lib"}
_NEVER: Final = ("sh", "bash", "dash", "busybox", "env", "mount", "login", "su", "sudo", "init", "ld", "gdbserver")
_BARRED: Final = (
    "_bz2", "_ctypes_test", "_hashlib", "_sqlite3", "_ssl", "_testcapi", "asyncio", "curses", "ensurepip", "http",
    "idlelib", "multiprocessing", "pdb", "pip", "readline", "setuptools", "site", "sqlite3", "ssl", "test", "tkinter",
    "unittest", "urllib", "venv", "webbrowser",
)  # fmt: skip


def check(root: Root) -> None:
    """All of it, and a line on what the root measures. Raises ImageError with what is wrong."""
    data = root.archive.read_bytes()
    content = cpio.read(data)
    check_same(content, cpio.entries(root.tree, _PROGRAMS))
    check_modes(content)
    check_links(content)
    check_accounted(content, {name: origin.sha256 for name, origin in root.files.items()})
    check_programs(content)
    check_libraries(content)
    check_modules(content)
    check_paths(content, [REPOSITORY, root.archive.parent, cache()])
    check_sources(root)
    say(measures(root, content))


def check_modes(content: Mapping[str, cpio.Entry]) -> None:
    """No set-id or sticky bits, nothing that others can write, x bits on the interpreter and the loader alone."""
    for name, entry in content.items():
        if entry.mode & 0o7000:
            raise ImageError(f"{name} would run with another's rights (mode {entry.mode & 0o7777:o})")
        # A device's mode says who may use the device; links have none of their own.
        if not (stat.S_ISCHR(entry.mode) or stat.S_ISLNK(entry.mode)) and entry.mode & 0o022:
            raise ImageError(f"{name} could be written by others (mode {entry.mode & 0o777:o})")
        if stat.S_ISREG(entry.mode) and bool(entry.mode & 0o111) != (name in _PROGRAMS):
            raise ImageError(f"{name} must{'' if name in _PROGRAMS else ' not'} be executable")
        if stat.S_ISCHR(entry.mode) and name not in cpio.NODES:
            raise ImageError(f"{name} is a device that no root has")
    if lost := sorted(_PROGRAMS - content.keys()):
        raise ImageError(f"the root lacks {', '.join(lost)}")


def check_links(content: Mapping[str, cpio.Entry]) -> None:
    """The one symbolic link that there is, and no other."""
    # Attack: a link out of the root, or to where something is mounted later.
    links = {name: entry.content for name, entry in content.items() if stat.S_ISLNK(entry.mode)}
    if links != _LINKS:
        odd = sorted(name for name in links.keys() | _LINKS.keys() if links.get(name) != _LINKS.get(name))
        raise ImageError(f"the root's symbolic links are not the ones it must have: {', '.join(odd)}")


def check_accounted(content: Mapping[str, cpio.Entry], origins: Mapping[str, str]) -> None:
    """Each file has an origin, each origin its file, and the file the SHA-256 (hex) that it came with."""
    # Attack: a file that no package, wheel or source of ours accounts for, or that was changed on its way.
    files = {name: entry for name, entry in content.items() if stat.S_ISREG(entry.mode)}
    if odd := sorted(files.keys() ^ origins.keys()):
        raise ImageError(f"files and their origins differ in {', '.join(odd[:10])}")
    for name, entry in files.items():
        if hashlib.sha256(entry.content).hexdigest() != origins[name]:
            raise ImageError(f"{name} is not what was put into the root")


def check_programs(content: Mapping[str, cpio.Entry]) -> None:
    """No shell or other program by its name, and no script that asks for one of them where programs lie."""
    for name, entry in content.items():
        if not stat.S_ISREG(entry.mode) or name in _PROGRAMS:
            continue
        if name.rpartition("/")[2] in _NEVER or "/bin/" in f"/{name}" or "/sbin/" in f"/{name}":
            raise ImageError(f"{name} has no place in the root: no shell, no other program")
        if entry.content.startswith(MAGIC) and ".so" not in name.rpartition("/")[2]:
            raise ImageError(f"{name} is a program; the interpreter is to be the only one")


def check_libraries(content: Mapping[str, cpio.Entry]) -> None:
    """Every library that something needs is there, for the right processor, and none that nothing needs."""
    natives = [name for name, entry in content.items() if entry.content.startswith(MAGIC)]
    needed = {soname for name in natives for soname in checked(content[name].content, name).needed}
    there = {name.rpartition("/")[2] for name in natives if not name.startswith(f"{LIBRARY}/") and name != INTERPRETER}
    if odd := sorted(needed ^ there):
        raise ImageError(f"libraries that are needed and libraries that are there differ in {', '.join(odd)}")


def check_modules(content: Mapping[str, cpio.Entry]) -> None:
    """None of the modules that an appliance must never have; every source has its compiled form, and the other way."""
    inside = [name.removeprefix(f"{LIBRARY}/") for name in content if name.startswith(f"{LIBRARY}/")]
    for name in inside:
        top = name.removeprefix("lib-dynload/").split("/")[0].split(".")[0]
        if top in _BARRED or "/test/" in name or "/tests/" in name or "devtools" in name or ".dist-info" in name:
            raise ImageError(f"{name} must not be in the root")
    sources = {name for name in inside if name.endswith(".py")}
    suffix = ".cpython-313.pyc"
    compiled = {name.replace("__pycache__/", "").replace(suffix, ".py") for name in inside if name.endswith(suffix)}
    # Mishap: a module that was not compiled is compiled at every start, for seconds.
    if odd := sorted(sources ^ compiled):
        raise ImageError(f"sources and compiled modules differ in {', '.join(odd[:10])}")


def check_same(content: Mapping[str, cpio.Entry], tree: Mapping[str, cpio.Entry]) -> None:
    """The archive holds what the tree holds, which is what is described and measured."""
    if odd := sorted(name for name in content.keys() | tree.keys() if content.get(name) != tree.get(name)):
        raise ImageError(f"the archive is not that of its tree: {', '.join(odd[:10])}")


def check_paths(content: Mapping[str, cpio.Entry], paths: Iterable[Path]) -> None:
    """No path of the machine that builds is in a file or link, or in a name."""
    # Mishap: bytes that tell who built them are not those that everyone else gets.
    for path in paths:
        # A whole path: a repository in /src is not what a library's own ../src/lib.c names.
        told = re.compile(rb"(?<![\w.+/-])" + re.escape(str(path).encode()) + rb"(?![\w.+-])")
        # Entry by entry: in the archive, the next one's header may follow the last byte of a file without a gap.
        for name, entry in content.items():
            if told.search(entry.content) or told.search(f"/{name}".encode()):
                raise ImageError(f"{name} holds the path of this build, {path}")


def check_sources(root: Root) -> None:
    """Our packages in the root are, byte for byte, those of the repository."""
    ours = tuple(f"{LIBRARY}/{one}/" for one in PACKAGES)
    for name, origin in root.files.items():
        if origin.made_from is not None or not name.startswith(ours):
            continue
        if (root.tree / name).read_bytes() != (REPOSITORY / origin.path).read_bytes():
            raise ImageError(f"{origin.path} was changed while the image was built; build again")


def measures(root: Root, content: Mapping[str, cpio.Entry]) -> str:
    """Sizes and the firmware hash, in one line."""
    files = [entry for entry in content.values() if stat.S_ISREG(entry.mode)]
    size = sum(len(entry.content) for entry in files)
    digest = firmware_hash(root.tree / LIBRARY).hex()
    return f"root: {len(files)} files, {size / 1e6:.1f} MB; firmware hash {digest}"
