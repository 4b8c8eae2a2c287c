"""Compares a written card with the image that it was written from. It reads; it never writes."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from .errors import ImageError

_BLOCK: Final = 1 << 20


def check_card(card: Path, image: Path, sha256: str) -> int:
    """Compare the leading bytes of ``card`` (a block device or a copy of one) with ``image`` of this SHA-256 (hex).

    Returns how many bytes (a real card is larger) follow that were not compared. Raises ImageError.
    """
    try:
        return _compare(card, image, sha256)
    except OSError as error:
        raise ImageError(f"{card} cannot be read: {error.strerror}") from error


def _compare(card: Path, image: Path, sha256: str) -> int:
    digest = hashlib.sha256()
    compared = 0
    descriptor = os.open(card, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0), image.open("rb") as wanted:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISBLK(mode) or stat.S_ISREG(mode)):
            raise ImageError(f"{card} is neither a card nor a file")
        # Mishap: what was just written comes back from this machine's memory, and not from the card.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        while block := wanted.read(_BLOCK):
            found = _read(descriptor, len(block))
            if found != block[: len(found)]:
                different = compared + _first_difference(found, block)
                hint = "; name the whole device, not a partition of it" if different < _BLOCK else ""
                raise ImageError(f"{card} differs from the image, first at byte {different}{hint}. Do not start it")
            digest.update(found)
            compared += len(found)
            if len(found) < len(block):
                raise ImageError(f"{card} ends after {compared} bytes, before the image does")
        # Attack: an image beside the signed sums that changed after it was compared with them.
        if digest.hexdigest() != sha256:
            raise ImageError(f"{card} is like {image.name}, but that is not the image that was signed")
        return os.lseek(descriptor, 0, os.SEEK_END) - compared


def _read(descriptor: int, size: int) -> bytes:
    """``size`` bytes, or what is left."""
    parts = []
    while size and (part := os.read(descriptor, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _first_difference(one: bytes, other: bytes) -> int:
    """Where two that differ do so first, by halves."""
    same, end = 0, len(one)
    while end - same > 1:
        middle = (same + end) // 2
        if one[same:middle] == other[same:middle]:
            same = middle
        else:
            end = middle
    return same
