"""Stage 7: the log, an append-only hash chain. Its head is in every reply; the host keeps the entries."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.messages import LogEntry

from .clock import Clock
from .text import wrapped

FIRST_HEAD: Final = bytes(32)
"""The head of a log without entries."""
MOST_ENTRIES: Final = 2000
MOST_REPLY_BYTES: Final = 1024 * 1024
_MOST_FACTS: Final = 64


class Log:
    """``head`` after entry n is the SHA-256 of its canonical CBOR, which holds the head before it.

    The newest 2000 entries are kept for the host to fetch; the chain itself has no end. Times are UTC as the owner
    confirmed it, and 0 before that.
    """

    def __init__(self, clock: Clock) -> None:
        self.owner: tuple[bytes, bytes] | None = None
        """Whose chain it is since the first activation: quorum id and identity."""
        self._clock = clock
        self._entries: deque[LogEntry] = deque(maxlen=MOST_ENTRIES)
        self._length = 0
        self._head = FIRST_HEAD

    @property
    def length(self) -> int:
        """How many entries the chain has, from its first beginning."""
        return self._length

    @property
    def head(self) -> bytes:
        """32 bytes."""
        return self._head

    def append(self, event: str, facts: Sequence[str] = ()) -> None:
        """Add what happened; long facts are broken, and more than 64 of them go on in further entries."""
        lines = wrapped(facts)
        for at in range(0, max(len(lines), 1), _MOST_FACTS):
            entry = LogEntry(self._length, self._head, self._clock.utc or 0, event, lines[at : at + _MOST_FACTS])
            self._entries.append(entry)
            self._length += 1
            self._head = sha256(entry.to_bytes())

    def continue_from(self, length: int, head: bytes) -> None:
        """Go on where an earlier activation's log ended; the link to what was logged since start is kept as a fact."""
        since_start = (f"{self._length} entries since start", f"their head {self._head.hex()}")
        self._entries.clear()
        self._length, self._head = length, head
        self.append("log-continued", since_start)

    def entries_from(self, start: int) -> tuple[LogEntry, ...]:
        """Entries from number ``start`` on that are still kept, up to 1 MiB of them; ask again for the rest."""
        chosen: list[LogEntry] = []
        size = 0
        for entry in self._entries:
            if entry.number < start:
                continue
            size += len(entry.to_bytes())
            if size > MOST_REPLY_BYTES:
                break
            chosen.append(entry)
        return tuple(chosen)
