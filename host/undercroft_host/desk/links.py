"""From the text of a link to an open line. A serial device is the only carrier."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from undercroft_protocol.errors import LinkError
from undercroft_protocol.serial.link import Link, SerialLink

from ..custody.appliances import serial_path
from ..errors import ApplianceUnplugged

LinkOpener: TypeAlias = Callable[[str], Link]
"""Opens the link that a text such as ``serial:/dev/…`` names."""


def open_link(link: str) -> Link:
    """Open the line; raises LinkInvalid for anything but ``serial:PATH``, ApplianceUnplugged if it cannot be opened."""
    path = serial_path(link)
    try:
        return SerialLink.open(path)
    except LinkError as error:
        raise ApplianceUnplugged(error.detail or str(error)) from error
