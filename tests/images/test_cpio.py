"""The archive writer, read back by a reader of this test's own."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from images.images_support import write_files
from undercroft_images import cpio
from undercroft_images.builder import EPOCH
from undercroft_images.errors import ImageError


@dataclass(frozen=True)
class Read:
    inode: int
    mode: int
    user: int
    group: int
    links: int
    time: int
    device: tuple[int, int]
    content: bytes


def read_archive(data: bytes) -> dict[str, Read]:
    """The records of a newc archive, as the kernel's documentation lays them out (buffer-format)."""
    found: dict[str, Read] = {}
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        numbers = [int(data[at + 6 + 8 * one : at + 14 + 8 * one], 16) for one in range(13)]
        inode, mode, user, group, links, time, size, major, minor, rmajor, rminor, length, check = numbers
        assert (major, minor, check) == (0, 0, 0)
        name = data[at + 110 : at + 110 + length]
        assert name.endswith(b"\0")
        start = (at + 110 + length + 3) // 4 * 4
        at = (start + size + 3) // 4 * 4
        if name == b"TRAILER!!!\0":
            assert not data[at:].strip(b"\0")
            return found
        assert name[:-1].decode() not in found
        content = data[start : start + size]
        found[name[:-1].decode()] = Read(inode, mode, user, group, links, time, (rmajor, rminor), content)


def tree(place: Path) -> Path:
    write_files(place, {"usr/bin/program": b"\x7fELF", "usr/lib/x.py": "pass\n", "etc/passwd": "root\n"})
    (place / "proc").mkdir()
    (place / "lib").symlink_to("usr/lib")
    return place


def test_an_independent_reader_finds_everything_again(tmp_path: Path) -> None:
    content = cpio.entries(tree(tmp_path), ["usr/bin/program"])
    read = read_archive(cpio.archive(content))
    assert {name: (one.mode, one.content, one.device) for name, one in read.items()} == {
        name: (one.mode, one.content, one.device) for name, one in content.items()
    }
    assert stat.S_ISDIR(read["usr/bin"].mode)
    assert read["lib"].content == b"usr/lib"
    assert read["dev/console"].device == (5, 1)
    assert list(read) == sorted(read)
    # A folder stands before what is in it: the kernel makes them in the order of the archive.
    assert list(read).index("usr") < list(read).index("usr/bin") < list(read).index("usr/bin/program")
    assert [one.inode for one in read.values()] == list(range(1, len(read) + 1))
    assert {(one.user, one.group, one.time) for one in read.values()} == {(0, 0, EPOCH)}


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    content = cpio.entries(tree(tmp_path), ["usr/bin/program"])
    assert cpio.read(cpio.archive(content)) == content


def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    data = cpio.archive(cpio.entries(tree(tmp_path), []))
    end = data.index(b"TRAILER!!!")
    for length in (0, 6, 109, 400, end - 110):
        with pytest.raises(ImageError, match="cut off"):
            cpio.read(data[:length])


def test_attack_an_archive_with_another_owner_or_time_is_refused() -> None:
    data = cpio.archive({"a": cpio.Entry(stat.S_IFREG | 0o644)})
    for at in (6 + 8 * 2, 6 + 8 * 3, 6 + 8 * 5):
        with pytest.raises(ImageError, match="an owner or a time"):
            cpio.read(data[:at] + b"00000001" + data[at + 8 :])


def test_attack_a_name_that_is_there_twice_is_refused() -> None:
    data = cpio.archive({"a": cpio.Entry(stat.S_IFREG | 0o644)})
    first = data[: data.index(b"070701", 6)]
    with pytest.raises(ImageError, match="twice"):
        cpio.read(first + data)


def test_modes_come_from_the_list_and_not_from_the_tree(tmp_path: Path) -> None:
    place = tree(tmp_path)
    (place / "usr/lib/x.py").chmod(0o4777)
    (place / "usr/bin/program").chmod(0o600)
    (place / "proc").chmod(0o1777)
    read = read_archive(cpio.archive(cpio.entries(place, ["usr/bin/program"])))
    assert stat.S_IMODE(read["usr/lib/x.py"].mode) == 0o644
    assert stat.S_IMODE(read["usr/bin/program"].mode) == 0o755
    assert stat.S_IMODE(read["proc"].mode) == 0o755


def test_two_trees_at_two_places_and_times_make_the_same_bytes(tmp_path: Path) -> None:
    first, second = tree(tmp_path / "a"), tree(tmp_path / "another place")
    os.utime(second / "etc/passwd", (1, 1))
    (second / "etc/passwd").chmod(0o600)
    archives = [cpio.archive(cpio.entries(place, ["usr/bin/program"])) for place in (first, second)]
    assert archives[0] == archives[1]
    assert str(tmp_path).encode() not in archives[0]


def test_the_archive_ends_at_a_whole_block() -> None:
    assert len(cpio.archive({"a": cpio.Entry(stat.S_IFREG | 0o644, b"x" * 700)})) % 512 == 0


@pytest.mark.parametrize("name", ["", "/etc", "a//b", "./a", "a/", "TRAILER!!!"])
def test_attack_a_name_that_ends_or_leaves_the_archive_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a name"):
        cpio.archive({name: cpio.Entry(stat.S_IFREG | 0o644)})


def test_a_pipe_in_the_tree_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="neither a file"):
        cpio.entries(tmp_path, [])
