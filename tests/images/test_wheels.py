"""Wheels: only what the lock names, only what their RECORD lists, and only below their own folder."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from images.images_support import record_line, write_wheel
from undercroft_images.downloads import file_sha256
from undercroft_images.errors import ImageError
from undercroft_images.wheels import LOCK, Pin, check_wheels, pins, unpack

_FILES = {"thing/__init__.py": b"import os\n", "thing/native.abi3.so": b"\x7fELF"}


def pin(path: Path, name: str = "thing") -> Pin:
    return Pin(name, "1.0", frozenset({file_sha256(path), "0" * 64}))


def test_a_good_wheel_is_unpacked(tmp_path: Path) -> None:
    files = unpack(write_wheel(tmp_path, _FILES))
    assert _FILES.items() <= files.items()


@pytest.mark.parametrize(
    "name", ["../evil.py", "thing/../../evil.py", "/etc/passwd", "thing//x.py", "./x.py", "thing\\x.py", "a\nb.py"]
)
def test_attack_a_file_name_that_climbs_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match="no name below"):
        unpack(write_wheel(tmp_path, {**_FILES, name: b"evil"}))


def test_attack_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, _FILES)
    link = zipfile.ZipInfo("thing/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ImageError, match="no plain file"):
        unpack(path)


def test_attack_a_file_that_differs_from_its_record_is_refused(tmp_path: Path) -> None:
    lines = [record_line("thing/__init__.py", b"import os\n")]
    good = write_wheel(tmp_path, {"thing/__init__.py": b"import os\n"})
    with zipfile.ZipFile(good) as archive:
        record = archive.read("thing-1.0.dist-info/RECORD").decode()
    changed = record.replace(lines[0], record_line("thing/__init__.py", b"import socket\n"))
    with pytest.raises(ImageError, match="is not what its RECORD says"):
        unpack(write_wheel(tmp_path, {"thing/__init__.py": b"import os\n"}, record=changed))


def test_attack_a_file_beside_the_record_is_refused(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, _FILES)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("thing/more.py", "evil")
    with pytest.raises(ImageError, match=r"differ in thing/more\.py"):
        unpack(path)


def test_attack_a_file_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, _FILES)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("thing/__init__.py", "evil")
    with pytest.raises(ImageError, match="twice"):
        unpack(path)


def test_attack_files_for_elsewhere_than_the_packages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="outside of the packages' folder"):
        unpack(write_wheel(tmp_path, {**_FILES, "thing-1.0.data/scripts/run": b"#!python"}))


def test_a_listed_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    record = "\n".join([record_line("thing/gone.py", b""), "thing-1.0.dist-info/RECORD,,"])
    with pytest.raises(ImageError, match="differ"):
        unpack(write_wheel(tmp_path, {}, record=record))


def test_the_wheels_of_a_lock_are_taken(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, _FILES)
    [wheel] = check_wheels([pin(path)], [path])
    assert (wheel.name, wheel.version, wheel.sha256) == ("thing", "1.0", file_sha256(path))


def test_attack_another_wheel_than_the_lock_names_is_refused(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, _FILES)
    with pytest.raises(ImageError, match="is not what"):
        check_wheels([Pin("thing", "1.0", frozenset({"0" * 64}))], [path])


def test_attack_a_source_archive_is_refused(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, _FILES).rename(tmp_path / "thing-1.0.tar.gz")
    with pytest.raises(ImageError, match="is not what"):
        check_wheels([pin(path)], [path])


def test_attack_a_wheel_beside_the_lock_is_refused(tmp_path: Path) -> None:
    path, other = write_wheel(tmp_path, _FILES), write_wheel(tmp_path, {}, name="other")
    with pytest.raises(ImageError, match="other"):
        check_wheels([pin(path)], [path, other])


def test_a_wheel_that_is_not_there_is_missed(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such wheel"):
        check_wheels([Pin("thing", "1.0", frozenset())], [])


def test_what_a_wheel_needs_must_be_locked_whatever_its_condition(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, _FILES, requires=['late ; python_version >= "3.13"', "pytest ; extra == 'tests'"])
    with pytest.raises(ImageError, match=r"needs late, which"):
        check_wheels([pin(path)], [path])


def test_the_projects_own_lock_is_read_with_all_its_hashes() -> None:
    found = {one.name: one for one in pins(LOCK.read_text(encoding="utf-8"))}
    assert {"coincurve", "pynacl", "cbor2", "argon2-cffi", "argon2-cffi-bindings", "zxing-cpp"} <= found.keys()
    assert all(one.hashes and one.version for one in found.values())
    assert sum(len(one.hashes) for one in found.values()) == LOCK.read_text(encoding="utf-8").count("--hash=sha256:")
