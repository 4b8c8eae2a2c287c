"""What the set-up fetches: nothing is unpacked or installed whose hash is another; what is missing is told."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

import fetch_debs
import fetch_interop
from private_apt import FetchError, PrivateApt, run

NAME = "undercroft-example"
needs_apt = pytest.mark.skipif(
    any(shutil.which(program) is None for program in ("apt-get", "dpkg", "dpkg-deb")), reason="this is no Debian system"
)
needs_npm = pytest.mark.skipif(
    any(shutil.which(program) is None for program in ("node", "npm")), reason="there is no node and npm here"
)


# Debian packages.


def archive(place: Path) -> Path:
    """A Debian archive in a folder, with one package in it; returns the package's file."""
    tree = place / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/sz").write_text("#!/bin/sh\n", encoding="utf-8")
    control = f"Package: {NAME}\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: for a test\n"
    (tree / "DEBIAN/control").write_text(control, encoding="utf-8")
    package = place / f"{NAME}_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", str(tree), str(package)], check=True, capture_output=True)
    data = package.read_bytes()
    index = f"{control}Filename: ./{package.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
    (place / "Packages").write_text(index, encoding="utf-8")
    return package


def apt_of(place: Path, source: str) -> PrivateApt:
    apt = PrivateApt(place / "apt", f'Dir::Etc::sourcelist "{place}/sources.list";\nDir::Etc::sourceparts "/dev/null";')
    (place / "sources.list").write_text(f"{source}\n", encoding="utf-8")
    return apt


@needs_apt
def test_a_package_of_a_trusted_archive_is_unpacked(tmp_path: Path) -> None:
    archive(tmp_path)
    apt = apt_of(tmp_path, f"deb [trusted=yes] copy:{tmp_path} ./")
    apt("update")
    apt("install", "--download-only", NAME)
    assert apt.unpack(tmp_path / "root") == [f"{NAME}_1_all.deb"]
    assert (tmp_path / "root/usr/bin/sz").exists()


@needs_apt
def test_attack_a_package_whose_hash_is_another_is_not_unpacked(tmp_path: Path) -> None:
    package = archive(tmp_path)
    changed = bytearray(package.read_bytes())
    changed[-1] ^= 1
    package.write_bytes(changed)
    apt = apt_of(tmp_path, f"deb [trusted=yes] copy:{tmp_path} ./")
    apt("update")
    with pytest.raises(FetchError, match="Hash Sum mismatch"):
        apt("install", "--download-only", NAME)
    assert apt.unpack(tmp_path / "root") == []


@needs_apt
def test_attack_an_archive_that_nobody_signed_gives_nothing(tmp_path: Path) -> None:
    archive(tmp_path)
    apt = apt_of(tmp_path, f"deb copy:{tmp_path} ./")
    with pytest.raises(FetchError, match=r"not signed|does not have a Release file"):
        apt("update")
    with pytest.raises(FetchError):
        apt("install", "--download-only", NAME)
    assert apt.unpack(tmp_path / "root") == []


def test_a_program_that_is_not_here_is_told() -> None:
    with pytest.raises(FetchError, match="no-such-program does not start: No such file"):
        run("no-such-program")


def test_where_there_is_no_apt_the_reason_is_told_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(fetch_debs, "missing", lambda _: ["lrzsz"])
    (tmp_path / "tools/debs-left-over").mkdir(parents=True)
    with pytest.raises(FetchError, match="apt-get is not here"):
        fetch_debs.ensure_debs(tmp_path / "tools")
    assert [path.name for path in (tmp_path / "tools").iterdir()] == ["fetch.lock"]


def test_a_package_without_what_is_wanted_is_told(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="the package has no sz"):
        fetch_debs._keep(tmp_path, ("sz",), tmp_path / "tree")


# npm packages.


def locked(place: Path, *, changed: bool) -> Path:
    """A package.json and its lock, with one package beside them whose hash is the lock's, or was."""
    source = place / "source"
    source.mkdir()
    with tarfile.open(source / "one.tgz", "w:gz") as packed:
        manifest = json.dumps({"name": "one", "version": "1.0.0"}).encode()
        entry = tarfile.TarInfo("package/package.json")
        entry.size = len(manifest)
        packed.addfile(entry, io.BytesIO(manifest))
    data = (source / "one.tgz").read_bytes()
    digest = base64.b64encode(hashlib.sha512(data + b"!" if changed else data).digest()).decode()
    tarball = f"file:{source / 'one.tgz'}"
    root = {"name": "interop", "dependencies": {"one": tarball}}
    one = {"version": "1.0.0", "resolved": tarball, "integrity": f"sha512-{digest}"}
    (source / "package.json").write_text(json.dumps(root), encoding="utf-8")
    lock = {"name": "interop", "lockfileVersion": 3, "packages": {"": root, "node_modules/one": one}}
    (source / "package-lock.json").write_text(json.dumps(lock), encoding="utf-8")
    return source


@pytest.mark.slow
@needs_npm
def test_locked_packages_are_installed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, tools = locked(tmp_path, changed=False), tmp_path / "tools"
    fetch_interop.ensure_interop(source, tools)
    assert (tools / "interop/node_modules/one/package.json").exists()
    assert (tools / "interop" / fetch_interop.STAMP).exists()
    assert "installing" in capsys.readouterr().out
    fetch_interop.ensure_interop(source, tools)
    assert capsys.readouterr().out == ""


@needs_npm
def test_attack_a_package_whose_hash_is_another_is_not_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, tools = locked(tmp_path, changed=True), tmp_path / "tools"
    fetch_interop.ensure_interop(source, tools)
    assert not (tools / "interop/node_modules/one/package.json").exists()
    assert not (tools / "interop" / fetch_interop.STAMP).exists()
    assert "npm could not: the tests against it will be skipped" in capsys.readouterr().out


def test_where_there_is_no_npm_it_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = locked(tmp_path, changed=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    fetch_interop.ensure_interop(source, tmp_path / "tools")
    assert "no node and npm here" in capsys.readouterr().out
    fetch_interop.ensure_interop(source, tmp_path / "tools")
    assert capsys.readouterr().out == ""
