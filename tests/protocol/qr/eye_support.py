"""Pictures for the eyes, and the eyes that can be tried on this machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from undercroft_demo.fetched import lend_zbar
from undercroft_demo.optics import Image, as_array, as_picture
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.eye import Eye, eye_by_name
from undercroft_protocol.qr.picture import Matrix, Picture
from undercroft_protocol.qr.sheet import picture_of


def eye(name: str) -> Eye:
    """The reader of that name; skips the test where zbar is neither on the system nor fetched."""
    if name == "pyzbar" and lend_zbar() is None:
        pytest.skip("zbar is not here")
    return eye_by_name(name)


def shown(texts: Sequence[str], *, width: int = 800, height: int = 600, version: int | None = None) -> Picture:
    """A screen with these codes."""
    return picture_of([draw(text, version=version) for text in texts], width=width, height=height)


def texts(eye: Eye, picture: Picture) -> list[str]:
    """What it reads, sorted."""
    return sorted(sight.text for sight in eye.look(picture))


def placed(picture: Picture, *, width: int, height: int, left: int, top: int) -> Picture:
    """A larger white picture with this one in it."""
    large: Image = np.full((height, width), 255, np.uint8)
    large[top : top + picture.height, left : left + picture.width] = as_array(picture)
    return as_picture(large)


def flipped(code: Matrix, modules: Sequence[int]) -> Matrix:
    """The code with these modules inverted."""
    changed = bytearray(code.modules)
    for at in modules:
        changed[at] ^= 1
    return Matrix(code.size, bytes(changed))
