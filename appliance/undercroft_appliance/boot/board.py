"""Which machine this is, and so which devices and which network an appliance has: told by the device tree alone.

The command line is fixed in the kernel. The device tree is not, but nothing that is read of it here weakens a key: a
network is bound into every quorum and envelope, and weak envelopes (``kdf = "demo"``) are refused on mainnet. What the
kernel reads of it itself (memory, devices, a seed for random numbers) is trusted like the card it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from undercroft_protocol.bitcoin.network import Network

from ..errors import BootError

TREE: Final = Path("/proc/device-tree")
EMULATOR: Final = "linux,dummy-virt"
"""QEMU's machine "virt"."""
_PI: Final = frozenset({"brcm,bcm2711", "brcm,bcm2837"})
_UART: Final = "/dev/ttyAMA0"
_GADGET: Final = "/dev/ttyGS0"


@dataclass(frozen=True, slots=True)
class Board:
    """Paths are of devices. ``terminals``: the first one that is there is taken. ``is_gadget``: the line is this
    board's USB port, as a device on the host's bus. ``camera``: if it is there, codes are shown on the terminal
    ``codes``. ``log``: where the start and the processes say something."""

    name: str
    line: str
    is_gadget: bool
    terminals: tuple[str, ...]
    camera: str
    codes: str
    log: str
    network: Network
    kdf: str

    @classmethod
    def found(cls, tree: Path = TREE) -> Board:
        """The board that this device tree describes. Raises BootError for one that no image is made for."""
        compatible = _strings(tree / "compatible")
        chosen = tree / "chosen"
        network = _only(chosen / "undercroft,network")
        if EMULATOR in compatible:
            # An emulator's memory is its host's: it is no place for money.
            if network == Network.MAINNET.value:
                raise BootError("an emulated appliance holds no mainnet keys")
            return cls(
                EMULATOR, _UART, False, ("/dev/ttyAMA1", "/dev/tty1"), "/dev/video0", "/dev/tty2", "/dev/hvc0",
                _network(network or Network.REGTEST.value), "demo",
            )  # fmt: skip
        if not _PI.intersection(compatible):
            raise BootError(f"no image is made for this board ({', '.join(compatible) or 'without a name'})")
        known = _network(network or Network.MAINNET.value)
        kdf = _only(chosen / "undercroft,kdf") or "production"
        # Attack: a card with another device tree makes weak envelopes.
        if kdf != "production" and (kdf != "demo" or known is Network.MAINNET):
            raise BootError(f"key strength {kdf!r} is refused on {known.value}")
        is_gadget = _line(_only(chosen / "undercroft,line"))
        return cls(
            compatible[0], _GADGET if is_gadget else _UART, is_gadget, ("/dev/tty1",), "/dev/video0", "/dev/tty2",
            "/dev/tty3", known, kdf,
        )  # fmt: skip


def _line(name: str | None) -> bool:
    if name not in (None, "uart", "usb"):
        raise BootError(f"the line {name!r} is neither uart nor usb")
    return name == "usb"


def _network(name: str) -> Network:
    try:
        return Network(name)
    except ValueError:
        raise BootError(f"there is no network {name!r}") from None


def _strings(path: Path) -> tuple[str, ...]:
    """A property of NUL-terminated strings (Devicetree Specification 2.2.4); none where it is missing."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ()
    return tuple(part.decode("ascii", "replace") for part in data.split(b"\0") if part)


def _only(path: Path) -> str | None:
    found = _strings(path)
    if len(found) > 1:
        raise BootError(f"{path.name} says several things")
    return found[0] if found else None
