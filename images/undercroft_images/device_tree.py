"""The boards' device trees: mainline Linux's own, less every radio, network and storage device, and checked for that.

Each board has three: its line on the header's serial pins, its line on the USB port, and one for practice on regtest.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from . import fdt
from .builder import Builder
from .errors import ImageError
from .kernel import Kernel
from .places import IMAGES

SOURCES: Final = IMAGES / "pi"
BOARDS: Final = ("pi4", "cm4")
VARIANTS: Final[Mapping[str, Sequence[str]]] = {"": (), "-usb": ("USB_LINE",), "-practice": ("PRACTICE",)}
"""By what follows the board in a tree's name: what is defined when it is compiled."""
CHOSEN: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "": {},
    "-usb": {"undercroft,line": ("usb",)},
    "-practice": {"undercroft,network": ("regtest",)},
}
"""What each says to the appliance, in /chosen."""
EMULATED: Final[Mapping[str, str]] = {"raspi3b": "raspi3b", "raspi4b": "pi4"}
"""QEMU's machines of boards, and the source of each one's tree."""
_FOR_EMULATOR: Final = ("PRACTICE", "EMULATOR")
_FOLDERS: Final = ("arch/arm/boot/dts/broadcom", "arch/arm/boot/dts", "include")
_OURS: Final = "undercroft,"
_LINE_PINS: Final = (14, 15)
_RADIO_LINES: Final = {0: "BT_ON", 1: "WL_ON"}
"""Of the firmware's own port, by their numbers there."""


def compile_trees(builder: Builder, kernel: Kernel, place: Path) -> list[Path]:
    """Compile what is shipped into the new folder ``place``, below the builder's root. Raises ImageError.

    The names are those of the board and the variant, such as pi4-usb.dtb.
    """
    _take_sources(place)
    trees = []
    for board in BOARDS:
        for variant, defined in VARIANTS.items():
            tree = _compile(builder, kernel, place / f"{board}.dts", defined, place / f"{board}{variant}.dtb")
            check(fdt.read(tree.read_bytes()), variant)
            trees.append(tree)
    return trees


def compile_emulated(builder: Builder, kernel: Kernel, place: Path, machine: str) -> Path:
    """A tree for one of `EMULATED`, on regtest with weak envelopes; never shipped. Raises ImageError."""
    _take_sources(place)
    return _compile(builder, kernel, place / f"{EMULATED[machine]}.dts", _FOR_EMULATOR, place / f"{machine}.dtb")


def _take_sources(place: Path) -> None:
    place.mkdir(parents=True)
    for path in sorted(SOURCES.glob("*.dts*")):
        shutil.copyfile(path, place / path.name)


def _compile(builder: Builder, kernel: Kernel, source: Path, defined: Sequence[str], tree: Path) -> Path:
    plain = tree.with_suffix(".pre")
    folders = [word for name in _FOLDERS for word in ("-I", kernel.source / name)]
    builder.run(
        "cpp", "-nostdinc", "-undef", "-P", "-D__DTS__", *(f"-D{name}" for name in defined), *folders,
        "-x", "assembler-with-cpp", source, "-o", plain, folder=tree.parent,
    )  # fmt: skip
    # Without symbols (-@): an overlay finds nothing by its name that it could turn on again.
    builder.run("dtc", "-q", "-I", "dts", "-O", "dtb", "-o", tree, plain, folder=tree.parent)
    return tree


def allowed() -> frozenset[str]:
    """What may be in use on a board, by `compatible`."""
    lines = (SOURCES / "compatible.txt").read_text(encoding="ascii").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def check(root: fdt.Node, variant: str) -> None:
    """Raises ImageError for a tree that has something in use that no appliance has, or that says another thing."""
    known = allowed()
    # Attack: by mistake or by a newer kernel's tree, a radio, a network or a disk comes with the board.
    if odd := [f"{node.path} ({one})" for node in root.enabled() for one in node.strings("compatible")
               if one not in known]:  # fmt: skip
        raise ImageError(f"in use on the board, but not in images/pi/compatible.txt: {', '.join(odd)}")
    _check_chosen(root, variant)
    _check_line(root)
    _check_radio_lines(root)


def _check_chosen(root: fdt.Node, variant: str) -> None:
    chosen = root.at("/chosen")
    said = {name: chosen.strings(name) for name in chosen.properties if name.startswith(_OURS)}
    # Mishap: a tree for practice under the name of one for money, or the other way round.
    if said != CHOSEN[variant]:
        raise ImageError(f"the device tree says {said} in /chosen, where {dict(CHOSEN[variant])} belongs")
    # Attack: the kernel's own messages, or a console, on the line to the host.
    if "stdout-path" in chosen.properties or "bootargs" in chosen.properties:
        raise ImageError("the device tree gives the kernel a console or a command line")


def _check_line(root: fdt.Node) -> None:
    """Raises ImageError where the first serial device is not a PL011 on the header's pins, and alone on them."""
    in_use = [node for node in root.enabled() if re.fullmatch(r".*/serial@[0-9a-f]+", node.path)]
    [first] = root.at("/aliases").strings("serial0") or [""]
    if [node.path for node in in_use] != [first] or "arm,pl011" not in in_use[0].strings("compatible"):
        raise ImageError("the line is not the only serial device in use, or no PL011")
    pins = [pin for handle in in_use[0].cells("pinctrl-0") for pin in root.handle(handle).cells("brcm,pins")]
    if tuple(pins) != _LINE_PINS:
        raise ImageError(f"the line is on the pins {pins}, not on GPIO 14 and 15")


def _check_radio_lines(root: fdt.Node) -> None:
    """Raises ImageError unless a hog holds each enabling line of the radio low (gpio.txt of Linux's bindings)."""
    held = set()
    for port in root.enabled():
        if "raspberrypi,firmware-gpio" in port.strings("compatible"):
            for hog in port.children:
                # The second number is GPIO_ACTIVE_HIGH, so that low is low.
                if {"gpio-hog", "output-low"} <= hog.properties.keys() and hog.cells("gpios")[1:] == (0,):
                    held.add(hog.cells("gpios")[0])
    # Attack: a board with radio, whose firmware left it powered.
    if loose := [name for number, name in _RADIO_LINES.items() if number not in held]:
        raise ImageError(f"{', '.join(loose)} is not held low")
