"""Which modules the appliance needs, found by following imports, and whether that is what the committed lists say.

`python -m undercroft_images.python_modules --write` writes the lists in images/root anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from private_apt import say

from . import imports
from .builder import Builder
from .errors import ImageError
from .imports import Import
from .ingredients import PACKAGES, Ingredients, gather
from .native import library_closure
from .places import IMAGES

LISTS: Final = IMAGES / "root"
ABSENT: Final = LISTS / "absent.txt"
STDLIB: Final = "stdlib.txt"
WHEELS: Final = "packages.txt"
LIBRARIES: Final = "libraries.txt"
BUILTIN: Final = "builtin.txt"
CHOSEN: Final = "wheels.txt"
"""The very wheels, by SHA-256: the project's lock allows several for a package, and an index may lack some."""
_UPDATE: Final = "python -m undercroft_images.python_modules --write (PYTHONPATH=images:tools), and look at the change"

_SUFFIXES: Final = ("/__init__.py", ".py", ".cpython-313-aarch64-linux-gnu.so", ".abi3.so")
_DYNAMIC: Final = "lib-dynload/"
_START: Final = (
    "abc", "codecs", "encodings", "encodings.aliases", "encodings.ascii", "encodings.latin_1", "encodings.utf_8", "io",
    "os", "runpy", "threading", "traceback", "warnings",
)  # fmt: skip
"""What the interpreter itself imports: at its start, for `-m`, for the last words of an error."""
_NATIVE: Final = {
    "_argon2_cffi_bindings._ffi": ("_cffi_backend",),
    "cbor2._cbor2": ("enum", "re"),
    "coincurve._libsecp256k1": ("coincurve._cffi_backend",),
    "nacl._sodium": ("_cffi_backend",),
    "zxingcpp.zxingcpp": ("enum",),
}
"""What modules in machine code import, which no reader of sources can see; `make image-test` imports them all."""
_INSIDE: Final = frozenset({"collections.abc", "os.path"})
"""Names that a module of Python itself puts into sys.modules."""

Scan = Callable[[Sequence[tuple[Path, str]]], list[set[Import]]]
"""Reads sources, each with the package its relative imports start from."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module, and the name of its file in LIBRARY; None if it is part of the interpreter."""

    name: str
    file: str | None

    @property
    def package(self) -> str:
        """What its relative imports start from."""
        inside = self.file is not None and self.file.endswith("/__init__.py")
        return self.name if inside else self.name.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Needs:
    """``files`` of LIBRARY that are needed, and the modules that something asks for but that are ``absent``."""

    files: frozenset[str]
    absent: frozenset[str]


class Library:
    """The modules that could go in: ``files`` by their names in LIBRARY, and those in the interpreter."""

    def __init__(self, files: Mapping[str, Path], builtin: Iterable[str]) -> None:
        self.files = files
        self._builtin = frozenset(builtin) | _INSIDE

    def find(self, name: str) -> Module | None:
        """The module of that name, as Python's path finder would find it."""
        if name in self._builtin:
            return Module(name, None)
        path = name.replace(".", "/")
        candidates = (f"{folder}{path}{suffix}" for folder in ("", _DYNAMIC) for suffix in _SUFFIXES)
        return next((Module(name, one) for one in candidates if one in self.files), None)

    def names(self, *packages: str) -> Iterator[str]:
        """The names of all modules with sources below these packages."""
        for file in self.files:
            if file.endswith(".py") and file.split("/")[0] in packages:
                yield file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def needs(library: Library, roots: Iterable[str], absent: Iterable[str], scan: Scan) -> Needs:
    """Follow all imports from ``roots``. Raises ImageError for one that leads nowhere and is not in ``absent``, and for
    a module that cannot do without an absent one."""
    roots, left_out = list(roots), frozenset(absent)
    asked = left_out & frozenset(roots)
    found: dict[str, Module] = {}
    todo = {name: "the start" for name in (*_START, *roots) if name not in left_out}
    while todo:
        fresh = []
        for name, why in todo.items():
            module = library.find(name)
            if module is None:
                raise ImageError(
                    f"{why} imports {name}, which is nowhere; if it is not needed, say why in {ABSENT.name}"
                )
            found[name] = module
            fresh.append(module)
        todo = {}
        for module, named in _read(library, fresh, scan):
            for one in named:
                outer = _absent(one.name, left_out)
                if outer is not None and (not one.part or one.name == outer):
                    asked |= {outer}
                    if one.sure:
                        raise ImageError(f"{module.name} cannot do without {one.name}, which {ABSENT.name} leaves out")
                elif outer is None and one.name not in found and not (one.part and library.find(one.name) is None):
                    todo[one.name] = module.name
    return Needs(frozenset(one.file for one in found.values() if one.file is not None), asked)


