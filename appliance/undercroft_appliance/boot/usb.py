"""What is plugged into USB: all that is there while an appliance starts, and nothing that comes later.

Documentation/usb/authorization.rst of Linux: a device that is not authorized gets no driver.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from .probes import WORKS, Finding

SETTLED_SECONDS: Final = 2.0
"""When nothing new was found for so long, everything that is plugged in was found."""
MOST_SECONDS: Final = 10.0
"""However often something new is found."""
_DEVICES: Final = Path("/sys/bus/usb/devices")
_LATER_BUSES: Final = Path("/sys/module/usbcore/parameters/authorized_default")
_REFUSED: Final = "0"


def wait_until_settled(devices: Path = _DEVICES) -> None:
    """Until all that is plugged in was found; not at all where there is no USB."""
    deadline = time.monotonic() + MOST_SECONDS
    found, since = _names(devices), time.monotonic()
    while found and time.monotonic() < min(deadline, since + SETTLED_SECONDS):
        time.sleep(0.05)
        now = _names(devices)
        if now != found:
            found, since = now, time.monotonic()


def refuse_newcomers(devices: Path = _DEVICES, later_buses: Path = _LATER_BUSES) -> Finding:
    """Let no device in any more, neither on the buses that are there nor on those to come; and what came of it."""
    # Attack: somebody who reaches a port plugs in a keyboard, and it types in the owner's name.
    switches = sorted(devices.glob("usb*/authorized_default")) + [path for path in (later_buses,) if path.exists()]
    seen = WORKS
    try:
        for switch in switches:
            switch.write_text(_REFUSED, encoding="ascii")
            if (left := switch.read_text(encoding="ascii").strip()) != _REFUSED:
                seen = f"{switch} {left}"
    except OSError as error:
        seen = str(error)
    return Finding("USB: refuse what is plugged in from now on", WORKS, seen)


def _names(devices: Path) -> frozenset[str]:
    return frozenset(path.name for path in devices.iterdir()) if devices.is_dir() else frozenset()
