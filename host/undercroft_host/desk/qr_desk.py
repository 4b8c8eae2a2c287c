"""The host's camera and screen as a link."""

from __future__ import annotations

from undercroft_protocol.link import Link
from undercroft_protocol.qr.camera import open_camera
from undercroft_protocol.qr.eye import best_eye
from undercroft_protocol.qr.link import QrLink
from undercroft_protocol.qr.player import QrSettings
from undercroft_protocol.qr.screen import open_screen

from ..config import QrDesk
from .links import Watch


def open_qr_link(camera: str, screen: str, desk: QrDesk, watch: Watch | None) -> Link:
    """Open both; raises CameraError, ScreenError, and leaves nothing open."""
    settings = QrSettings(desk.version, desk.codes, desk.pictures_per_second)
    opened = open_camera(camera)
    try:
        return QrLink(opened, open_screen(screen), best_eye(), settings=settings, on_seen=watch)
    except BaseException:
        opened.close()
        raise
