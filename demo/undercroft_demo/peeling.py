"""The decoder of the UR reference programs, as a model: which parts it needs, without their content.

Existing wallets run it. It peels: a part is reduced by another whose fragments are all among its own, and a fragment is
found when a part is left with one. Order matters, so the outcome of every step is the reference's: tests compare the
model with the reference's steps as they are written, and with npm's decoder. A set of fragments is an integer, a bit
for each.

The reference looks at every part in every step. Here arrays tell which few it could change: a part that lies within
another has its lowest and highest fragments in it; one that holds another holds what that has in each word of 64
bits. What was found is not taken out of the parts, but masked where one is looked at. Both ends of what is left of
a part are kept, since it cannot come down to one fragment before one of them is found.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

_WORD_BYTES: Final = 8
_WORD_BITS: Final = 64
_FIRST_ROOM: Final = 64


class PeelingDecoder:
    """The model, for a message of ``fragments`` fragments."""

    def __init__(self, fragments: int) -> None:
        self._all = self._missing = (1 << fragments) - 1
        words = -(-fragments // _WORD_BITS)
        # As they came; what was found since is still in them. The same beside it, word by word.
        self._parts: list[int] = []
        self._words = np.zeros((words, _FIRST_ROOM), np.uint64)
        # The ends of what is left of each part; beyond all fragments when that is no mixture any more.
        self._nowhere = words * _WORD_BITS
        self._low = np.full(_FIRST_ROOM, self._nowhere, np.intp)
        self._high = self._low.copy()

    @property
    def is_whole(self) -> bool:
        """Whether every fragment is found."""
        return not self._missing

    @property
    def found(self) -> int:
        """The fragments that are found, a set."""
        return self._all ^ self._missing

    def take(self, mixed: Iterable[int]) -> None:
        """Take a part that mixes these fragments."""
        self.take_set(as_set(mixed))

    def take_set(self, part: int) -> None:
        """Take a part that mixes this set of fragments."""
        queue = deque([part])
        while queue and self._missing:
            part = queue.popleft()
            if part & (part - 1):
                self._take_mixed(part, queue)
            elif part & self._missing:
                self._take_simple(part, queue)

    def _take_simple(self, part: int, queue: deque[int]) -> None:
        self._missing ^= part
        found, so_far = part.bit_length() - 1, len(self._parts)
        ends = (self._low[:so_far] == found) | (self._high[:so_far] == found)
        for at in ends.nonzero()[0].tolist():
            self._left(at, self._parts[at] & self._missing, queue)

    def _take_mixed(self, part: int, queue: deque[int]) -> None:
        reduced = part & self._missing
        outside = self._missing ^ reduced
        for at in self._maybe_within(reduced):
            one = self._parts[at]
            if one & outside:
                continue
            one &= self._missing
            if one == part:
                return
            if reduced & one == one:
                reduced ^= one
        if reduced & (reduced - 1):
            self._reduce_all_by(reduced, queue)
            self._keep(reduced)
        else:
            queue.append(reduced)

    def _maybe_within(self, part: int) -> list[int]:
        so_far = len(self._parts)
        octets = np.frombuffer(part.to_bytes(self._nowhere // 8 + 1, "little"), np.uint8)
        inside = np.unpackbits(octets, bitorder="little").view(np.bool_)
        both = inside.take(self._low[:so_far])
        both &= inside.take(self._high[:so_far])
        found: list[int] = both.nonzero()[0].tolist()
        return found

    def _reduce_all_by(self, part: int, queue: deque[int]) -> None:
        so_far = len(self._parts)
        words = self._in_words(part)
        # The word with the most of its fragments rules out nearly all others.
        word = np.bitwise_count(words).argmax()
        maybe = (self._words[word, :so_far] & words[word] == words[word]).nonzero()[0].tolist()
        holding = [at for at in maybe if self._parts[at] & part == part]
        if not holding:
            return
        self._words[:, holding] ^= words[:, np.newaxis]
        for at in holding:
            left = self._parts[at] = self._parts[at] & self._missing ^ part
            self._left(at, left, queue)

    def _keep(self, part: int) -> None:
        at = len(self._parts)
        if at == len(self._low):
            self._words = np.concatenate((self._words, np.zeros_like(self._words)), axis=1)
            more = np.full(at, self._nowhere, np.intp)
            self._low, self._high = np.concatenate((self._low, more)), np.concatenate((self._high, more))
        self._parts.append(part)
        self._words[:, at] = self._in_words(part)
        self._low[at], self._high[at] = _ends(part)

    def _left(self, at: int, left: int, queue: deque[int]) -> None:
        if left & (left - 1):
            self._low[at], self._high[at] = _ends(left)
            return
        self._low[at] = self._high[at] = self._nowhere
        queue.append(left)

    def _in_words(self, part: int) -> NDArray[np.uint64]:
        return np.frombuffer(part.to_bytes(len(self._words) * _WORD_BYTES, "little"), np.uint64)


def parts_needed(parts: Iterable[int], fragments: int) -> int:
    """How many of these parts, each a set, the decoder takes until it is whole. Raises ValueError when all of them do
    not suffice."""
    decoder = PeelingDecoder(fragments)
    for taken, part in enumerate(parts, 1):
        decoder.take_set(part)
        if decoder.is_whole:
            return taken
    raise ValueError(f"too few parts for {fragments} fragments")


def as_set(mixed: Iterable[int]) -> int:
    """These fragments as a set."""
    found = 0
    for index in mixed:
        found |= 1 << index
    return found


def _ends(part: int) -> tuple[int, int]:
    return (part & -part).bit_length() - 1, part.bit_length() - 1
