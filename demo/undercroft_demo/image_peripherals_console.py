"""Screen and keyboard: the image as it ships, with no second serial line, so that they are the owner's terminal."""

from __future__ import annotations

from typing import Final

from .image_peripherals_bench import NO_LINE, READY, START_SECONDS, Bench
from .image_peripherals_machine import SCREEN_AND_KEYBOARD
from .image_peripherals_screen import UNKNOWN
from .qmp import EmulatorError

_ANSWER_SECONDS: Final = 60.0
_CURSOR: Final = 1
"""Cells that need not be a glyph."""


def console(bench: Bench) -> None:
    """Read the ready screen, type a command, read the answer. Raises EmulatorError."""
    tell = bench.telling
    tell.chapter("Screen and keyboard: the image as it ships, its console on a graphics card")
    with bench.shipped(*NO_LINE, *SCREEN_AND_KEYBOARD) as machine:
        machine.wait_for_text(READY, START_SECONDS)
        pixels = machine.screen()
        tell.shown(f"the picture of {pixels.width} x {pixels.height} pixels is text in the kernel's own font")
        machine.type("status\n")
        text = machine.wait_for_text("--- Status -", _ANSWER_SECONDS)
        tell.shown("status, typed on the keyboard, is answered on the screen")
        if text.count(UNKNOWN) > _CURSOR:
            raise EmulatorError(f"not all of the screen can be read:\n{text}")
        tell.screen("nobody yet", text[text.index(READY) :])
        # By the kernel's own tables it would stop the console, and the panel with it.
        machine.press("scroll_lock")
        machine.type("nonsense\n")
        machine.wait_for_text("Please type one of", _ANSWER_SECONDS)
        tell.shown("a word that is no command is refused, also after Scroll Lock was pressed")
