"""The checks of a finished root: each refuses the one thing it is there for."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from images.images_support import elf_file
from undercroft_appliance.firmware import hash_of
from undercroft_images import cpio, root_checks
from undercroft_images.cpio import Entry
from undercroft_images.errors import ImageError
from undercroft_images.firmware import firmware_hash
from undercroft_images.ingredients import LIBRARY, PACKAGES
from undercroft_images.native import INTERPRETER, LOADER
from undercroft_images.places import REPOSITORY

_LIBC = "usr/lib/aarch64-linux-gnu/libc.so.6"


def file(content: bytes = b"", mode: int = 0o644) -> Entry:
    return Entry(stat.S_IFREG | mode, content)


def good() -> dict[str, Entry]:
    """The least root that passes."""
    return {
        "lib": Entry(stat.S_IFLNK | 0o777, b"usr/lib"),
        "proc": Entry(stat.S_IFDIR | 0o755),
        "dev/null": Entry(stat.S_IFCHR | 0o666, device=(1, 3)),
        INTERPRETER: file(elf_file(needed=["libc.so.6"], interpreter="/lib/ld-linux-aarch64.so.1"), 0o755),
        LOADER: file(elf_file(), 0o755),
        _LIBC: file(elf_file(needed=["ld-linux-aarch64.so.1"])),
        f"{LIBRARY}/os.py": file(b"pass\n"),
        f"{LIBRARY}/__pycache__/os.cpython-313.pyc": file(b"compiled"),
    }


def test_a_good_root_passes() -> None:
    root_checks.check_modes(good())
    root_checks.check_links(good())
    root_checks.check_programs(good())
    root_checks.check_modules(good())
    root_checks.check_libraries(good())
    root_checks.check_same(cpio.read(cpio.archive(good())), good())


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("usr/lib/x", file(mode=0o4755), "another's rights"),
        ("usr/lib/x", file(mode=0o2644), "another's rights"),
        ("tmp", Entry(stat.S_IFDIR | 0o1777), "another's rights"),
        ("tmp", Entry(stat.S_IFDIR | 0o777), "written by others"),
        ("etc/passwd", file(mode=0o664), "written by others"),
        ("usr/lib/x", file(mode=0o755), "must not be executable"),
        (INTERPRETER, file(mode=0o644), "must be executable"),
        ("dev/mem", Entry(stat.S_IFCHR | 0o600, device=(1, 1)), "a device that no root has"),
    ],
)
def test_attack_a_mode_that_gives_rights_is_refused(name: str, entry: Entry, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        root_checks.check_modes({**good(), name: entry})


def test_a_root_without_its_loader_is_refused() -> None:
    content = good()
    del content[LOADER]
    with pytest.raises(ImageError, match="lacks usr/lib/ld-linux"):
        root_checks.check_modes(content)


@pytest.mark.parametrize(("name", "target"), [("etc/x", b"/proc/1/root"), ("lib", b"../lib"), ("x", b"usr")])
def test_attack_any_other_symbolic_link_is_refused(name: str, target: bytes) -> None:
    with pytest.raises(ImageError, match=f"symbolic links .*: {name}$"):
        root_checks.check_links({**good(), name: Entry(stat.S_IFLNK | 0o777, target)})


def test_attack_a_file_that_nothing_accounts_for_is_refused() -> None:
    origins = {name: hashlib.sha256(one.content).hexdigest() for name, one in good().items() if stat.S_ISREG(one.mode)}
    root_checks.check_accounted(good(), origins)
    with pytest.raises(ImageError, match="differ in usr/lib/more"):
        root_checks.check_accounted({**good(), "usr/lib/more": file()}, origins)
    with pytest.raises(ImageError, match="differ in etc/gone"):
        root_checks.check_accounted(good(), {**origins, "etc/gone": ""})
    with pytest.raises(ImageError, match=r"os\.py is not what was put into the root"):
        root_checks.check_accounted({**good(), f"{LIBRARY}/os.py": file(b"evil\n")}, origins)


@pytest.mark.parametrize(
    "name", ["usr/bin/sh", "bin/x", "usr/sbin/y", f"{LIBRARY}/busybox", "usr/lib/sudo", "usr/bin/python3.13-config"]
)
def test_attack_a_shell_or_another_program_is_refused(name: str) -> None:
    with pytest.raises(ImageError, match="no place in the root"):
        root_checks.check_programs({**good(), name: file()})


def test_attack_a_program_under_a_harmless_name_is_refused() -> None:
    with pytest.raises(ImageError, match="is a program"):
        root_checks.check_programs({**good(), f"{LIBRARY}/notes.txt": file(elf_file())})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"usr/lib/aarch64-linux-gnu/libz.so.1": elf_file()}, r"differ in libz\.so\.1"),
        ({_LIBC: elf_file(needed=["libgone.so.1", "ld-linux-aarch64.so.1"])}, r"differ in libgone\.so\.1"),
        ({_LIBC: elf_file(machine=62)}, "another processor"),
        ({_LIBC: elf_file(stack_flags=7)}, "stack that can be executed"),
        ({_LIBC: elf_file(runpath="/opt")}, "looks for libraries in /opt"),
        ({INTERPRETER: elf_file(interpreter="/opt/ld.so")}, "another loader"),
    ],
)
def test_attack_a_library_that_does_not_belong_is_refused(changes: dict[str, bytes], message: str) -> None:
    content = {**good(), **{name: file(data) for name, data in changes.items()}}
    with pytest.raises(ImageError, match=message):
        root_checks.check_libraries(content)


@pytest.mark.parametrize(
    "name",
    [
        "ssl.py",
        "lib-dynload/_ssl.cpython-313-aarch64-linux-gnu.so",
        "pip/__init__.py",
        "nacl/tests/test_x.py",
        "undercroft_appliance/devtools/memscan.py",
    ],
)
def test_a_module_that_an_appliance_must_not_have_is_refused(name: str) -> None:
    with pytest.raises(ImageError, match="must not be in the root"):
        root_checks.check_modules({**good(), f"{LIBRARY}/{name}": file()})


@pytest.mark.parametrize("name", ["re.py", "__pycache__/re.cpython-313.pyc"])
def test_a_source_without_its_compiled_form_is_refused_and_the_other_way(name: str) -> None:
    with pytest.raises(ImageError, match=r"differ in re\.py"):
        root_checks.check_modules({**good(), f"{LIBRARY}/{name}": file()})


@pytest.mark.parametrize("change", [{"etc/more": file()}, {_LIBC: file(b"other")}, {"proc": file()}])
def test_attack_an_archive_that_is_not_that_of_its_tree_is_refused(change: dict[str, Entry]) -> None:
    with pytest.raises(ImageError, match=f"not that of its tree: {next(iter(change))}$"):
        root_checks.check_same(cpio.read(cpio.archive({**good(), **change})), good())


# All lengths modulo 4: newc pads a file to four bytes, and pads nothing where it ends there by itself.
@pytest.mark.parametrize("before", ["", "a ", "as ", "was "])
@pytest.mark.parametrize("after", ["", "/lib.c", "\0"])
def test_a_path_of_the_machine_that_builds_is_found(before: str, after: str) -> None:
    told = f"{before}{REPOSITORY}{after}".encode()
    content = cpio.read(cpio.archive({**good(), "etc/x": file(told), "etc/y": file()}))
    root_checks.check_paths(content, [Path("/some/other/place")])
    with pytest.raises(ImageError, match="etc/x holds the path of this build"):
        root_checks.check_paths(content, [REPOSITORY])


def test_a_path_of_the_machine_that_builds_is_found_in_a_name() -> None:
    with pytest.raises(ImageError, match="srv/a/uc/x holds the path of this build, /srv/a/uc"):
        root_checks.check_paths({**good(), "srv/a/uc/x": file()}, [Path("/srv/a/uc")])


def test_a_build_in_a_folder_of_a_common_name_is_no_mishap() -> None:
    innocent = file(b"../src/lib.c\0gcc/src/a.c\0/srcs/b.c\0/src-1/c.c\0")
    root_checks.check_paths({**good(), "etc/x": innocent}, [Path("/src")])
    for told in (b"/src/lib.c\0", b"=/src\0", b"a\0/src"):
        with pytest.raises(ImageError, match="holds the path of this build, /src"):
            root_checks.check_paths({**good(), "etc/x": file(told)}, [Path("/src")])


def test_the_firmware_hash_is_the_one_that_the_appliance_computes_of_itself(tmp_path: Path) -> None:
    for name, folder in PACKAGES.items():
        for path in (REPOSITORY / folder / name).rglob("*.py"):
            if "devtools" not in path.parts:
                place = tmp_path / path.relative_to(REPOSITORY / folder)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(path.read_bytes())
    assert firmware_hash(tmp_path) == hash_of(*(REPOSITORY / folder / name for name, folder in PACKAGES.items()))
