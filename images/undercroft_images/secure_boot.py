"""The secure boot of Raspberry Pi 4 and CM4: one file with all of the card's files in it, and an owner's signature.

The board's bootloader takes ``boot.img``, a FAT file system, if ``boot.sig`` beside it is by the key whose hash was
burnt into the board (the format of Raspberry Pi's rpi-eeprom-digest).
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from . import fat, manifest, sdcard
from .builder import EPOCH, Builder
from .errors import ImageError

IMAGE: Final = "boot.img"
SIGNATURE: Final = "boot.sig"
CARD: Final = "sdcard-signed.img"
_LARGEST: Final = 96 << 20
"""Bytes that the bootloader takes at most, as far as is known."""
_CONFIG: Final = "# The bootloader takes boot.img, also while it does not yet insist on that.\nboot_ramdisk=1\n"


def write_boot_image(builder: Builder, files: Mapping[str, Path], place: Path, output: Path) -> None:
    """Write a file system with these files to ``output``; ``place`` is a new folder below the builder's root.

    Raises ImageError.
    """
    image = fat.write(builder, files, place)
    if image.stat().st_size > _LARGEST:
        raise ImageError(f"{IMAGE} has {image.stat().st_size} bytes; a board takes {_LARGEST} at most")
    shutil.copyfile(image, output)


def sign_boot(builder: Builder, folder: Path, key: Path) -> None:
    """Sign the boot image in ``folder`` with the RSA-2048 key at ``key`` (PEM); leaves signature and card there.

    The card has both and nothing else. For the same key it is always the same. Raises ImageError.
    """
    # Mishap: a signature for something that nobody compared. It counts for ever: a board that takes this takes it also
    # when all later ones are mended.
    if IMAGE not in manifest.check_release(folder, manifest.sums(folder)):
        raise ImageError(f"{manifest.SUMS} does not name {IMAGE}")
    signature = folder / SIGNATURE
    signature.write_text(signed(folder / IMAGE, key), encoding="ascii")
    with builder.workspace("signed-card") as work:
        config = work / "config"
        config.write_text(_CONFIG, encoding="ascii")
        files = {sdcard.CONFIG: config, IMAGE: folder / IMAGE, SIGNATURE: signature}
        sdcard.write_card(builder, files, work / "card", folder / CARD)


def signed(image: Path, key: Path) -> str:
    """The lines of a signature file: SHA-256 (hex), a time, an RSASSA-PKCS1-v1_5 signature (RFC 8017, hex).

    The key stays in openssl; where it has a passphrase, openssl asks for it. Raises ImageError, also when the
    signature does not verify by the key's public half.
    """
    with tempfile.TemporaryDirectory(prefix="sign-boot-") as work:
        public, made = Path(work, "public.pem"), Path(work, "signature")
        _openssl("rsa", "-in", key, "-pubout", "-out", public)
        text = _openssl("rsa", "-pubin", "-in", public, "-noout", "-text")
        # Mishap: a key that a board refuses for ever once its hash is burnt in.
        if "(2048 bit)" not in text or "Exponent: 65537 " not in text:
            raise ImageError(f"{key} is no RSA key of 2048 bits with the exponent 65537; a board takes no other")
        _openssl("dgst", "-sha256", "-sign", key, "-out", made, image)
        _openssl("dgst", "-sha256", "-verify", public, "-signature", made, image)
        signature = made.read_bytes()
    with image.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{digest}\nts: {EPOCH}\nrsa2048: {signature.hex()}\n"


def read_signature(text: str) -> tuple[str, bytes]:
    """The SHA-256 (hex) and the signature in a signature file. Raises ImageError for anything else."""
    found = re.fullmatch(r"([0-9a-f]{64})\nts: \d+\nrsa2048: ([0-9a-f]{512})\n", text)
    if found is None:
        raise ImageError(f"this is no {SIGNATURE}")
    return found[1], bytes.fromhex(found[2])


def _openssl(*words: str | Path) -> str:
    try:
        done = subprocess.run(["openssl", *words], capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise ImageError("openssl is not here; install the package openssl") from error
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()
        raise ImageError(f"openssl {words[0]} failed: {reason[0] if reason else 'no reason given'}")
    return done.stdout
