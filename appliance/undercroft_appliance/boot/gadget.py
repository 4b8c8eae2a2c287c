"""The board's USB port as a device: one serial port (CDC-ACM) and nothing else, by the kernel's configfs.

Documentation/usb/gadget_configfs.rst of Linux. The ids are the Linux Foundation's for such devices.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from ..errors import BootError
from .kernel_calls import NO_DEVICES, NO_PROGRAMS, NO_SETUID, mount

_CONFIG: Final = "/sys/kernel/config"
_CONTROLLERS: Final = Path("/sys/class/udc")
_WAIT_SECONDS: Final = 10.0
_FIELDS: Final = {
    "idVendor": "0x1d6b",
    "idProduct": "0x0104",
    "bcdUSB": "0x0200",
    "bDeviceClass": "0x02",
    "strings/0x409/manufacturer": "Undercroft",
    "strings/0x409/product": "Undercroft appliance",
    # The same for all: a number of its own would tell the host's other programs which owner's appliance this is.
    "strings/0x409/serialnumber": "0",
    "configs/c.1/MaxPower": "500",
    "configs/c.1/bmAttributes": "0x80",
}


def offer_serial_port() -> None:
    """Be a serial port to whatever this board's USB port is plugged into. Raises BootError."""
    mount("configfs", _CONFIG, NO_SETUID | NO_DEVICES | NO_PROGRAMS)
    describe(Path(_CONFIG, "usb_gadget/undercroft"), _CONTROLLERS)


def describe(gadget: Path, controllers: Path) -> None:
    """Make the gadget's tree, and bind it to the first of these controllers. Raises BootError."""
    try:
        for folder in ("strings/0x409", "configs/c.1", "functions/acm.usb0"):
            (gadget / folder).mkdir(parents=True)
        for name, value in _FIELDS.items():
            (gadget / name).write_text(value, encoding="ascii")
        (gadget / "configs/c.1/acm.usb0").symlink_to(gadget / "functions/acm.usb0")
        (gadget / "UDC").write_text(_controller(controllers), encoding="ascii")
    except OSError as error:
        raise BootError(f"the USB port does not become a serial port ({error.strerror})") from error


def _controller(controllers: Path) -> str:
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        if controllers.is_dir() and (found := sorted(path.name for path in controllers.iterdir())):
            return found[0]
        time.sleep(0.05)
    raise BootError("this board's USB port cannot be a device")
