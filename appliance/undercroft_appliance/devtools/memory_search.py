"""Looks for every form of many secrets in the memory of processes, in one pass over each map.

A copied part of 16 bytes or more holds at least one whole 8-byte word at an address divisible by 8. So memory is
read word by word against the set of the 8-byte windows of all forms, which costs the same for one secret and for a
thousand; where a word is in the set, its surroundings decide.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from .process_memory import Memory, ProcessMemory, Region
from .secret_forms import Form, Secret, forms_of

_WORD_BYTES: Final = 8
_BLOCK_BYTES: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a secret, or of a part of it (`size` bytes), at `address` in a process."""

    pid: int
    secret: str
    form: str
    address: int
    size: int
    region: Region


@dataclass(frozen=True, slots=True)
class Found:
    """What a scan found, and what it could not read: (process, map) pairs."""

    copies: tuple[Copy, ...]
    unreadable: tuple[tuple[int, Region], ...]
    read_bytes: int

    @property
    def outside(self) -> tuple[Copy, ...]:
        """The copies that do not lie in guarded pages."""
        return tuple(copy for copy in self.copies if not copy.region.guarded)

    @property
    def guarded(self) -> tuple[Copy, ...]:
        """The copies in guarded pages, where they can be read at all (mlock, not memfd_secret)."""
        return tuple(copy for copy in self.copies if copy.region.guarded)


class Search:
    """All forms of some secrets, ready to be looked for.

    `words`: of what is random, a single word of 8 bytes at an address divisible by 8 counts, such as a register saved.
    """

    def __init__(self, secrets: Iterable[Secret], *, words: bool = False) -> None:
        forms = (form for secret in secrets for form in forms_of(secret))
        self._forms: tuple[Form, ...] = tuple(
            replace(form, least=_WORD_BYTES) if words and form.by_words else form for form in forms
        )
        self._places: dict[int, list[tuple[Form, int]]] = {}
        for form in self._forms:
            # A longer part holds several whole words one after the other: then one of so many is enough.
            step = max(1, (form.least - _WORD_BYTES + 1) // _WORD_BYTES)
            for offset in range(len(form.data) - _WORD_BYTES + 1):
                if offset // _WORD_BYTES % step:
                    continue
                word = int.from_bytes(form.data[offset : offset + _WORD_BYTES], sys.byteorder)
                self._places.setdefault(word, []).append((form, offset))
        self._words = frozenset(self._places)
        self._empty: set[bytes] = set()

    def processes(self, pids: Iterable[int]) -> Found:
        """Every map of these processes. Raises ConfigurationError (one is gone, or closed to this user)."""
        return self.memories(ProcessMemory(pid) for pid in pids)

    def memories(self, memories: Iterable[Memory]) -> Found:
        """Every map of these memories, each closed when it has been read."""
        copies: list[Copy] = []
        unreadable: list[tuple[int, Region]] = []
        read_bytes = 0
        for one in memories:
            with one as memory:
                for region in memory.regions:
                    parts: dict[tuple[Form, int], int] = {}
                    complete = True
                    for at, data in memory.chunks(region):
                        complete = complete and bool(data)
                        read_bytes += len(data)
                        for form, origin, size in self._new_chunk(data, at):
                            parts[form, origin] = max(size, parts.get((form, origin), 0))
                    copies += (
                        Copy(memory.pid, form.secret, form.name, at, size, region) for (form, at), size in parts.items()
                    )
                    if not complete:
                        unreadable.append((memory.pid, region))
        return Found(tuple(copies), tuple(unreadable), read_bytes)

    def _new_chunk(self, data: bytes, address: int) -> list[tuple[Form, int, int]]:
        """As `_in_chunk`; what equals a chunk that held nothing (all processes map libraries) is not searched again."""
        digest = hashlib.sha256(data).digest()
        if digest in self._empty:
            return []
        found = list(self._in_chunk(data, address))
        if not found:
            self._empty.add(digest)
        return found

    def _in_chunk(self, data: bytes, address: int) -> Iterator[tuple[Form, int, int]]:
        """(form, address where the form begins or would begin, size of the part that is there)."""
        for first in range(0, len(data), _BLOCK_BYTES):
            end = first + _BLOCK_BYTES
            for word in self._words.intersection(memoryview(data)[first:end].cast("Q")):
                for at in _places(data, word.to_bytes(_WORD_BYTES, sys.byteorder), first, end):
                    for form, offset in self._places[word]:
                        start, size = _extent(data, at, form.data, offset)
                        if size >= form.least:
                            yield form, address + start, size


def _places(data: bytes, word: bytes, first: int, end: int) -> Iterator[int]:
    at = data.find(word, first, end)
    while at >= 0:
        if at % _WORD_BYTES == 0:
            yield at
        at = data.find(word, at + 1, end)


def _extent(memory: bytes, at: int, form: bytes, offset: int) -> tuple[int, int]:
    """Where in memory the form begins (maybe before it), and how many of its bytes around `at` are the form's."""
    before = 0
    while before < min(at, offset) and memory[at - before - 1] == form[offset - before - 1]:
        before += 1
    after = 0
    most = min(len(memory) - at, len(form) - offset)
    while after < most and memory[at + after] == form[offset + after]:
        after += 1
    return at - offset, before + after
