"""Codes as picture files, by Pillow, where it is installed: PNG for one picture, GIF for a film."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from undercroft_protocol.errors import ScreenError
from undercroft_protocol.qr.capacity import modules_of
from undercroft_protocol.qr.draw import draw_alike, fitting_version
from undercroft_protocol.qr.picture import Matrix, Picture
from undercroft_protocol.qr.sheet import MAX_CODES, QUIET, tight_picture
from undercroft_protocol.qr.stream import SymbolSource

MAX_FRAMES = 5000
# Of a file of several pictures, in all: a GIF viewer keeps them in memory.
MAX_PIXELS = 1 << 30
# A GIF counts in hundredths of a second, and browsers slow down whatever is below two of them.
MAX_PICTURES_PER_SECOND = 50


def write_png(path: Path, matrix: Matrix, scale: int) -> None:
    """Write one code, ``scale`` pixels a module, with its quiet zone. Raises ScreenError."""
    _save(path, [tight_picture([matrix], scale=scale, columns=1)])


def write_gif(
    path: Path, source: SymbolSource, *, frames: int, pictures_per_second: int, scale: int, codes: int
) -> None:
    """Write the source's first ``frames`` pictures of ``codes`` codes as a film without end. Raises ScreenError."""
    if not 1 <= pictures_per_second <= MAX_PICTURES_PER_SECOND:
        raise ScreenError(f"a GIF shows 1 to {MAX_PICTURES_PER_SECOND} pictures a second")
    milliseconds = 10 * round(100 / pictures_per_second)
    _save(path, _pictures(source, frames, scale, codes), duration=milliseconds)


def _pictures(source: SymbolSource, frames: int, scale: int, codes: int) -> Iterator[Picture]:
    if not (1 <= frames <= MAX_FRAMES and 1 <= codes <= MAX_CODES and scale >= 1):
        raise ScreenError(f"1 to {MAX_FRAMES} pictures of 1 to {MAX_CODES} codes can be written")
    texts = [source.next_symbol() for _ in range(frames * codes)]
    version = max(map(fitting_version, texts))
    side = scale * (modules_of(version) + 2 * QUIET)
    if len(texts) * side * side > MAX_PIXELS:
        raise ScreenError("so many large pictures make a file that nobody can show; take fewer, or a smaller scale")
    columns = _columns(codes)
    return (
        tight_picture(draw_alike(texts[at : at + codes], version=version), scale=scale, columns=columns)
        for at in range(0, len(texts), codes)
    )


def _columns(codes: int) -> int:
    """2 x 1, 3 x 2, 4 x 2: wider than high, no empty place where that can be had."""
    wide = [columns for columns in range(1, codes + 1) if columns * columns >= codes]
    return min(wide, key=lambda columns: (-codes % columns, columns))


def _save(path: Path, pictures: Iterable[Picture], *, duration: int | None = None) -> None:
    try:
        image: Any = importlib.import_module("PIL.Image")
    except ImportError as error:
        raise ScreenError("picture files need Pillow; install pillow, or show the codes on a terminal") from error
    images = (image.frombytes("L", (one.width, one.height), one.grey).convert("1", dither=0) for one in pictures)
    try:
        first = next(images)
        if duration is None:
            first.save(path, format="PNG")
        else:
            first.save(path, format="GIF", save_all=True, append_images=images, duration=duration, loop=0)
    except OSError as error:
        raise ScreenError(f"{path} cannot be written ({error.strerror})") from error
