"""The appliance's root: an interpreter, the modules and libraries it needs, our own packages, and nothing else.

It is unpacked into RAM by the kernel that it is linked into. There is no shell, no other program, no package manager.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import bytecode, cpio, python_modules, root_checks
from .builder import Builder
from .components import Component
from .downloads import file_sha256
from .errors import ImageError
from .ingredients import LIBRARY, Ingredients, Item, gather
from .native import INTERPRETER, LOADER

USERS: Final = {"root": 0, "port": 60801, "panel": 60802, "keeper": 60803}
"""The users of an appliance, each with a group of its own; the last three are those of `undercroft_appliance`."""
MOUNT_POINTS: Final = ("dev", "proc", "run", "sys", "tmp")
LINKS: Final = {"lib": "usr/lib"}
"""The loader's path in every program begins with /lib."""
EXECUTABLES: Final = (INTERPRETER, LOADER)
_TAG: Final = "cpython-313"
_THIS: Final = "images/undercroft_images/rootfs.py"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a file of the root is from: a component, the file's path in it (in the repository, for what is ours), and
    the SHA-256 (hex) of what was put in. ``made_from`` names the file of the root it was compiled from."""

    component: Component
    path: str
    sha256: str
    made_from: str | None = None


@dataclass(frozen=True, slots=True)
class Root:
    """``tree``: the root as a folder; ``archive``: as the kernel takes it (cpio "newc"); both below the builder's root.
    ``files``: where each regular file is from, by its name in the root."""

    tree: Path
    archive: Path
    files: Mapping[str, Origin]


def build(builder: Builder, place: Path) -> Root:
    """Make the root in ``place``, a new folder below the builder's root. Raises ImageError."""
    place.mkdir()
    work, tree = place / "ingredients", place / "root"
    stock = gather(work)
    lists = python_modules.computed(builder, place / "scan", stock)
    python_modules.check_lists(lists)
    files = choose(stock, lists)
    tree.mkdir()
    origins = {name: _put(tree, name, item.place.read_bytes(), item) for name, item in files.items()}
    here = Item(stock.own, _THIS, Path(__file__))
    origins |= {name: _put(tree, name, content, here) for name, content in accounts().items()}
    for name in MOUNT_POINTS:
        (tree / name).mkdir()
    for name, target in LINKS.items():
        (tree / name).symlink_to(target)
    origins |= compile_all(builder, tree, origins)
    archive = place / "root.cpio"
    archive.write_bytes(cpio.archive(cpio.entries(tree, EXECUTABLES)))
    shutil.rmtree(work)
    root = Root(tree, archive, origins)
    root_checks.check(root)
    bytecode.check(builder, tree, LIBRARY, place)
    return root


def choose(stock: Ingredients, lists: Mapping[str, Iterable[str]]) -> dict[str, Item]:
    """The files of the root by their names in it: what the lists name, our own sources, the interpreter, licences.

    Raises ImageError when one is in no package.
    """
    modules = [*lists[python_modules.STDLIB], *lists[python_modules.WHEELS]]
    modules += [name for name, item in stock.modules.items() if item.component == stock.own]
    chosen = {f"{LIBRARY}/{name}": stock.modules[name] for name in modules}
    for name in (INTERPRETER, *lists[python_modules.LIBRARIES]):
        chosen[name] = _found(stock, name)
    inside = {item.component for item in chosen.values()}
    for component in sorted(inside):
        if component.address.startswith("pkg:deb/"):
            chosen[name] = _found(stock, name := f"usr/share/doc/{component.name}/copyright")
    chosen |= {name: item for name, item in stock.licenses.items() if item.component in inside}
    return dict(sorted(chosen.items()))


def _found(stock: Ingredients, name: str) -> Item:
    item = stock.resolved(name)
    if item is None:
        raise ImageError(f"no package of root.lock has {name}")
    return item


def accounts() -> dict[str, bytes]:
    """The files of users and groups: nobody has a password, a home or a shell."""
    passwd = "".join(f"{name}:x:{number}:{number}::/:/nonexistent\n" for name, number in USERS.items())
    group = "".join(f"{name}:x:{number}:\n" for name, number in USERS.items())
    return {"etc/passwd": passwd.encode(), "etc/group": group.encode()}


def compile_all(builder: Builder, tree: Path, origins: Mapping[str, Origin]) -> dict[str, Origin]:
    """Compile every module of the root with the builder's Python; where the compiled files are from.

    They are never checked against their sources (PEP 552), so that nothing depends on times. Raises ImageError.
    """
    builder.run(
        "/usr/bin/python3.13", "-I", "-S", "-m", "compileall", "-q", "-j", "1", "--invalidation-mode", "unchecked-hash",
        "-s", tree, "-p", "/", tree / LIBRARY, folder=tree,
    )  # fmt: skip
    made = {}
    for name, origin in origins.items():
        if name.startswith(f"{LIBRARY}/") and name.endswith(".py"):
            folder, _, file = name.rpartition("/")
            compiled = f"{folder}/__pycache__/{file.removesuffix('.py')}.{_TAG}.pyc"
            made[compiled] = Origin(origin.component, origin.path, file_sha256(tree / compiled), made_from=name)
    return made


def _put(tree: Path, name: str, content: bytes, item: Item) -> Origin:
    place = tree / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return Origin(item.component, item.path, hashlib.sha256(content).hexdigest())
