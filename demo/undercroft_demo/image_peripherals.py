"""`make image-test ARGS=peripherals`: screen, keyboard, USB and camera of the image, as far as an emulator shows them.

What ships is tried as it is where the emulator has the hardware (screen and keyboard; two boards). For what it
does not have, the same root runs on a test kernel: the shipped options and drivers that stand for the hardware.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from private_apt import FetchError
from undercroft_images.errors import ImageError

from .image_peripherals_bench import Bench
from .image_peripherals_board import board
from .image_peripherals_camera import camera, codes
from .image_peripherals_console import console
from .image_peripherals_usb import usb
from .qmp import EmulatorError
from .telling import Telling

NAME: Final = "peripherals"
STEPS: Final[dict[str, Callable[[Bench], None]]] = {
    "console": console,
    "usb": usb,
    "camera": camera,
    "codes": codes,
    "board": board,
}


def run(names: Sequence[str]) -> int:
    """Show these steps, or all if there are none; returns the exit code."""
    telling = Telling()
    try:
        with tempfile.TemporaryDirectory(prefix="undercroft-peripherals-") as place:
            bench = Bench.ready(Path(place), telling)
            for name in names or STEPS:
                STEPS[name](bench)
    except (EmulatorError, ImageError, FetchError) as error:
        print(f"\nNot shown: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; everything is stopped.", file=sys.stderr)
        return 130
    return 0


def main(arguments: Sequence[str]) -> int:
    """Show the steps that are named, or all; returns the exit code."""
    parser = argparse.ArgumentParser(prog=f"make image-test ARGS={NAME}", description=__doc__)
    parser.add_argument("steps", nargs="*", metavar="step", help=f"{', '.join(STEPS)}; all of them when none is named")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.steps) - STEPS.keys()):
        parser.error(f"there is no step {unknown[0]!r}")
    return run(options.steps)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
