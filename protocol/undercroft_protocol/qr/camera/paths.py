"""Which paths may be opened as a camera."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from undercroft_protocol.errors import CameraError

# Of a stat result's mode: is it of this kind?
KindOfFile = Callable[[int], bool]


def check_path(path: str, kinds: dict[str, KindOfFile]) -> None:
    """Raise CameraError unless something of one of these kinds (named for the report) is at this absolute path."""
    # Attack: libraries open rtsp://, http:// or a pipeline of programs where they are given one for a path.
    if "://" in path:
        raise CameraError(f"{path!r} is a URL, and nothing is read from a network here")
    # A relative name depends on the working directory; somebody else may have put a device there.
    if not path.startswith("/") or "\0" in path:
        raise CameraError(f"{path!r} is not an absolute path")
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise CameraError(f"{path} cannot be reached ({error.strerror}); is it plugged in?") from error
    check_mode(path, mode, kinds)


def check_mode(path: str, mode: int, kinds: dict[str, KindOfFile]) -> None:
    """The same for what is open already: between check and opening a path may have been pointed elsewhere."""
    if not any(is_one(mode) for is_one in kinds.values()):
        raise CameraError(f"{path} is not {' or '.join(kinds)}")


def open_checked(path: str, flags: int, kinds: dict[str, KindOfFile]) -> int:
    """Open it without blocking, and without becoming its terminal's owner. Raises CameraError."""
    check_path(path, kinds)
    try:
        fd = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise CameraError(f"{path} cannot be opened ({error.strerror}); may this user read it?") from error
    try:
        check_mode(path, os.fstat(fd).st_mode, kinds)
    except CameraError:
        os.close(fd)
        raise
    return fd


CHARACTER_DEVICE: dict[str, KindOfFile] = {"a character device": stat.S_ISCHR}
FIFO: dict[str, KindOfFile] = {"a FIFO": stat.S_ISFIFO}
FILE: dict[str, KindOfFile] = {"a file": stat.S_ISREG}
