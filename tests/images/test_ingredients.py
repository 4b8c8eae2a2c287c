"""What may go in: our sources as git has them, and no name that stands for two things."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from images.images_support import write_files
from undercroft_images.components import Component
from undercroft_images.errors import ImageError
from undercroft_images.ingredients import Item, merged, own_sources

_OWN = Component("undercroft", "0.1.0", "pkg:generic/undercroft@0.1.0", None)
_WHEEL = Component("thing", "1.0", "pkg:pypi/thing@1.0", "a" * 64)
_SOURCES = {
    "protocol/undercroft_protocol/cbor.py": "",
    "protocol/undercroft_protocol/schema.cddl": "",
    "appliance/undercroft_appliance/keeper/log.py": "",
    "appliance/undercroft_appliance/devtools/memscan.py": "",
    "appliance/tests/test_x.py": "",
    "host/undercroft_host/desk.py": "",
}
_IN = ["undercroft_appliance/keeper/log.py", "undercroft_protocol/cbor.py"]


def items(component: Component, *names: str) -> dict[str, Item]:
    return {name: Item(component, name, Path(name)) for name in names}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with our sources, all of them tracked."""
    write_files(tmp_path, {**_SOURCES, ".gitignore": "ignored.py\n"})
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True, capture_output=True)
    return tmp_path


def test_our_sources_are_those_of_the_two_packages_without_tools_for_developers(checkout: Path) -> None:
    ours = own_sources(checkout, _OWN)
    assert list(ours) == _IN
    assert ours[_IN[1]].path == "protocol/undercroft_protocol/cbor.py"


def test_attack_a_file_that_git_ignores_stays_out(checkout: Path) -> None:
    write_files(checkout, {"protocol/undercroft_protocol/ignored.py": "evil"})
    assert list(own_sources(checkout, _OWN)) == _IN


def test_a_file_that_git_does_not_track_yet_goes_in(checkout: Path) -> None:
    write_files(
        checkout, {"protocol/undercroft_protocol/more.py": "", "appliance/undercroft_appliance/devtools/x.py": ""}
    )
    assert list(own_sources(checkout, _OWN)) == [*_IN, "undercroft_protocol/more.py"]


def test_a_file_that_was_removed_is_not_asked_for(checkout: Path) -> None:
    (checkout / "protocol/undercroft_protocol/cbor.py").unlink()
    assert list(own_sources(checkout, _OWN)) == _IN[:1]


def test_outside_of_a_checkout_all_sources_go_in(tmp_path: Path) -> None:
    assert list(own_sources(write_files(tmp_path, _SOURCES), _OWN)) == _IN


@pytest.mark.parametrize(
    "name",
    ["hashlib.py", "hashlib/__init__.py", "hashlib.abi3.so", "hashlib/x.py", "_ctypes.py", "termios/__init__.py"],
)
def test_attack_a_wheel_that_takes_the_name_of_a_module_of_python_is_refused(name: str) -> None:
    python = items(_OWN, "hashlib.py", "lib-dynload/_ctypes.cpython-313-aarch64-linux-gnu.so", "lib-dynload/termios.so")
    with pytest.raises(ImageError, match=f"thing brings {name}"):
        merged(python, items(_WHEEL, name))


def test_modules_with_names_of_their_own_are_put_together() -> None:
    have = merged(items(_OWN, "hashlib.py"), items(_WHEEL, "thing/__init__.py", "_thing.abi3.so"))
    assert list(have) == ["hashlib.py", "thing/__init__.py", "_thing.abi3.so"]
