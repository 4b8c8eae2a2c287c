"""What the root is put together from, as far as no package is needed for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from images.images_support import elf_file, write_files
from undercroft_appliance.sandbox.process import USERS as SANDBOX_USERS
from undercroft_images.components import Component
from undercroft_images.errors import ImageError
from undercroft_images.ingredients import Ingredients, Item, follow
from undercroft_images.kernel import COMMAND_LINE
from undercroft_images.native import INTERPRETER, LOADER, library_closure
from undercroft_images.rootfs import EXECUTABLES, MOUNT_POINTS, USERS, accounts

_SOME = Component("some", "1", "pkg:deb/debian/some@1", "a" * 64)
_OTHER = Component("other", "1", "pkg:deb/debian/other@1", "b" * 64)
_FOLDER = "usr/lib/aarch64-linux-gnu"


def stock(place: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> Ingredients:
    write_files(place, files)
    for name, target in (links or {}).items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).symlink_to(target)
    debian = {name: Item(_SOME, name, place / name) for name in files | (links or {})}
    return Ingredients(debian, {}, {}, _OTHER)


def test_the_users_are_those_that_the_appliance_becomes() -> None:
    assert {name: number for name, number in USERS.items() if number} == SANDBOX_USERS


def test_nobody_has_a_shell_a_home_or_a_password() -> None:
    lines = [line.split(":") for line in accounts()["etc/passwd"].decode().splitlines()]
    assert [(line[1], line[5], line[6]) for line in lines] == [("x", "/", "/nonexistent")] * 4
    assert len(accounts()["etc/group"].decode().splitlines()) == 4


def test_the_first_process_is_an_executable_of_the_root() -> None:
    [program] = [word.removeprefix("rdinit=/") for word in COMMAND_LINE.split() if word.startswith("rdinit=")]
    assert program in EXECUTABLES
    assert {"dev", "proc", "sys"} <= set(MOUNT_POINTS)


def test_links_among_packages_are_followed_to_the_file(tmp_path: Path) -> None:
    links = {f"{_FOLDER}/libz.so.1": "libz.so.1.3", LOADER: "aarch64-linux-gnu/ld.so", "usr/share/doc/b": "a"}
    files = {f"{_FOLDER}/libz.so.1.3": b"z", f"{_FOLDER}/ld.so": b"l", "usr/share/doc/a/copyright": b"c"}
    have = stock(tmp_path, files, links)
    for name, path in [
        (f"{_FOLDER}/libz.so.1", f"{_FOLDER}/libz.so.1.3"),
        (LOADER, f"{_FOLDER}/ld.so"),
        ("usr/share/doc/b/copyright", "usr/share/doc/a/copyright"),
    ]:
        item = have.resolved(name)
        assert item is not None
        assert item.path == path


@pytest.mark.parametrize("target", ["../../../../etc/passwd", "/etc/passwd", "x", "../lib/x", "gone"])
def test_attack_a_link_out_of_the_packages_or_in_a_circle_leads_nowhere(tmp_path: Path, target: str) -> None:
    have = stock(tmp_path, {}, {"usr/lib/x": target})
    assert follow(have.debian, "usr/lib/x") is None


def test_libraries_are_followed_from_the_interpreter_and_the_modules(tmp_path: Path) -> None:
    files = {
        INTERPRETER: elf_file(needed=["libc.so.6"], interpreter="/lib/ld-linux-aarch64.so.1"),
        LOADER: elf_file(),
        f"{_FOLDER}/libc.so.6": elf_file(needed=["ld-linux-aarch64.so.1"]),
        f"{_FOLDER}/libffi.so.8": elf_file(needed=["libc.so.6"]),
        f"{_FOLDER}/libssl.so.3": elf_file(),
        "module.so": elf_file(needed=["libffi.so.8"]),
    }
    have = stock(tmp_path, files)
    assert library_closure(have, [tmp_path / "module.so"]) == {
        LOADER,
        f"{_FOLDER}/libc.so.6",
        f"{_FOLDER}/libffi.so.8",
    }


@pytest.mark.parametrize("soname", ["libgone.so.1", "../../tmp/evil.so", "/tmp/evil.so"])  # noqa: S108
def test_attack_a_library_that_no_package_has_stops_the_build(tmp_path: Path, soname: str) -> None:
    files = {INTERPRETER: elf_file(needed=[soname]), LOADER: elf_file()}
    with pytest.raises(ImageError, match="which no package of"):
        library_closure(stock(tmp_path, files), [])
