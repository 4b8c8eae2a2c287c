"""Swap: memory that the kernel writes to a disk, where it stays when the power is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from undercroft_protocol.bitcoin.network import Network

from ..errors import ConfigurationError

_LIST: Final = Path("/proc/swaps")


def swap_warnings(network: Network, swaps: Path = _LIST) -> tuple[str, ...]:
    """A line for the owner where this machine swaps. Raises ConfigurationError on mainnet; no list means no swap."""
    # Attack: a disk that is thrown away, or stolen, holds what the machine swapped out.
    if not swaps.exists():
        return ()
    names = [line.split()[0] for line in swaps.read_text(encoding="utf-8").splitlines()[1:] if line.strip()]
    if not names:
        return ()
    if network is Network.MAINNET:
        raise ConfigurationError(f"this machine swaps to {', '.join(names)}; switch it off: swapoff -a")
    return ("WARNING: this machine swaps; what the keeper does may reach a disk.",)
