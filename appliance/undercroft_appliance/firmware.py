"""The firmware hash: over the sources of the programs that an appliance runs, as they lie here."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import undercroft_appliance
import undercroft_protocol
from undercroft_protocol import cbor

from .errors import ConfigurationError

_DEVELOPMENT: Final = "devtools"


def firmware_hash() -> bytes:
    """The SHA-256 (32 bytes) of the programs of `undercroft_protocol` and `undercroft_appliance` as installed here.

    Raises ConfigurationError if they do not lie in files. It tells versions apart and finds a file that was changed by
    accident; a hostile machine would print whatever hash is wanted, and only the hashes of the image's files tell it.
    """
    return hash_of(*(_home(package.__file__) for package in (undercroft_protocol, undercroft_appliance)))


def hash_of(*packages: Path) -> bytes:
    """The SHA-256 of the deterministic CBOR of [[name, SHA-256 of the file], ...], sorted by name.

    It covers the `.py` files below each directory, by names such as `undercroft_protocol/cbor.py`, but for those below
    `devtools`, which an image leaves out.
    """
    files = {
        f"{package.name}/{path.relative_to(package).as_posix()}": path
        for package in packages
        for path in package.rglob("*.py")
        if path.relative_to(package).parts[0] != _DEVELOPMENT
    }
    listed = tuple((name, hashlib.sha256(files[name].read_bytes()).digest()) for name in sorted(files))
    return hashlib.sha256(cbor.encode(listed)).digest()


def _home(file: str | None) -> Path:
    if file is None:
        raise ConfigurationError("the appliance's programs do not lie in files")
    return Path(file).resolve().parent
