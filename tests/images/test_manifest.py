"""The list of what was built, and the two of three signatures that it needs. The keys here are made for each run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from undercroft_images import __main__, manifest, signing
from undercroft_images.errors import ImageError
from undercroft_images.places import REPOSITORY
from undercroft_images.sources import Sources

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen (openssh-client)")
NAMES = ("ada", "bert", "cleo")
FIRMWARE = bytes(range(32))
COMMIT = "5eed" * 10
BUILT_OF = Sources(COMMIT)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Keys for tests only: of the three release signers, and of a stranger."""
    folder = tmp_path_factory.mktemp("keys")
    made = {name: folder / name for name in (*NAMES, "mallory")}
    for name, path in made.items():
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"test key of {name}", "-f", path], check=True
        )
    return made


def public(path: Path) -> str:
    return path.with_suffix(".pub").read_text().rsplit(" ", 4)[0]


@pytest.fixture(scope="module")
def signers(keys: Mapping[str, Path]) -> Path:
    path = keys["ada"].parent / "signers"
    path.write_text("# release keys\n\n" + "".join(f"{name} {public(keys[name])}\n" for name in NAMES))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "image"
    place.mkdir()
    (place / "kernel8.img").write_bytes(b"kernel")
    (place / "sdcard.img").write_bytes(bytes(5000))
    manifest.write(place, FIRMWARE, BUILT_OF)
    return place


def add_signature(folder: Path, key: Path, number: int) -> None:
    signing.sign(folder, key).rename(folder / f"{signing.SIGNATURE}.{number}")


