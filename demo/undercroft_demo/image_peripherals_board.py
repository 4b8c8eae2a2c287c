"""The image as it ships on the emulator's model of a Raspberry Pi 4: another machine, the same bytes.

The emulator has no VideoCore, so that nothing here tells of HDMI, USB or the camera: the line is asked.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from undercroft_images.device_tree import compile_emulated
from undercroft_protocol.bitcoin.network import Network

from .image_peripherals_bench import LINE, Bench, asked

_SEED_BYTES: Final = 64
_START_SECONDS: Final = 400.0


def board(bench: Bench) -> None:
    """Ask an appliance on a board for its status. Raises EmulatorError, ImageError."""
    tell = bench.telling
    tell.chapter("Raspberry Pi 4: the image as it ships on the emulator's model of the board")
    with bench.shipped(*LINE, "-dtb", _tree(bench), board=("-M", "raspi4b")) as machine:
        report = asked(machine, _START_SECONDS)
        tell.shown("a host's request on the serial pins was answered")
        bench.tell_status(report, Network.REGTEST)


def _tree(bench: Bench) -> Path:
    place = bench.folder / "raspi4b.dtb"
    with bench.builder.workspace("tree") as work:
        tree = compile_emulated(bench.builder, bench.kernel, work / "trees")
        # In the place of a board's firmware, which the emulator has not.
        seed = [f"{one:02x}" for one in os.urandom(_SEED_BYTES)]
        bench.builder.run("fdtput", "-t", "bx", tree, "/chosen", "rng-seed", *seed, folder=work)
        place.write_bytes(tree.read_bytes())
    return place
