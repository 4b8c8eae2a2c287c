"""The Ed25519 keys of the host's services, each in a file of its own that only its service's user can read.

The vault's key and the risk service's key lie in separate folders, so that they can belong to different users: who
takes over one service does not hold the other's word.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from nacl.signing import SigningKey

from .errors import Conflict, IntegrityAlarm, KeyFileProblem, NotFound

SEED_BYTES: Final = 32


class FileSigner:
    """Signs with the key of one file. Nothing of the private key appears in its repr, and it cannot be pickled."""

    __slots__ = ("_key", "public_key")

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self.public_key: bytes = bytes(key.verify_key)

    def sign(self, data: bytes) -> bytes:
        """The 64-byte Ed25519 signature (RFC 8032) over ``data``."""
        return bytes(self._key.sign(data).signature)

    def __repr__(self) -> str:
        return f"FileSigner({self.public_key.hex()[:16]})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key does not leave its process")


def create_key(path: Path, entropy: Callable[[int], bytes]) -> FileSigner:
    """Make a new key in ``path`` (mode 0600, its folder 0700).

    Raises Conflict when the file is there already: a key that speaks in a quorum is never overwritten.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    seed = entropy(SEED_BYTES)
    try:
        # O_EXCL refuses a file or link that somebody put there first, to learn or to choose the key.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise Conflict(f"the key file {path} exists already") from None
    except OSError as error:
        raise KeyFileProblem(f"{path}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(seed)
        file.flush()
        os.fsync(file.fileno())
    return FileSigner(SigningKey(seed))


def load_key(path: Path, expected: bytes | None = None) -> FileSigner:
    """The signer of a key file; ``expected`` is the public key (32 bytes) that it must belong to.

    Raises NotFound, KeyFileProblem (not a plain file of ours that nobody else may read, or not a key), and
    IntegrityAlarm when it is another key than the expected one.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFound(f"key file {path}") from None
    except OSError as error:
        raise KeyFileProblem(f"{path}: {error.strerror}") from None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise KeyFileProblem(f"{path} is not a plain file")
        # A key that others can read or replace is not this service's own word.
        if facts.st_mode & 0o077 or facts.st_uid != os.geteuid():
            raise KeyFileProblem(f"{path} must belong to you, with mode 0600 (chmod 600)")
        seed = os.read(descriptor, SEED_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(seed) != SEED_BYTES:
        raise KeyFileProblem(f"{path} does not hold {SEED_BYTES} bytes")
    signer = FileSigner(SigningKey(seed))
    # A swapped key file would make this service speak as somebody whom no quorum knows.
    if expected is not None and signer.public_key != expected:
        raise IntegrityAlarm(f"{path} holds another key than the configuration names")
    return signer
