"""Reads QR codes from pictures: zxing-cpp first, zbar and OpenCV behind the same interface."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import Final, cast

from undercroft_protocol.errors import QrError

from .patch import Rescue
from .sight import MOST_CODES, Eye, Sight

__all__ = ["MOST_CODES", "NAMES", "Eye", "Sight", "best_eye", "eye_by_name"]

_EYES: Final = MappingProxyType(
    {"zxing": ("zxing", "ZxingEye"), "pyzbar": ("zbar", "ZbarEye"), "opencv": ("opencv", "OpenCvEye")}
)
NAMES: Final = tuple(_EYES)
"""The readers, the best one first."""


def best_eye() -> Eye:
    """zxing-cpp, with smoothed and enlarged attempts where OpenCV is installed; without zxing-cpp the next best that is
    here. Raises QrError when there is none."""
    for name in NAMES:
        try:
            return eye_by_name(name)
        except QrError:
            continue
    raise QrError("nothing here can read one; install zxing-cpp")


def eye_by_name(name: str) -> Eye:
    """The reader of that name, see NAMES. Raises QrError when there is no such or its library is not installed."""
    if name not in _EYES:
        raise QrError(f"no reader has the name {name[:32]!r}; there are {', '.join(NAMES)}")
    module, kind = _EYES[name]
    found = getattr(import_module(f".{module}", __package__), kind)
    return cast(Eye, found(_rescue()) if name == "zxing" else found())


def _rescue() -> Rescue | None:
    try:
        return cast(Rescue, import_module(".rescue", __package__).OpenCvRescue())
    except ImportError:  # OpenCV or numpy, or a library of the system that one of them needs
        return None
