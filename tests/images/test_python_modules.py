"""The closure of imports, and the committed lists that must agree with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from images.images_support import write_files
from undercroft_images.errors import ImageError
from undercroft_images.imports import Import, imports_of
from undercroft_images.ingredients import PACKAGES
from undercroft_images.places import REPOSITORY
from undercroft_images.python_modules import (
    BUILTIN,
    CHOSEN,
    LIBRARIES,
    LISTS,
    STDLIB,
    WHEELS,
    Library,
    Needs,
    check_lists,
    needs,
    read_absent,
)
from undercroft_images.wheels import LOCK, pins

_START = {f"{name}.py": "" for name in ("abc", "codecs", "io", "os", "runpy", "threading", "traceback", "warnings")} | {
    "encodings/__init__.py": "",
    **{f"encodings/{name}.py": "" for name in ("aliases", "ascii", "latin_1", "utf_8")},
}


def scan(sources: Sequence[tuple[Path, str]]) -> list[set[Import]]:
    return [imports_of(place.read_bytes(), package) for place, package in sources]


def library(place: Path, files: dict[str, str]) -> Library:
    write_files(place, {**_START, **files})
    return Library(
        {path.relative_to(place).as_posix(): path for path in place.rglob("*") if path.is_file()}, ["builtins", "sys"]
    )


def found(place: Path, files: dict[str, str], absent: Sequence[str] = ()) -> Needs:
    modules = library(place, files)
    return needs(modules, modules.names("ours"), absent, scan)


def test_imports_are_followed_through_packages_and_machine_code(tmp_path: Path) -> None:
    files = {
        "ours/__init__.py": "",
        "ours/start.py": "from . import more\nimport sys\nfrom collections.abc import Sized",
        "ours/more.py": "def f():\n    import late.inside",
        "late/__init__.py": "from ._fast import x",
        "late/inside.py": "import _native",
        "late/_fast.abi3.so": "",
        "late/unused.py": "import nowhere",
        "lib-dynload/_native.cpython-313-aarch64-linux-gnu.so": "",
        "collections/__init__.py": "",
    }
    have = found(tmp_path, files).files
    assert have == _START.keys() | files.keys() - {"late/unused.py"}


def test_an_import_that_leads_nowhere_stops_the_build(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"ours imports nowhere, which is nowhere"):
        found(tmp_path, {"ours/__init__.py": "def f():\n    import nowhere"})


def test_an_absent_module_is_left_out_with_all_that_it_alone_asks_for(tmp_path: Path) -> None:
    files = {
        "ours/__init__.py": "def f():\n    import big.part",
        "big/__init__.py": "",
        "big/part.py": "import nowhere",
    }
    have = found(tmp_path, files, ["big"])
    assert have.files == _START.keys() | {"ours/__init__.py"}
    assert have.absent == {"big"}


@pytest.mark.parametrize("source", ["import big", "from big import part", "class C:\n    import big.part"])
def test_a_module_that_cannot_do_without_an_absent_one_stops_the_build(tmp_path: Path, source: str) -> None:
    with pytest.raises(ImageError, match=r"ours cannot do without big"):
        found(tmp_path, {"ours/__init__.py": source, "big/__init__.py": "", "big/part.py": ""}, ["big"])


def test_one_of_our_own_may_be_known_to_be_out_of_reach(tmp_path: Path) -> None:
    files = {"ours/__init__.py": "", "ours/rescue.py": "import big"}
    assert found(tmp_path, files, ["ours.rescue"]).absent == {"ours.rescue"}


def test_attack_an_import_that_is_in_no_committed_list_stops_the_build(tmp_path: Path) -> None:
    write_files(tmp_path, {"stdlib.txt": "abc.py\nsocket.py\n"})
    with pytest.raises(ImageError, match=r"\+ ssl\.py\n  - socket\.py\n.*python_modules --write"):
        check_lists({"stdlib.txt": ["abc.py", "ssl.py"]}, tmp_path)
    check_lists({"stdlib.txt": ["abc.py", "socket.py"]}, tmp_path)


def test_a_list_that_was_never_written_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"\+ abc\.py"):
        check_lists({"stdlib.txt": ["abc.py"]}, tmp_path)


@pytest.mark.parametrize("text", ["b: x\na: y\n", "a: x\na: y\n", "a\n", "a: \n"])
def test_absent_modules_are_listed_once_in_order_each_with_a_reason(tmp_path: Path, text: str) -> None:
    path = write_files(tmp_path, {"absent.txt": text}) / "absent.txt"
    with pytest.raises(ImageError, match="sorted lines"):
        read_absent(path)


def test_the_committed_lists_hold_nothing_that_an_appliance_must_not_have() -> None:
    stdlib = (LISTS / STDLIB).read_text().splitlines()
    wheels = (LISTS / WHEELS).read_text().splitlines()
    for lines in (stdlib, wheels, (LISTS / LIBRARIES).read_text().splitlines()):
        assert lines == sorted(set(lines))
    tops = {name.removeprefix("lib-dynload/").split("/")[0].split(".")[0] for name in [*stdlib, *wheels]}
    never = {"_hashlib", "_ssl", "asyncio", "cv2", "ensurepip", "http", "idlelib", "numpy", "pip", "qrcode", "sqlite3"}
    never |= {"PIL", "pyzbar", "readline", "site", "ssl", "test", "tkinter", "unittest", "urllib", "pycparser"}
    assert not tops & never
    absent = read_absent()
    assert {"cv2", "numpy", "PIL", "pyzbar", "qrcode", "tkinter", "_hashlib"} <= absent.keys()


def test_the_chosen_wheels_are_those_of_the_projects_lock() -> None:
    locked = {one.name: one for one in pins(LOCK.read_text(encoding="utf-8"))}
    for line in (LISTS / CHOSEN).read_text().splitlines():
        name, version, sha256 = line.split()
        assert version == locked[name].version
        assert sha256 in locked[name].hashes


def test_every_import_of_our_own_packages_is_listed_or_known_to_be_absent() -> None:
    """The part of the build's check that needs no builder: a new import shows here before an image is built."""
    files = {
        path.relative_to(REPOSITORY / folder).as_posix(): path
        for name, folder in PACKAGES.items()
        for path in (REPOSITORY / folder / name).rglob("*.py")
        if "devtools" not in path.parts
    }
    listed = {name: Path() for one in (STDLIB, WHEELS) for name in (LISTS / one).read_text().splitlines()}
    builtin = (LISTS / BUILTIN).read_text().splitlines()
    modules, absent = Library({**files, **listed}, builtin), read_absent()
    for name, path in files.items():
        module = modules.find(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        assert module is not None
        if module.name in absent:
            continue
        for one in imports_of(path.read_bytes(), module.package):
            known = modules.find(one.name) or one.part or one.name.split(".")[0] in absent or one.name in absent
            assert known, f"{module.name} imports {one.name}: python -m undercroft_images.python_modules --write"
