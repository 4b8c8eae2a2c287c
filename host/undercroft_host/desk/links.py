"""From the text of a link to an open one: a serial line, a camera and a screen, a folder that is carried."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from undercroft_protocol.errors import (
    CameraError,
    DevicePathError,
    FolderError,
    LinkError,
    QrSizeError,
    ScreenError,
)
from undercroft_protocol.file_link import FileLink
from undercroft_protocol.link import Link, Progress
from undercroft_protocol.serial.link import SerialLink

from ..config import QrDesk
from ..errors import ApplianceUnplugged, LinkInvalid
from ..link_text import FileText, QrText, parse_link

if TYPE_CHECKING:
    from undercroft_protocol.qr.scanner import Seen

LinkOpener: TypeAlias = Callable[[str], Link]
"""Opens the link that a text such as ``serial:/dev/…`` names."""
Watch: TypeAlias = Callable[["Seen"], None]
"""Is told what came through the camera after each picture."""

_HINTS: Final = {
    CameraError: "name this machine's camera: --link qr:CAMERA,SCREEN (carry: --to), or [qr] in undercroft.toml",
    ScreenError: "name this machine's screen: --link qr:CAMERA,SCREEN (carry: --to), or [qr] in undercroft.toml",
    QrSizeError: "make the window larger or its letters smaller, or version and codes in [qr] of undercroft.toml",
    FolderError: "the folder must be there, and nobody else may write in it",
}


def open_link(
    link: str,
    desk: QrDesk | None = None,
    *,
    watch: Watch | None = None,
    moved: Callable[[Progress], None] | None = None,
) -> Link:
    """Open a link; ``desk`` is this host's camera and screen, ``moved`` hears how far a message is on a serial line.

    Raises LinkInvalid, ApplianceUnplugged.
    """
    meant = parse_link(link)
    try:
        if isinstance(meant, FileText):
            return FileLink.open(meant.folder)
        if isinstance(meant, QrText):
            return _open_qr(meant, desk or QrDesk(), watch)
        return SerialLink.open(meant.path, baudrate=meant.baudrate, on_progress=moved)
    except DevicePathError as error:
        raise LinkInvalid(error.detail) from error
    except LinkError as error:
        raise unplugged("", error) from error


def unplugged(name: str, error: LinkError) -> ApplianceUnplugged:
    """What a link that failed is to an operator, with what to do about this kind."""
    hint = next((hint for kind, hint in _HINTS.items() if isinstance(error, kind)), "")
    detail = error.detail or str(error)
    return ApplianceUnplugged(f"{name}: {detail}" if name else detail, hint=hint)


def _open_qr(meant: QrText, desk: QrDesk, watch: Watch | None) -> Link:
    # Cameras and decoders are slow to import, and few commands need them.
    from .qr_desk import open_qr_link  # noqa: PLC0415

    return open_qr_link(meant.camera or desk.camera, meant.screen or desk.screen, desk, watch)
