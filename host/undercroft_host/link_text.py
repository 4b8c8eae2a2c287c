"""What the text of a link means: which carrier brings messages to an appliance, and how patient that makes the host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias

from undercroft_protocol.serial.tty import DEFAULT_BAUDRATE

from .errors import LinkInvalid

_SERIAL: Final = "serial:"
_QR: Final = "qr"
_FILE: Final = "file:"
_MAX_CHARACTERS: Final = 255
_BAUDRATE: Final = re.compile(r"[1-9][0-9]{0,7}")

_QR_SECONDS: Final = 120
"""For people who hold a screen before a camera, both ways."""
_FILE_SECONDS: Final = 24 * 3600
"""For people who carry a folder to another place and back."""


@dataclass(frozen=True, slots=True)
class SerialText:
    """``serial:PATH`` or ``serial:PATH,BAUDRATE``: the absolute path of a serial device, and bits per second."""

    path: str
    baudrate: int = DEFAULT_BAUDRATE

    patience_seconds = 0
    is_carried = False


@dataclass(frozen=True, slots=True)
class QrText:
    """``qr`` or ``qr:CAMERA,SCREEN``: animated codes; None where the host's own camera and screen are meant."""

    camera: str | None
    screen: str | None

    patience_seconds = _QR_SECONDS
    is_carried = False


@dataclass(frozen=True, slots=True)
class FileText:
    """``file:FOLDER``: an absolute path; somebody carries the folder, and nobody waits beside it."""

    folder: Path

    patience_seconds = _FILE_SECONDS
    is_carried = True


LinkText: TypeAlias = SerialText | QrText | FileText
"""``patience_seconds`` is added to every time that the host waits for an answer."""


def parse_link(text: str) -> LinkText:
    """What a link's text means; LinkInvalid for every other carrier, first of all a network."""
    if len(text) > _MAX_CHARACTERS or not text.isprintable():
        raise LinkInvalid("it is too long or cannot be printed")
    # Attack: socket://, rfc2217://, rtsp:// and the like put a network between host and appliance.
    if "://" in text:
        raise LinkInvalid(repr(text))
    if text.startswith(_SERIAL):
        path, comma, baudrate = text.removeprefix(_SERIAL).partition(",")
        if comma and not _BAUDRATE.fullmatch(baudrate):
            raise LinkInvalid(f"{text!r}: after the comma stands the speed in bits per second")
        return SerialText(_absolute(path, text), int(baudrate) if comma else DEFAULT_BAUDRATE)
    if text.startswith(_FILE):
        return FileText(Path(_absolute(text.removeprefix(_FILE), text)))
    if text == _QR:
        return QrText(None, None)
    camera, comma, screen = text.removeprefix(f"{_QR}:").partition(",")
    if not text.startswith(f"{_QR}:") or not comma or not camera or not screen:
        raise LinkInvalid(repr(text))
    return QrText(camera, screen)


def carrier_of(link: LinkText, *, camera: str) -> str:
    """What carries one conversation at a time; ``camera`` is the host's own."""
    match link:
        case SerialText():
            return link.path
        case QrText():
            return link.camera or camera
        case FileText():
            return str(link.folder)


def _absolute(path: str, text: str) -> str:
    # A relative path depends on the folder in which the host happens to run.
    if not PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise LinkInvalid(repr(text))
    return path
