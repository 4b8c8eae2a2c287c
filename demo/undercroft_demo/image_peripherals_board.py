"""The image as it ships on the emulator's models of a Raspberry Pi 3 and 4: other machines, the same bytes.

The emulator has no VideoCore, so that nothing here tells of HDMI, USB or the camera: the line is asked.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from undercroft_images.device_tree import EMULATED, compile_emulated
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import StatusReport

from .image_peripherals_bench import LINE, Bench, asked

_SEED_BYTES: Final = 64
_START_SECONDS: Final = 400.0


def board(bench: Bench) -> None:
    """Ask an appliance on each board for its status. Raises EmulatorError, ImageError."""
    tell = bench.telling
    tell.chapter("Raspberry Pi: the image as it ships on the emulator's models of the boards")
    trees = {name: _tree(bench, name) for name in EMULATED}
    with ThreadPoolExecutor(len(trees)) as pool:
        reports = dict(zip(trees, pool.map(lambda name: _report(bench, name, trees[name]), trees), strict=True))
    for name, report in reports.items():
        tell.shown(f"{name}: a host's request on the serial pins was answered")
        bench.tell_status(report, Network.REGTEST)


def _report(bench: Bench, name: str, tree: Path) -> StatusReport:
    with bench.shipped(*LINE, "-dtb", tree, board=("-M", name)) as machine:
        return asked(machine, _START_SECONDS)


def _tree(bench: Bench, name: str) -> Path:
    place = bench.folder / f"{name}.dtb"
    with bench.builder.workspace("tree") as work:
        tree = compile_emulated(bench.builder, bench.kernel, work / "trees", name)
        # In the place of a board's firmware, which the emulator has not.
        seed = [f"{one:02x}" for one in os.urandom(_SEED_BYTES)]
        bench.builder.run("fdtput", "-t", "bx", tree, "/chosen", "rng-seed", *seed, folder=work)
        place.write_bytes(tree.read_bytes())
    return place
