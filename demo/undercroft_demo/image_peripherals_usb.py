"""The line over USB: the appliance as a serial port on a host's bus, both on one machine (Linux's dummy_hcd).

The emulator knows no USB port that is a device, so host and device meet in the kernel; from the host's end there, bytes
go on to the machine's UART and out to us. The appliance's end is its own code, told by the device tree as on a board.
"""

from __future__ import annotations

from typing import Final

from undercroft_protocol.bitcoin.network import Network

from .image_peripherals_bench import LINE, READY, START_SECONDS, Bench, asked
from .image_peripherals_guest import BRIDGE
from .image_peripherals_tree import Change, changed_tree

_BOARD: Final[tuple[Change, ...]] = (
    ("/", "compatible", ("raspberrypi,4-model-b", "brcm,bcm2711")),
    ("/chosen", "undercroft,line", ("usb",)),
    ("/chosen", "undercroft,network", (Network.REGTEST.value,)),
)
"""A Raspberry Pi 4 with its line on USB."""
_ANSWER_SECONDS: Final = 60.0


def usb(bench: Bench) -> None:
    """Ask an appliance over USB for its status. Raises EmulatorError."""
    tell = bench.telling
    tell.chapter("USB gadget: the line is the USB port of a board, by the device tree")
    tree = changed_tree(bench.builder, bench.folder / "board.dtb", _BOARD)
    with bench.test(BRIDGE, *LINE, "-dtb", tree, camera=False) as machine:
        machine.wait_for_text(READY, START_SECONDS)
        report = asked(machine)
        tell.shown("a host's request went through USB and was answered")
        bench.tell_status(report, Network.REGTEST)
        machine.press("alt", "f3")
        machine.wait_for_text("line /dev/ttyGS0", _ANSWER_SECONDS)
        tell.shown("the appliance says so too: line /dev/ttyGS0")
