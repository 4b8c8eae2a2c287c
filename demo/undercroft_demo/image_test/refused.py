"""Machines on which the image does not start: the emulator with mainnet keys, and a board that it is not made for.

Both are said by the device tree. Why it does not start stands on the console, which is read off a graphics card.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..image_peripherals_bench import LINE, START_SECONDS, Bench
from ..image_peripherals_machine import SCREEN_AND_KEYBOARD
from ..image_peripherals_tree import Change, changed_tree
from ..qmp import Control
from ..story import StoryError
from ..telling import Telling

_SPEED_OF_LINE: Final = 0x0900_0024
"""The PL011's divisor of the baud rate (UARTIBRD) on the machine "virt": 0 until the line is opened."""


@dataclass(frozen=True, slots=True)
class Case:
    """``said``: what stands on the console."""

    name: str
    change: Change
    said: str


CASES: Final = (
    # Attack: the keys of a quorum that holds money, in the memory of somebody's computer.
    Case("mainnet", ("/chosen", "undercroft,network", ("mainnet",)), "an emulated appliance holds no mainnet keys"),
    # Mishap: on a board that nobody tried, the line may be another device.
    Case("board", ("/", "compatible", ("example,board",)), "no image is made for this board (example,board)"),
)


def refusals(folder: Path) -> Mapping[str, str]:
    """Switch each of the `CASES` on, and see it off; what each of them said. Raises EmulatorError, StoryError."""
    folder.mkdir()
    bench = Bench.ready(folder, Telling())
    return {one.name: _refusal(bench, one) for one in CASES}


def _refusal(bench: Bench, case: Case) -> str:
    tree = changed_tree(bench.builder, bench.folder / f"{case.name}.dtb", (case.change,))
    with bench.shipped(*LINE, *SCREEN_AND_KEYBOARD, "-dtb", tree) as machine:
        machine.control.ask("set-action", shutdown="pause")
        text = machine.wait_for_text(case.said, START_SECONDS)
        machine.control.wait_for_event("SHUTDOWN")
        if line_was_opened(machine.control):
            raise StoryError(f"{case.name}: the line was opened")
    return next(line.partition(": ")[2] for line in text.splitlines() if case.said in line)


def line_was_opened(control: Control) -> bool:
    """Whether the line of an emulated appliance was opened since it was switched on. Raises EmulatorError."""
    told: str = control.ask("human-monitor-command", **{"command-line": f"xp /1wx {_SPEED_OF_LINE:#x}"})
    return int(told.rpartition(":")[2], 16) != 0
