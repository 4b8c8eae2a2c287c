"""Lock files: read back as written, and refused in any other form."""

from __future__ import annotations

from pathlib import Path

import pytest

from undercroft_images.errors import ImageError
from undercroft_images.locks import Lock, Package
from undercroft_images.places import LOCKS
from undercroft_images.resolving import SUITE, WANTED

ONE = Package("pool/main/b/bash/bash_5.2-1_arm64.deb", "a" * 64, 5)
TWO = Package("pool/updates/main/z/zlib/zlib1g_1.3.1-1+deb13u1_arm64.deb", "b" * 64, 7)
LOCK = Lock.of("trixie", "20260101T000000Z", [TWO, ONE])


def read(tmp_path: Path, content: str | bytes) -> Lock:
    place = tmp_path / "some.lock"
    place.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Lock.read(place)


def test_a_lock_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    assert read(tmp_path, LOCK.text()) == LOCK
    assert [(one.name, one.version) for one in LOCK.packages] == [("bash", "5.2-1"), ("zlib1g", "1.3.1-1+deb13u1")]


def test_the_committed_locks_hold_what_is_wanted() -> None:
    for name, wanted in WANTED.items():
        lock = Lock.read(LOCKS / f"{name}.lock")
        assert lock.suite == SUITE
        assert set(wanted.packages) <= {one.name for one in lock.packages}


@pytest.mark.parametrize(
    "content",
    [
        "", "# debian trixie\n", LOCK.text() + "more\n", LOCK.text().replace("pool/", "http://elsewhere/pool/", 1),
        LOCK.text().removesuffix("\n"), LOCK.text().replace("bash_5", "b\u00e4sh_5"), LOCK.text().encode("utf-16"),
    ],
)  # fmt: skip
def test_attack_a_file_in_another_form_is_refused(tmp_path: Path, content: str | bytes) -> None:
    with pytest.raises(ImageError, match=r"some\.lock"):
        read(tmp_path, content)


def test_attack_a_second_line_for_a_package_is_refused(tmp_path: Path) -> None:
    again = Package(ONE.path.replace("main", "updates/main"), "c" * 64, 5)
    for more in (again, Package(ONE.path, "c" * 64, 5)):
        with pytest.raises(ImageError, match="twice"):
            read(tmp_path, Lock.of(LOCK.suite, LOCK.time, [*LOCK.packages, more]).text())
