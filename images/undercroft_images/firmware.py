"""The firmware hash of a root: what the appliance in it will say of itself, computed here without its code."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .ingredients import PACKAGES


def firmware_hash(library: Path) -> bytes:
    """The SHA-256 (32 bytes) of the deterministic CBOR (RFC 8949) of [[name, SHA-256 of the file], ...] by name.

    It covers the `.py` files of our packages below the folder ``library``, as `undercroft_appliance.firmware` does.
    """
    files = {path.relative_to(library).as_posix(): path for name in PACKAGES for path in (library / name).rglob("*.py")}
    pairs = [
        _head(4, 2) + _text(name) + _head(2, 32) + hashlib.sha256(files[name].read_bytes()).digest()
        for name in sorted(files)
    ]
    return hashlib.sha256(_head(4, len(pairs)) + b"".join(pairs)).digest()


def _text(value: str) -> bytes:
    data = value.encode()
    return _head(3, len(data)) + data


def _head(major: int, number: int) -> bytes:
    """The head of a data item: its major type and its number, which is below 65536, in the shortest form."""
    if number < 24:
        return bytes([major << 5 | number])
    if number < 1 << 8:
        return bytes([major << 5 | 24, number])
    return bytes([major << 5 | 25]) + number.to_bytes(2, "big")
