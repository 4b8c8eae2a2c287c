"""The decoder of the UR reference programs, as a model: which parts it needs, without their content.

Existing wallets run it. It peels: a part is reduced by another whose fragments are all among its own, and a fragment is
found when a part is left with one. Order matters, so every step is taken as the reference takes it; a test compares
the model with npm's decoder, part by part. A set of fragments is an integer, a bit for each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class PeelingDecoder:
    """The model, for a message of ``fragments`` fragments."""

    def __init__(self, fragments: int) -> None:
        self._missing = (1 << fragments) - 1
        self._simple: list[int] = []
        self._mixed: list[int] = []

    @property
    def is_whole(self) -> bool:
        """Whether every fragment is found."""
        return not self._missing

    def take(self, mixed: Iterable[int]) -> None:
        """Take a part that mixes these fragments."""
        part = 0
        for index in mixed:
            part |= 1 << index
        queue = deque([part])
        while queue and self._missing:
            part = queue.popleft()
            if part & (part - 1) == 0:
                self._take_simple(part, queue)
            else:
                self._take_mixed(part, queue)

    def _take_simple(self, part: int, queue: deque[int]) -> None:
        if not part & self._missing:
            return
        self._simple.append(part)
        self._missing ^= part
        if self._missing:
            self._reduce_mixed_by(part, queue)

    def _take_mixed(self, part: int, queue: deque[int]) -> None:
        if part in self._mixed:
            return
        for one in self._simple:
            if part & one == one:
                part ^= one
        for one in self._mixed:
            if part & one == one:
                part ^= one
        if part & (part - 1) == 0 and part:
            queue.append(part)
            return
        self._reduce_mixed_by(part, queue)
        self._mixed.append(part)

    def _reduce_mixed_by(self, part: int, queue: deque[int]) -> None:
        kept = []
        for one in self._mixed:
            reduced = one ^ part if one & part == part else one
            if reduced and reduced & (reduced - 1) == 0:
                queue.append(reduced)
            else:
                kept.append(reduced)
        self._mixed = kept
