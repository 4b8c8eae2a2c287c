"""Signatures over SHA256SUMS by OpenSSH keys (PROTOCOL.sshsig): an image counts when two of three release keys did.

Each of the three signs what came out of a build of their own. So one stolen key, or one machine that builds something
else, makes no image that anybody accepts.
"""

from __future__ import annotations

import base64
import binascii
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import manifest
from .errors import ImageError

NAMESPACE: Final = "undercroft-image"
SIGNATURE: Final = f"{manifest.SUMS}.sig"
NEEDED: Final = 2
SIGNERS: Final = 3
_LINE: Final = re.compile(r"([A-Za-z0-9._@-]+) (ssh-ed25519|sk-ssh-ed25519@openssh\.com) ([A-Za-z0-9+/]+=*)(?: .*)?")
_MOST_SIGNATURES: Final = 16
_LARGEST_SIGNATURE: Final = 16_384


@dataclass(frozen=True, slots=True)
class Signer:
    """A release key: whose it is, its kind as OpenSSH names it, and the public key in base64."""

    name: str
    kind: str
    key: str


def sign(folder: Path, key: Path) -> Path:
    """Sign the sums in ``folder`` with the OpenSSH key at ``key``, after a look at the files; the signature's file.

    Only what was built of a commit is signed: everyone can build that, and look at it. The key may be a hardware
    token's, or a public key whose private half an agent holds. Raises ImageError.
    """
    data = manifest.sums(folder)
    manifest.check_release(folder, data)
    place = folder / SIGNATURE
    # Mishap: another signer's signature, which came with the files, is written over.
    if place.exists():
        raise ImageError(f"{place} is there already; call it {SIGNATURE}.1 or so, or remove it")
    done = _ssh_keygen(["-Y", "sign", "-n", NAMESPACE, "-f", str(key)], data, is_quiet=False)
    if done.returncode != 0:
        raise ImageError(f"ssh-keygen did not sign with {key}")
    place.write_bytes(done.stdout)
    return place


def read_signers(path: Path) -> list[Signer]:
    """The three release keys of a file with one ``NAME KIND KEY`` a line. Raises ImageError for any other file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ImageError(f"the release keys in {path} cannot be read: {error.strerror}") from error
    found = [_LINE.fullmatch(line) for line in lines if line and not line.startswith("#")]
    signers = [Signer(one[1], one[2], one[3]) for one in found if one is not None]
    try:
        keys = {base64.b64decode(one.key, validate=True) for one in signers}
    except binascii.Error as error:
        raise ImageError(f"{path}: a key that is no base64") from error
    # Attack: one key under two names, which would be both of the two that are needed.
    if len(found) != len(signers) or not len(keys) == len({one.name for one in signers}) == len(signers) == SIGNERS:
        raise ImageError(f"{path} does not name {SIGNERS} different Ed25519 keys, each as: NAME KIND KEY")
    return signers


def signed_by(data: bytes, signatures: Sequence[Path], signers: Sequence[Signer]) -> list[str]:
    """The names of those of whom one of the signatures is, each once. Raises ImageError for too many of them."""
    if len(signatures) > _MOST_SIGNATURES or any(one.stat().st_size > _LARGEST_SIGNATURE for one in signatures):
        raise ImageError("more signatures, or longer ones, than three people make")
    return [signer.name for signer in signers if any(_is_by(signer, data, one) for one in signatures)]


def check(folder: Path, signers: Path) -> list[str]:
    """Check the files of an image in ``folder`` by the release keys in ``signers``; who signed. Raises ImageError."""
    known = read_signers(signers)
    data = manifest.sums(folder)
    # Attack: a pipe or a device under that name, which never ends.
    signatures = [path for path in sorted(folder.glob(f"{SIGNATURE}*")) if path.is_file()]
    names = signed_by(data, signatures, known)
    # Attack: one signer, or who has that key, ships another image; the second one did not get it from an own build.
    if len(names) < NEEDED:
        raise ImageError(
            f"{manifest.SUMS} is signed by {' and '.join(names) or 'none'} of {', '.join(one.name for one in known)}; "
            f"{NEEDED} are needed, in files {SIGNATURE}.1, {SIGNATURE}.2 beside it"
        )
    manifest.check_release(folder, data)
    return names


def _is_by(signer: Signer, data: bytes, signature: Path) -> bool:
    with tempfile.NamedTemporaryFile("w", prefix="signer-", encoding="ascii") as allowed:
        allowed.write(f'{signer.name} namespaces="{NAMESPACE}" {signer.kind} {signer.key}\n')
        allowed.flush()
        words = ["-Y", "verify", "-n", NAMESPACE, "-f", allowed.name, "-I", signer.name, "-s", str(signature)]
        return _ssh_keygen(words, data, is_quiet=True).returncode == 0


def _ssh_keygen(words: list[str], data: bytes, *, is_quiet: bool) -> subprocess.CompletedProcess[bytes]:
    """Aloud, it can ask for a passphrase or for a touch of the token."""
    try:
        return subprocess.run(
            ["ssh-keygen", *words], input=data, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if is_quiet else None, check=False,
        )  # fmt: skip
    except OSError as error:
        raise ImageError("ssh-keygen is not here; install the package openssh-client") from error
