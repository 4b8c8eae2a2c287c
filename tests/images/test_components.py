"""What a package says of itself, made for each test: version, source and licences."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from license_expression import get_spdx_licensing
from packageurl import PackageURL

from images.images_support import write_files, write_wheel
from undercroft_images.components import (
    _IN_PROSE,
    Component,
    copyright_file,
    debian_component,
    licenses,
    own_component,
    wheel_component,
)
from undercroft_images.errors import ImageError
from undercroft_images.locks import Package
from undercroft_images.wheels import Wheel

_DEP5 = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: MIT\t
 whatever

Files: debian/*
License: GPL-2+ and Zlib

License:   MIT
 the text
"""


def described(folder: Path, control: str, text: str | None = None) -> Component:
    """The component of a package with these lines in its control file."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("needs dpkg-deb")
    tree = write_files(folder / "tree", {"DEBIAN/control": control + "Maintainer: x <x@example.org>\nDescription: x\n"})
    path = folder / "x.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, path], check=True, capture_output=True)
    return debian_component(Package("pool/z/zlib/zlib1g_1.3_arm64.deb", "a" * 64, 1), path, text)


def test_a_version_has_its_epoch_and_a_source_its_name(tmp_path: Path) -> None:
    control = "Package: zlib1g\nVersion: 1:1.3+x~1-1+b1\nArchitecture: arm64\nSource: zlib (1:1.3+x~1-1)\n"
    found = described(tmp_path, control, _DEP5)
    assert (found.version, found.sha256, found.licenses) == ("1:1.3+x~1-1+b1", "a" * 64, ("GPL-2+ and Zlib", "MIT"))
    url = PackageURL.from_string(found.address)
    assert (url.type, url.namespace, url.name, url.version) == ("deb", "debian", "zlib1g", found.version)
    assert url.qualifiers == {"arch": "arm64", "distro": "trixie", "upstream": "zlib@1:1.3+x~1-1"}
    # As every other program writes it, so that both find each other.
    assert url.to_string() == found.address


def test_a_package_that_is_its_own_source_names_none(tmp_path: Path) -> None:
    found = described(tmp_path, "Package: zlib1g\nVersion: 1.3-1\nArchitecture: all\n")
    assert found.address == "pkg:deb/debian/zlib1g@1.3-1?arch=all&distro=trixie"
    assert (found.licenses, found.expression) == ((), None)


@pytest.mark.parametrize(("heading", "expression"), list(_IN_PROSE.items()))
def test_a_copyright_file_in_prose_comes_to_what_is_listed(heading: str, expression: str) -> None:
    assert licenses(f"This is a package.\n\n{heading}\nand so on\n", "some") == ((), expression)
    assert not get_spdx_licensing().validate(expression).errors


@pytest.mark.parametrize("text", ["", "MIT, I think\n", _DEP5.replace("License", "Licence"), "".join(_IN_PROSE)])
def test_mishap_a_licence_that_nobody_has_looked_at_stops_the_build(text: str) -> None:
    with pytest.raises(ImageError, match="some: its copyright file"):
        licenses(text, "some")


def test_the_documents_of_a_package_may_be_those_of_another(tmp_path: Path) -> None:
    places = [write_files(tmp_path / "base", {"usr/share/doc/base/copyright": "text"})]
    for name, target in (("lib", "base"), ("more", "lib"), ("lost", "gone"), ("circle", "circle")):
        folder = tmp_path / name / "usr/share/doc"
        folder.mkdir(parents=True)
        (folder / name).symlink_to(target)
        places.append(tmp_path / name)
    for name in ("base", "lib", "more"):
        assert copyright_file(places, name) == "text"
    for name in ("lost", "circle", "unknown"):
        with pytest.raises(ImageError, match="no copyright file"):
            copyright_file(places, name)


def test_a_wheel_and_ours_have_the_licence_that_they_name(tmp_path: Path) -> None:
    found = wheel_component(Wheel(write_wheel(tmp_path, {}), "thing", "1.0+local", "a" * 64))
    assert found == Component("thing", "1.0+local", "pkg:pypi/thing@1.0%2Blocal", "a" * 64)
    own = own_component()
    assert own.expression is not None
    assert not get_spdx_licensing().validate(own.expression).errors
