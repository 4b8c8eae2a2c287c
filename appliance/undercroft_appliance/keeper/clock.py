"""Time as the keeper knows it: its own monotonic clock, and UTC only as the owner confirmed it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


def since_boot() -> float:
    """Seconds since the machine was switched on; nobody can set them."""
    # Attack: the machine is put to sleep, and an appliance that slept a night believes that its day goes on. The
    # monotonic clock stands still meanwhile; this one does not.
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """``monotonic`` gives seconds that nobody can set; UTC is what the owner confirmed plus what has passed since."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._offset: float | None = None

    def now(self) -> float:
        """Monotonic seconds; every window, life and time-out is measured by them."""
        return self._monotonic()

    @property
    def utc(self) -> int | None:
        """Seconds since 1970 UTC, or None as long as no owner has confirmed the time."""
        return None if self._offset is None else math.floor(self._offset + self._monotonic())

    def confirmed_utc(self) -> int:
        """``utc`` where an activation has confirmed it; raises RuntimeError where none has."""
        if self.utc is None:
            raise RuntimeError("no owner has confirmed the time")
        return self.utc

    def confirm(self, utc: int, at: float) -> None:
        """The owner says that it was ``utc`` (seconds since 1970) when the monotonic clock showed ``at``."""
        self._offset = utc - at

    def forget(self) -> None:
        """The next activation confirms the time anew."""
        self._offset = None
