"""Which paths may be opened as a camera or a screen: absolute ones, of the kinds of file that the caller names."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from undercroft_protocol.errors import LinkError

# Of a stat result's mode: is it of this kind?
KindOfFile = Callable[[int], bool]
Kinds = dict[str, KindOfFile]
"""By the name that stands in the report."""

CHARACTER_DEVICE: Final[Kinds] = {"a character device": stat.S_ISCHR}
TERMINAL: Final[Kinds] = {"a terminal": stat.S_ISCHR}
FIFO: Final[Kinds] = {"a FIFO": stat.S_ISFIFO}
FILE: Final[Kinds] = {"a file": stat.S_ISREG}


def check_path(path: str, kinds: Kinds, error: type[LinkError]) -> int:
    """The mode of what is at this absolute path. Raises ``error`` unless it is of one of these kinds."""
    # Attack: libraries open rtsp://, http:// or a pipeline of programs where they are given one for a path.
    if "://" in path:
        raise error(f"{path!r} is a URL, and nothing goes over a network here")
    # A relative name depends on the working directory; somebody else may have put a device there.
    if not path.startswith("/") or "\0" in path:
        raise error(f"{path!r} is not an absolute path")
    try:
        mode = Path(path).stat().st_mode
    except OSError as problem:
        raise error(f"{path} cannot be reached ({problem.strerror}); is it plugged in?") from problem
    _check_mode(path, mode, kinds, error)
    return mode


def open_checked(path: str, flags: int, kinds: Kinds, error: type[LinkError]) -> int:
    """Open it without blocking, and without becoming its terminal's owner. Raises ``error``."""
    # Attack: a FIFO or a file in the place of a device; already its opening is noticed, or changes something.
    check_path(path, kinds, error)
    try:
        fd = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as problem:
        raise error(f"{path} cannot be opened ({problem.strerror}); may this user use it?") from problem
    try:
        # Attack: between check and opening a path may have been pointed elsewhere.
        _check_mode(path, os.fstat(fd).st_mode, kinds, error)
    except error:
        os.close(fd)
        raise
    return fd


def _check_mode(path: str, mode: int, kinds: Kinds, error: type[LinkError]) -> None:
    if not any(is_one(mode) for is_one in kinds.values()):
        raise error(f"{path} is not {' or '.join(kinds)}")
