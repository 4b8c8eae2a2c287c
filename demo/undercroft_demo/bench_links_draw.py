"""What drawing costs: the next symbol of a message as a code, beside the `qrcode` package on the same texts.

CPU time of this thread, the median of all frames of a run. Ours is the whole way of a frame: the symbol (a mixture of
all parts of the message, the dearest kind), the code, and for the last row what a terminal gets to show it.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence

import qrcode

from undercroft_protocol.qr.draw import draw, draw_with_qrcode
from undercroft_protocol.qr.fast import FastSource
from undercroft_protocol.qr.picture import Matrix
from undercroft_protocol.qr.screen.terminal import half_blocks
from undercroft_protocol.qr.sheet import best_grid, module_rows

from .goal_table import Goal, show

_MESSAGE_BYTES = 50_000
_VERSIONS = (20, 27, 40)
_GOAL_VERSION = 40
_GOAL_MILLISECONDS = 5.0
_GOAL_RATIO = 30.0


def goals(*, quick: bool) -> list[Goal]:
    """G9, and the same for smaller codes."""
    ours_frames, peer_frames = (20, 2) if quick else (200, 12)
    rows = []
    for version in _VERSIONS:
        source = _source(version)
        ours = _milliseconds(lambda: draw(source.next_symbol(), version=version), ours_frames)  # noqa: B023
        texts = [source.next_symbol() for _ in range(peer_frames)]
        usual = _milliseconds_each(_as_commonly_used, texts)
        fixed = _milliseconds_each(lambda text: draw_with_qrcode(text, version), texts)  # noqa: B023
        asked = version == _GOAL_VERSION
        rows.append(
            Goal(
                "G9" if asked else "",
                f"draw one v{version} frame (symbol and code)",
                f"<= {_GOAL_MILLISECONDS:.0f} ms, >= {_GOAL_RATIO:.0f}x" if asked else "",
                "",
                f"qrcode {usual:.0f} ms, its mask fixed {fixed:.0f} ms",
                f"{ours:.2f} ms, {usual / ours:.0f}x, {fixed / ours:.0f}x",
                ours <= _GOAL_MILLISECONDS and usual / ours >= _GOAL_RATIO if asked else None,
            )
        )
    source = _source(_GOAL_VERSION)
    whole = _milliseconds(lambda: _terminal_lines(draw(source.next_symbol(), version=_GOAL_VERSION)), ours_frames)
    rows.append(Goal("", f"v{_GOAL_VERSION} frame and its half blocks", "", "", "", f"{whole:.2f} ms", None))
    return rows


def _source(version: int) -> FastSource:
    chance = random.Random(version)
    # Random bytes do not shrink: as many parts as such a message can have.
    source = FastSource(chance.randbytes(_MESSAGE_BYTES), version=version, session=chance.randbytes(4))
    for _ in range(source.count):
        source.next_symbol()
    return source


def _as_commonly_used(text: str) -> object:
    code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_L)
    code.add_data(text)
    code.make(fit=True)
    return code.get_matrix()


def _terminal_lines(code: Matrix) -> list[bytes]:
    grid = best_grid(1, code.size, 200, 200)
    return half_blocks(module_rows([code], grid))


def _milliseconds(work: Callable[[], object], times: int) -> float:
    work()
    return statistics.median(_one(work) for _ in range(times))


def _milliseconds_each(work: Callable[[str], object], texts: Sequence[str]) -> float:
    work(texts[0])
    return statistics.median(_one(lambda: work(text)) for text in texts)  # noqa: B023


def _one(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return (time.thread_time() - began) * 1e3


if __name__ == "__main__":
    show(goals(quick=False))
