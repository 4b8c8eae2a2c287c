"""Where randomness comes from: the kernel's generator, for secrets straight into guarded memory."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Protocol

from undercroft_appliance.errors import SelfTestError

from .memory import Slot
from .native import libc


class Entropy(Protocol):
    """A source of randomness, passed in so that a test can be repeated."""

    def fill(self, slot: Slot) -> None:
        """Fills the slot with secret random bytes that never become a Python object."""

    def public(self, size: int) -> bytes:
        """So many random bytes that need not be secret: salts, nonces, ids."""


class KernelEntropy:
    """getrandom(2), which blocks until the kernel has gathered enough."""

    def fill(self, slot: Slot) -> None:
        """Fills the slot with secret random bytes. Raises SelfTestError if the kernel gives none."""
        filled = 0
        while filled < slot.size:
            got = libc.getrandom(slot.address + filled, slot.size - filled, 0)
            if got > 0:
                filled += got
            elif ctypes.get_errno() != errno.EINTR:
                raise SelfTestError(f"getrandom: {os.strerror(ctypes.get_errno())}")

    def public(self, size: int) -> bytes:
        """So many random bytes that need not be secret."""
        return os.urandom(size)
