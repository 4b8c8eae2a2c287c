"""The signature that a board's bootloader wants, looked at by openssl and by hand. The keys are made for each run."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from undercroft_images import manifest
from undercroft_images.builder import Builder
from undercroft_images.errors import ImageError
from undercroft_images.secure_boot import read_signature, sign_boot, signed
from undercroft_images.sources import Sources

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
CONTENT = hashlib.shake_256(b"a boot image").digest(100_000)
FIRMWARE = bytes(32)
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
"""What stands before a SHA-256 in an RSASSA-PKCS1-v1_5 signature (RFC 8017, 9.2)."""


def make_key(path: Path, bits: int = 2048, *options: str) -> Path:
    """An RSA key for tests only."""
    subprocess.run(["openssl", "genrsa", *options, "-out", path, str(bits)], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("key") / "a test key.pem")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "boot.img"
    path.write_bytes(CONTENT)
    return path


def openssl(*words: str | Path) -> str:
    return subprocess.run(["openssl", *words], check=True, capture_output=True, text=True).stdout


def test_openssl_verifies_the_signature_with_the_public_key(image: Path, key: Path, tmp_path: Path) -> None:
    digest, signature = read_signature(signed(image, key))
    assert digest == hashlib.sha256(CONTENT).hexdigest()
    (tmp_path / "signature").write_bytes(signature)
    openssl("rsa", "-in", key, "-pubout", "-out", tmp_path / "public")
    said = openssl("dgst", "-sha256", "-verify", tmp_path / "public", "-signature", tmp_path / "signature", image)
    assert said == "Verified OK\n"


def test_the_signature_is_what_a_bootloader_computes(image: Path, key: Path) -> None:
    _, signature = read_signature(signed(image, key))
    modulus = int(openssl("rsa", "-in", key, "-noout", "-modulus").strip().removeprefix("Modulus="), 16)
    told = pow(int.from_bytes(signature, "big"), 65537, modulus).to_bytes(256, "big")
    tail = DIGEST_INFO + hashlib.sha256(CONTENT).digest()
    assert told == b"\0\1" + b"\xff" * (256 - 3 - len(tail)) + b"\0" + tail


def test_the_lines_are_those_of_raspberry_pis_own_tool_and_always_the_same(image: Path, key: Path) -> None:
    first, second, third = signed(image, key).splitlines()
    assert first == hashlib.sha256(CONTENT).hexdigest()
    assert second == "ts: 1767225600"
    assert third.startswith("rsa2048: ")
    assert len(third) == 9 + 512
    assert signed(image, key) == signed(image, key)


def test_attack_another_image_or_another_key_makes_another_signature(image: Path, key: Path, tmp_path: Path) -> None:
    _, signature = read_signature(signed(image, key))
    image.write_bytes(CONTENT[:-1] + b"!")
    assert read_signature(signed(image, key))[1] != signature
    image.write_bytes(CONTENT)
    assert read_signature(signed(image, make_key(tmp_path / "other.pem")))[1] != signature


def test_mishap_a_key_that_no_board_takes_is_refused(image: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no RSA key of 2048 bits"):
        signed(image, make_key(tmp_path / "large.pem", 3072))
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", tmp_path / "curve.pem")
    with pytest.raises(ImageError):
        signed(image, tmp_path / "curve.pem")
    with pytest.raises(ImageError):
        signed(image, tmp_path / "missing.pem")


def test_mishap_a_key_with_another_exponent_is_refused(image: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="exponent"):
        signed(image, make_key(tmp_path / "three.pem", 2048, "-3"))


def test_the_key_is_in_no_argument_and_in_no_output(image: Path, key: Path, tmp_path: Path) -> None:
    secret = key.read_text().splitlines()[1]
    assert secret not in signed(image, key)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["boot.img"]


def test_mishap_a_boot_image_that_is_not_the_one_that_was_built_is_not_signed(
    image: Path, key: Path, tmp_path: Path
) -> None:
    manifest.write(tmp_path, FIRMWARE, Sources("a" * 40))
    image.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(ImageError, match=r"not what SHA256SUMS says: boot\.img"):
        sign_boot(Builder(tmp_path), tmp_path, key)
    assert not (tmp_path / "boot.sig").exists()


@pytest.mark.parametrize("sources", [Sources(None), Sources("a" * 40, ("appliance/main.py",))])
def test_attack_a_boot_image_that_nobody_else_can_build_is_not_signed(
    image: Path, key: Path, tmp_path: Path, sources: Sources
) -> None:
    manifest.write(tmp_path, FIRMWARE, sources)
    with pytest.raises(ImageError, match="was built of"):
        sign_boot(Builder(tmp_path), tmp_path, key)
    assert not (tmp_path / "boot.sig").exists()


def test_attack_a_boot_image_that_no_sum_covers_is_not_signed(image: Path, key: Path, tmp_path: Path) -> None:
    image.rename(tmp_path / "other")
    manifest.write(tmp_path, FIRMWARE, Sources("a" * 40))
    (tmp_path / "other").rename(image)
    sums = tmp_path / manifest.SUMS
    sums.write_text("".join(line for line in sums.read_text().splitlines(True) if "other" not in line))
    with pytest.raises(ImageError, match=r"does not name boot\.img"):
        sign_boot(Builder(tmp_path), tmp_path, key)
    assert not (tmp_path / "boot.sig").exists()


def test_what_is_no_signature_file_is_refused(image: Path, key: Path) -> None:
    good = signed(image, key)
    for text in (
        "",
        good[:-1],
        good + "x",
        good.upper(),
        good.replace("rsa2048", "rsa1024"),
        good.replace("\n", "\r\n"),
    ):
        with pytest.raises(ImageError):
            read_signature(text)
