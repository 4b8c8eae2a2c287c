"""An eye that leaves most of the port's time to the cable, whatever it is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from undercroft_protocol.qr.eye import Eye, Sight
from undercroft_protocol.qr.picture import Picture

LONG_SECONDS: Final = 0.25
"""Of the processor: a look at any picture of a desk, a code on it or none, takes less."""
REST: Final = 3
"""So many times as long as a longer look took, pictures are passed over."""


class PatientEye:
    """An `Eye`. ``clock``: monotonic seconds; ``effort``: seconds of the processor that this thread took so far."""

    def __init__(self, eye: Eye, *, clock: Callable[[], float], effort: Callable[[], float]) -> None:
        self._eye = eye
        self._clock = clock
        self._effort = effort
        self._rests_until = clock()

    def look(self, picture: Picture) -> list[Sight]:
        """See Eye; nothing while it rests."""
        if self._clock() < self._rests_until:
            return []
        before = self._effort()
        try:
            return self._eye.look(picture)
        finally:
            # Attack: a screen full of finder patterns, each picture of which takes seconds, one after the other: the
            # host's messages on the cable would wait for each.
            if (took := self._effort() - before) > LONG_SECONDS:
                self._rests_until = self._clock() + REST * took