def _absent(name: str, absent: frozenset[str]) -> str | None:
    """The entry that leaves out a module: itself or a package it is in."""
    parts = name.split(".")
    outer = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return next((one for one in outer if one in absent), None)


def _read(library: Library, modules: Sequence[Module], scan: Scan) -> Iterator[tuple[Module, set[Import]]]:
    sources = [module for module in modules if module.file is not None and module.file.endswith(".py")]
    places = [(library.files[module.file], module.package) for module in sources if module.file is not None]
    yield from zip(sources, scan(places), strict=True)
    for module in modules:
        if module.name in _NATIVE:
            yield module, {Import(name, sure=True) for name in _NATIVE[module.name]}


def read_absent(path: Path = ABSENT) -> dict[str, str]:
    """The modules that are left out on purpose, and why: lines `name: reason`, sorted. Raises ImageError."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    pairs = [line.partition(": ") for line in lines]
    found = {name: why for name, _, why in pairs}
    if len(found) != len(lines) or not all(found.values()) or list(found) != sorted(found):
        raise ImageError(f"{path.name} is to have sorted lines `module: reason`, each module once")
    return found


def in_builder(builder: Builder, work: Path) -> Scan:
    """A scan by the builder's Python, which has the grammar of the appliance's; all sources lie below its root."""
    scanner = work / "imports.py"
    scanner.write_bytes(Path(imports.__file__).read_bytes())

    def scan(sources: Sequence[tuple[Path, str]]) -> list[set[Import]]:
        asked = work / "asked.json"
        copies = []
        for number, (place, package) in enumerate(sources):
            copy = work / f"{number}.py"
            copy.write_bytes(place.read_bytes())
            copies.append((str(builder.inside(copy)), package))
        asked.write_text(json.dumps(copies), encoding="utf-8")
        answers = json.loads(builder.run("/usr/bin/python3.13", "-I", "-S", scanner, asked, folder=work))
        return [{Import(*words) for words in answer} for answer in answers]

    return scan


def builtin_names(builder: Builder) -> list[str]:
    """The modules that are part of the interpreter: Debian builds it with the same ones for every processor."""
    program = "import sys, _imp; print(*sys.builtin_module_names, *_imp._frozen_module_names()[:2])"
    return builder.run("/usr/bin/python3.13", "-I", "-S", "-c", program, folder=builder.root).split()


def computed(builder: Builder, work: Path, stock: Ingredients) -> dict[str, list[str]]:
    """The lists as they must be, by their file names. Raises ImageError."""
    builtin = builtin_names(builder)
    library = Library({name: item.place for name, item in stock.modules.items()}, builtin)
    absent = read_absent()
    work.mkdir()
    found = needs(library, library.names(*PACKAGES), absent, in_builder(builder, work))
    # Mishap: a reason that outlives its module hides the next import of that name.
    if stale := sorted(set(absent) - found.absent):
        raise ImageError(f"nothing asks for {', '.join(stale)} any more: remove it from {ABSENT.name}")
    stdlib = [name for name in found.files if stock.modules[name].component.address.startswith("pkg:deb/")]
    ours = {name for name in found.files if stock.modules[name].component == stock.own}
    wheels = found.files - ours - set(stdlib)
    natives = [stock.modules[name].place for name in found.files if name.endswith(".so")]
    chosen = {stock.modules[name].component for name in wheels}
    return {
        BUILTIN: sorted(builtin),
        CHOSEN: sorted(f"{one.name} {one.version} {one.sha256}" for one in chosen),
        STDLIB: sorted(stdlib),
        WHEELS: sorted(wheels),
        LIBRARIES: sorted(library_closure(stock, natives)),
    }


def check_lists(wanted: Mapping[str, Sequence[str]], folder: Path = LISTS) -> None:
    """Raises ImageError when the committed lists are not these."""
    for name, lines in wanted.items():
        path = folder / name
        have = path.read_text(encoding="ascii").splitlines() if path.exists() else []
        # Attack: an import that came in with an update brings code that nobody decided to trust.
        if have != list(lines):
            more, less = sorted(set(lines) - set(have)), sorted(set(have) - set(lines))
            changes = [f"  + {line}" for line in more] + [f"  - {line}" for line in less]
            text = "\n".join(changes or ["  (another order)"])
            raise ImageError(f"the list {name} is not what the appliance needs now:\n{text}\nTo take it: {_UPDATE}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The lists of what goes into the root: checked, or written anew.")
    parser.add_argument("--write", action="store_true", help="write them as they must be")
    options = parser.parse_args(arguments)
    try:
        builder = Builder.ready()
        with builder.workspace("lists") as work:
            lists = computed(builder, work / "scan", gather(work))
        if options.write:
            for name, lines in lists.items():
                (LISTS / name).write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
        check_lists(lists)
    except ImageError as error:
        print(error, file=sys.stderr)
        return 1
    say(", ".join(f"{name}: {len(lines)}" for name, lines in lists.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