def test_the_sums_are_those_of_sha256sum_and_cover_every_file(folder: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", manifest.SUMS], cwd=folder, check=True)
    assert list(manifest.read(manifest.sums(folder))) == ["kernel8.img", manifest.WORDS, "sdcard.img"]


def test_the_words_name_versions_and_hashes_and_nothing_of_this_machine(folder: Path, tmp_path: Path) -> None:
    words = (folder / manifest.WORDS).read_text(encoding="ascii")
    for part in ("gcc-14-aarch64-linux-gnu 14.", "linux-source-6.12 6.12.", "images/locks/builder.lock", "sdcard.img",
                 FIRMWARE.hex()):  # fmt: skip
        assert part in words
    assert str(tmp_path) not in words
    assert str(REPOSITORY) not in words


def test_the_same_files_elsewhere_get_the_same_description(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "another place with a longer name"
    other.mkdir()
    for name in ("sdcard.img", "kernel8.img"):
        shutil.copyfile(folder / name, other / name)
    manifest.write(other, FIRMWARE, BUILT_OF)
    manifest.write(folder, FIRMWARE, BUILT_OF)
    for name in (manifest.SUMS, manifest.WORDS):
        assert (folder / name).read_bytes() == (other / name).read_bytes()


def test_two_of_three_signers_are_enough_and_three_are_too(
    folder: Path, keys: Mapping[str, Path], signers: Path
) -> None:
    add_signature(folder, keys["cleo"], 1)
    add_signature(folder, keys["ada"], 2)
    assert signing.check(folder, signers) == ["ada", "cleo"]
    signing.sign(folder, keys["bert"])
    assert signing.check(folder, signers) == ["ada", "bert", "cleo"]


def test_attack_one_signer_twice_is_one_signer(folder: Path, keys: Mapping[str, Path], signers: Path) -> None:
    for number in (1, 2, 3):
        add_signature(folder, keys["ada"], number)
    with pytest.raises(ImageError, match=r"signed by ada of ada, bert, cleo; 2 are needed"):
        signing.check(folder, signers)


def test_attack_an_unknown_signer_counts_for_nothing(folder: Path, keys: Mapping[str, Path], signers: Path) -> None:
    add_signature(folder, keys["ada"], 1)
    add_signature(folder, keys["mallory"], 2)
    with pytest.raises(ImageError, match="signed by ada of"):
        signing.check(folder, signers)


def test_attack_no_signature_at_all_is_refused(folder: Path, signers: Path) -> None:
    with pytest.raises(ImageError, match="signed by none of"):
        signing.check(folder, signers)


def test_attack_a_signature_for_another_purpose_counts_for_nothing(
    folder: Path, keys: Mapping[str, Path], signers: Path
) -> None:
    add_signature(folder, keys["ada"], 1)
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", keys["bert"], folder / manifest.SUMS],
        check=True, capture_output=True,
    )  # fmt: skip
    assert (folder / signing.SIGNATURE).exists()
    with pytest.raises(ImageError, match="signed by ada of"):
        signing.check(folder, signers)


def test_attack_signatures_of_another_image_count_for_nothing(
    folder: Path, keys: Mapping[str, Path], signers: Path
) -> None:
    for number, name in enumerate(NAMES):
        add_signature(folder, keys[name], number)
    (folder / "kernel8.img").write_bytes(b"another kernel")
    manifest.write(folder, FIRMWARE, BUILT_OF)
    with pytest.raises(ImageError, match="signed by none of"):
        signing.check(folder, signers)


def test_attack_a_changed_and_a_missing_file_are_seen(folder: Path, keys: Mapping[str, Path], signers: Path) -> None:
    for number, name in enumerate(NAMES):
        add_signature(folder, keys[name], number)
    (folder / "kernel8.img").write_bytes(b"Kernel")
    with pytest.raises(ImageError, match=r"not what SHA256SUMS says: kernel8\.img"):
        signing.check(folder, signers)
    (folder / "kernel8.img").unlink()
    with pytest.raises(ImageError, match=r"lacks kernel8\.img"):
        signing.check(folder, signers)


def test_mishap_a_signature_that_is_there_is_not_written_over(folder: Path, keys: Mapping[str, Path]) -> None:
    before = signing.sign(folder, keys["ada"]).read_bytes()
    with pytest.raises(ImageError, match="is there already"):
        signing.sign(folder, keys["bert"])
    assert (folder / signing.SIGNATURE).read_bytes() == before


UNCOMMITTED = (
    Sources(None),
    Sources(COMMIT, ("appliance/undercroft_appliance/new.py",)),
    Sources(COMMIT, (f"images/x\n\nBuilt of\n  commit {COMMIT}, without any change\n\n", "images/ä.dts")),
)


@pytest.mark.parametrize("built_of", UNCOMMITTED)
def test_attack_what_was_built_of_no_commit_is_not_signed(
    folder: Path, keys: Mapping[str, Path], built_of: Sources
) -> None:
    manifest.write(folder, FIRMWARE, built_of)
    with pytest.raises(ImageError, match="this image was built of"):
        signing.sign(folder, keys["ada"])
    assert not (folder / signing.SIGNATURE).exists()
    assert all(ascii(name)[1:-1] in (folder / manifest.WORDS).read_text() for name in built_of.changed)


@pytest.mark.parametrize("built_of", UNCOMMITTED)
def test_attack_what_was_built_of_no_commit_is_refused_whoever_signed_it(
    folder: Path, keys: Mapping[str, Path], signers: Path, built_of: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest.write(folder, FIRMWARE, built_of)
    with monkeypatch.context() as patched:
        patched.setattr(manifest, "commit", lambda _: COMMIT)
        for number, name in enumerate(NAMES):
            add_signature(folder, keys[name], number)
    with pytest.raises(ImageError, match="this image was built of"):
        signing.check(folder, signers)


def test_attack_words_that_are_missing_or_of_another_program_name_no_commit(folder: Path) -> None:
    assert manifest.commit(folder) == COMMIT
    for text in ("", f"Built of\n  commit {COMMIT}, without any change\n", "\nBuilt of\n  commit 5eed, without\n\n"):
        (folder / manifest.WORDS).write_text(text)
        with pytest.raises(ImageError, match=r"unknown sources|built of commit 5eed, without$"):
            manifest.commit(folder)
    (folder / manifest.WORDS).unlink()
    with pytest.raises(ImageError, match="cannot be read"):
        manifest.commit(folder)


def test_a_check_tells_who_signed_and_of_which_commit(
    folder: Path, keys: Mapping[str, Path], signers: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def run(*words: str | Path) -> int:
        monkeypatch.setattr("sys.argv", ["undercroft_images", *map(str, words), "--folder", str(folder)])
        return __main__.main()

    for number, name in enumerate(NAMES[:2]):
        assert run("sign", keys[name]) == 0
        (folder / signing.SIGNATURE).rename(folder / f"{signing.SIGNATURE}.{number}")
    assert run("check", signers, "--card", folder / "sdcard.img") == 0
    told = capsys.readouterr().out
    for part in ("signed by ada and bert", f"built of commit {COMMIT}", "is sdcard.img, byte for byte"):
        assert part in told
    (folder / "kernel8.img").write_bytes(b"Kernel")
    assert run("check", signers) == 1
    assert "Do not use it" in capsys.readouterr().err


def test_mishap_nobody_signs_for_files_that_are_not_there(folder: Path, keys: Mapping[str, Path]) -> None:
    (folder / "kernel8.img").write_bytes(b"Kernel")
    with pytest.raises(ImageError, match=r"kernel8\.img"):
        signing.sign(folder, keys["ada"])
    assert not (folder / signing.SIGNATURE).exists()


def test_attack_names_that_lead_elsewhere_and_lines_that_are_skipped_are_refused() -> None:
    digest = "0" * 64
    good = f"{digest}  a.img\n{digest}  b.img\n".encode()
    assert list(manifest.read(good)) == ["a.img", "b.img"]
    for name in (
        "../sdcard.img",
        "/dev/sda",
        "x/y",
        ".hidden",
        "-x",
        "a b",
        "a\\b",
        "SHA256SUMS",
        "SHA256SUMS.sig",
        "",
    ):
        with pytest.raises(ImageError, match="not as it is written"):
            manifest.read(f"{digest}  {name}\n".encode())
    for data in (
        b"",
        good[:-1],
        good + b"\n",
        b"\n" + good,
        good + good,
        good.replace(b"  ", b" *"),
        good.replace(b"0", b"A"),
        f"{digest}  b.img\n{digest}  a.img\n".encode(),
        good.replace(b"\n", b"\r\n"),
        b"# a remark\n" + good,
        good.replace(b"a.img", "ä.img".encode()),
    ):
        with pytest.raises(ImageError, match="not as it is written"):
            manifest.read(data)


def test_attack_one_key_under_two_names_is_no_file_of_release_keys(tmp_path: Path, keys: Mapping[str, Path]) -> None:
    ada, bert, cleo, mallory = (public(keys[name]) for name in (*NAMES, "mallory"))
    path = tmp_path / "signers"
    for lines in (
        [],
        [f"ada {ada}", f"bert {bert}"],
        [f"ada {ada}", f"bert {ada}", f"cleo {cleo}"],
        [f"ada {ada}", f"bert {ada}=", f"cleo {cleo}"],
        [f"ada {ada}", f"ada {bert}", f"cleo {cleo}"],
        [f"ada {ada}", f"bert {bert}", f"cleo {cleo}", f"mallory {mallory}"],
        [f"ada {ada}", f"bert {bert}", f"* {cleo}"],
        [f"ada {ada}", f"bert {bert}", f"cleo cert-authority {cleo}"],
        [f"ada {ada}", f"bert {bert}", f'cleo namespaces="*" {cleo}'],
        [f"ada {ada}", f"bert {bert}", f"cleo,dora {cleo}"],
        [f"ada {ada}", f"bert {bert}", "cleo ssh-ed25519 A"],
    ):
        path.write_text("\n".join(lines))
        with pytest.raises(ImageError):
            signing.read_signers(path)
    with pytest.raises(ImageError, match="cannot be read"):
        signing.read_signers(tmp_path / "missing")


def test_attack_a_flood_of_signatures_is_refused(folder: Path, keys: Mapping[str, Path], signers: Path) -> None:
    add_signature(folder, keys["ada"], 1)
    for number in range(20):
        (folder / f"{signing.SIGNATURE}.x{number}").write_bytes(b"")
    with pytest.raises(ImageError, match="more signatures"):
        signing.check(folder, signers)


def test_attack_a_pipe_in_place_of_a_signature_holds_nobody_up(
    folder: Path, keys: Mapping[str, Path], signers: Path
) -> None:
    add_signature(folder, keys["ada"], 1)
    os.mkfifo(folder / f"{signing.SIGNATURE}.2")
    (folder / f"{signing.SIGNATURE}.3").symlink_to("/dev/zero")
    with pytest.raises(ImageError, match="signed by ada of"):
        signing.check(folder, signers)


def test_attack_a_file_that_nobody_signed_is_named(folder: Path) -> None:
    known = manifest.read(manifest.sums(folder))
    (folder / f"{signing.SIGNATURE}.1").write_text("a signature")
    assert manifest.unlisted(folder, known) == []
    (folder / "sdcard-signed.img").write_bytes(b"somebody's card")
    assert manifest.unlisted(folder, known) == ["sdcard-signed.img"]
