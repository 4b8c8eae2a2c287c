"""Several codes side by side on one picture, each an independent symbol with its quiet zone (ISO/IEC 18004 §6.3.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from undercroft_protocol.errors import QrSizeError
from undercroft_protocol.qr.capacity import LAST_VERSION, modules_of
from undercroft_protocol.qr.picture import Matrix, Picture

QUIET = 4
MAX_CODES = 16
LEAST_VERSION = 5
"""Of a stream of codes: what smaller ones carry is hardly more than their headers."""

_DARK, _LIGHT = b"\x00", b"\xff"


@dataclass(frozen=True, slots=True)
class Grid:
    """How codes of ``size`` modules stand in rows; ``scale`` is the pixels of a module (0: they do not fit)."""

    columns: int
    rows: int
    size: int
    scale: int

    @property
    def width(self) -> int:
        """In modules, with the quiet zones around and between."""
        return self.columns * (self.size + QUIET) + QUIET

    @property
    def height(self) -> int:
        """In modules, with the quiet zones around and between."""
        return self.rows * (self.size + QUIET) + QUIET


def best_grid(count: int, size: int, width: int, height: int) -> Grid:
    """The grid that shows ``count`` codes of ``size`` modules largest on ``width`` x ``height`` pixels.

    Where nothing fits, its scale is 0 and it is the grid that misses the fewest pixels. Raises ValueError for a count
    that is not 1 to 16.
    """
    if not 1 <= count <= MAX_CODES:
        raise ValueError(f"{count} codes on one picture; 1 to {MAX_CODES} are possible")

    def merit(grid: Grid) -> tuple[int, int, int]:
        missing = max(0, grid.width - width) + max(0, grid.height - height)
        return grid.scale, -missing, -grid.columns * grid.rows

    candidates = []
    for columns in range(1, count + 1):
        flat = Grid(columns, -(-count // columns), size, 0)
        scale = min(width // flat.width, height // flat.height)
        candidates.append(Grid(columns, flat.rows, size, scale))
    return max(candidates, key=merit)


def largest_version(count: int, width: int, height: int) -> int | None:
    """The largest version (5 to 40) of which ``count`` codes fit on ``width`` x ``height`` pixels; None: none does."""
    versions = range(LAST_VERSION, LEAST_VERSION - 1, -1)
    return next((one for one in versions if best_grid(count, modules_of(one), width, height).scale), None)


def size_of(codes: Sequence[Matrix]) -> int:
    """The modules along a side of every one of them. Raises QrSizeError when they differ, ValueError for no codes."""
    sizes = {code.size for code in codes}
    if not sizes:
        raise ValueError("no code to show")
    if len(sizes) > 1:
        raise QrSizeError(f"codes of {sorted(sizes)} modules do not go on one picture")
    return sizes.pop()


def module_rows(codes: Sequence[Matrix], grid: Grid) -> list[bytes]:
    """The picture's rows from the top, a byte for each module, 1 is dark; no scaling."""
    size, width = grid.size, grid.width
    empty, gap, blank = bytes(width), bytes(QUIET), bytes(size)
    rows = [empty] * QUIET
    for start in range(0, len(codes), grid.columns):
        line = codes[start : start + grid.columns]
        padding = (blank + gap) * (grid.columns - len(line))
        for at in range(0, size * size, size):
            rows.append(gap + b"".join(code.modules[at : at + size] + gap for code in line) + padding)
        rows += [empty] * QUIET
    return rows


def enlarged(rows: Sequence[bytes], scale: int) -> list[bytes]:
    """Every module as scale x scale modules."""
    if scale == 1:
        return list(rows)
    wide = (row.replace(b"\x00", bytes(scale)).replace(b"\x01", b"\x01" * scale) for row in rows)
    return [row for one in wide for row in (one,) * scale]


def picture_of(codes: Sequence[Matrix], *, width: int, height: int) -> Picture:
    """The codes as large as they fit, in the middle of a white picture of ``width`` x ``height`` pixels.

    Raises QrSizeError when they do not fit, or are of several sizes.
    """
    grid = best_grid(len(codes), size_of(codes), width, height)
    if not grid.scale:
        raise QrSizeError(f"{grid.width} x {grid.height} pixels are needed, {width} x {height} are there")
    return _painted(module_rows(codes, grid), grid, width, height)


def tight_picture(codes: Sequence[Matrix], *, scale: int, columns: int) -> Picture:
    """The codes in rows of ``columns``, ``scale`` pixels a module, with nothing around them but the quiet zone."""
    grid = Grid(columns, -(-len(codes) // columns), size_of(codes), scale)
    return _painted(module_rows(codes, grid), grid, grid.width * scale, grid.height * scale)


def _painted(rows: Sequence[bytes], grid: Grid, width: int, height: int) -> Picture:
    left, top = (width - grid.width * grid.scale) // 2, (height - grid.height * grid.scale) // 2
    before, after = _LIGHT * left, _LIGHT * (width - grid.width * grid.scale - left)
    light, dark = _LIGHT * grid.scale, _DARK * grid.scale
    lines = [_LIGHT * (width * top)]
    for row in rows:
        # Light first: what it becomes contains no byte of a dark module.
        line = row.replace(b"\x00", light).replace(b"\x01", dark)
        lines.append((before + line + after) * grid.scale)
    lines.append(_LIGHT * (width * (height - grid.height * grid.scale - top)))
    return Picture(width, height, b"".join(lines))
