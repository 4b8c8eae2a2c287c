"""The shared libraries that programs and modules need, found as the loader would find them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from .elf import AARCH64, Elf, read_elf
from .errors import ImageError
from .ingredients import Ingredients

INTERPRETER: Final = "usr/bin/python3.13"
LOADER: Final = "usr/lib/ld-linux-aarch64.so.1"
FOLDERS: Final = ("usr/lib/aarch64-linux-gnu", "usr/lib")
"""Where the loader looks without being told (Debian's default for arm64)."""


def library_closure(stock: Ingredients, modules: Iterable[Path]) -> set[str]:
    """The names in the root of all libraries that the interpreter and ``modules`` need, the loader among them.

    Raises ImageError for one that is in no package, and for what is made for another processor.
    """
    interpreter = stock.resolved(INTERPRETER)
    if interpreter is None:
        raise ImageError(f"no package has {INTERPRETER}")
    found = {LOADER}
    todo = [interpreter.place, *modules]
    while todo:
        place = todo.pop()
        for soname in checked(place.read_bytes(), place.name).needed:
            name = _find(stock, soname, place)
            if name not in found:
                found.add(name)
                todo.append(_place(stock, name))
    return found


def checked(data: bytes, name: str) -> Elf:
    """What an ELF file says of itself. Raises ImageError, calling it ``name``, for one that does not fit the root."""
    elf = read_elf(data, name)
    if elf.machine != AARCH64:
        raise ImageError(f"{name} is made for another processor than arm64")
    # Attack: a library that looks into a folder where others can write, or that asks for a stack with code on it.
    if any(elf.folders):
        raise ImageError(f"{name} looks for libraries in {':'.join(elf.folders)}; the root has none there")
    if elf.runs_stack:
        raise ImageError(f"{name} asks for a stack that can be executed")
    if elf.interpreter not in (None, f"/{LOADER.removeprefix('usr/')}"):
        raise ImageError(f"{name} asks for another loader: {elf.interpreter}")
    return elf


def _find(stock: Ingredients, soname: str, wanted_by: Path) -> str:
    if soname == LOADER.rpartition("/")[2]:
        return LOADER
    for folder in FOLDERS:
        name = f"{folder}/{soname}"
        if "/" not in soname and stock.resolved(name) is not None:
            return name
    raise ImageError(f"{wanted_by.name} needs the library {soname}, which no package of root.lock has")


def _place(stock: Ingredients, name: str) -> Path:
    item = stock.resolved(name)
    if item is None:
        raise ImageError(f"no package has {name}")
    return item.place
