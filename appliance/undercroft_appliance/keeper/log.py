"""Stage 7: the log, an append-only hash chain. Its head is in every reply; the host keeps the entries."""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.fields import Bytes32, Size, UInt32
from undercroft_protocol.messages import FIRST_HEAD, ExactFacts, LogEntry, Value, broken_into

from .clock import Clock
from .keys import LogSealer
from .text import moment, wrapped

MOST_ENTRIES: Final = 2000
MOST_KEPT_BYTES: Final = 3 * 1024 * 1024
MOST_REPLY_BYTES: Final = 1024 * 1024
MOST_SHOWN: Final = 200
_MOST_UNSEALED: Final = 64


@dataclass(frozen=True, slots=True)
class LogSnapshot(Value):
    """A log as the next keeper process of this appliance goes on with it; no exact fact is in it in clear.

    ``quorum_id`` and ``identity`` name whose chain it is since the first activation.
    """

    quorum_id: Bytes32 | None
    identity: Bytes32 | None
    length: UInt32
    head: Bytes32
    entries: Annotated[tuple[LogEntry, ...], Size(0, MOST_ENTRIES)]


class Log:
    """``head`` after entry n is the SHA-256 of its canonical CBOR, which holds the head before it.

    What the host may read are an entry's facts; what it must not (exact codes, limits, the numbers compared) goes
    sealed beside them, and stays readable for the owner at the panel until `forget_exact`. The newest 2000 entries, up
    to 3 MiB, are kept for the host to fetch; the chain itself has no end. Times are UTC as the owner confirmed it, and
    0 before that.
    """

    def __init__(self, clock: Clock, sealer: LogSealer) -> None:
        self.owner: tuple[bytes, bytes] | None = None
        """Whose chain it is since the first activation: quorum id and identity."""
        self._clock = clock
        self._sealer = sealer
        self._entries: deque[LogEntry] = deque()
        self._bytes = 0
        self._length = 0
        self._head = FIRST_HEAD
        self._shown: deque[tuple[LogEntry, tuple[str, ...]]] = deque(maxlen=MOST_SHOWN)
        self._unsealed: deque[str] = deque(maxlen=_MOST_UNSEALED)
        self._expected: list[tuple[str, Sequence[str]]] = []

    @property
    def length(self) -> int:
        """How many entries the chain has, from its first beginning."""
        return self._length

    @property
    def head(self) -> bytes:
        """32 bytes."""
        return self._head

    def append(self, event: str, facts: Sequence[str] = (), exact: Sequence[str] = ()) -> None:
        """Add what happened: ``facts`` for anybody, ``exact`` for the owner only.

        Long facts are broken, and more than 64 of them go on in further entries. While no key is open, exact facts
        wait (the newest 64 lines), and are sealed in an entry of their own once one is. What is expected comes first.
        """
        self.confirm()
        if not self._sealer.is_open:
            self._unsealed.extend(wrapped(f"{event}: {line}" for line in exact))
            self._add(event, facts, ())
            return
        self._add(event, facts, exact)
        if self._unsealed:
            waiting = tuple(self._unsealed)
            self._unsealed.clear()
            self._add("sealed-later", (f"the newest {len(waiting)} lines from before the key was open",), waiting)

    def expect(self, event: str, facts: Sequence[str]) -> None:
        """An entry that is written once something comes of it: another entry, or `confirm`."""
        self._expected.append((event, facts))

    def confirm(self) -> None:
        """Write what is expected, in its order."""
        expected, self._expected = self._expected, []
        for event, facts in expected:
            self._add(event, facts, ())

    def forget_expected(self) -> None:
        """Nothing came of what was expected last; where it is written already, it stays."""
        del self._expected[-1:]

    def continue_from(self, length: int, head: bytes) -> None:
        """Go on where an earlier activation's log ended. What was logged since start (the newest 200 entries) follows
        again in this chain, since nobody could have fetched it; another owner's log stays with its owner."""
        self.confirm()
        since_start = (f"{self._length} entries since start", f"their head {self._head.hex()}")
        earlier = list(self._shown) if self.owner is None else []
        self._entries.clear()
        self._shown.clear()
        self._bytes = 0
        self._length, self._head = length, head
        self.append("log-continued", since_start)
        for entry, exact in earlier:
            self.append(entry.event, (*entry.facts, f"number {entry.number} since start"), exact)

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

    def newest_entries(self) -> tuple[LogEntry, ...]:
        """The newest entries, up to 1 MiB of them, in their order."""
        chosen: list[LogEntry] = []
        size = 0
        for entry in reversed(self._entries):
            size += len(entry.to_bytes())
            if size > MOST_REPLY_BYTES:
                break
            chosen.append(entry)
        return tuple(reversed(chosen))

    def newest_lines(self) -> list[str]:
        """The newest 200 entries for the owner at the panel, with their exact facts."""
        lines = []
        for entry, exact in self._shown:
            when = moment(entry.time) if entry.time else "time unknown"
            lines.append(f"{entry.number} {when} {entry.event}")
            lines.extend(f"  {line}" for line in (*entry.facts, *exact))
            if entry.sealed is not None and not exact:
                lines.append("  more, sealed: read it with undercroft-appliance read-log")
        return lines

    def forget_exact(self) -> None:
        """Whoever comes to the panel after a lock reads what the host may read."""
        self._shown = deque(((entry, ()) for entry, _ in self._shown), maxlen=MOST_SHOWN)

    def snapshot(self) -> LogSnapshot:
        """All that the next process needs to go on with this chain."""
        quorum_id, identity = (None, None) if self.owner is None else self.owner
        return LogSnapshot(quorum_id, identity, self._length, self._head, tuple(self._entries))

    def restore(self, snapshot: LogSnapshot) -> None:
        """Go on with a chain of an earlier process of this appliance, in place of this one."""
        self.owner = None
        if snapshot.quorum_id is not None and snapshot.identity is not None:
            self.owner = (snapshot.quorum_id, snapshot.identity)
        self._length, self._head = snapshot.length, snapshot.head
        self._entries = deque(snapshot.entries)
        self._bytes = sum(len(entry.to_bytes()) for entry in snapshot.entries)
        self._shown = deque(((entry, ()) for entry in snapshot.entries), maxlen=MOST_SHOWN)

    def _add(self, event: str, facts: Sequence[str], exact: Sequence[str]) -> None:
        coarse, sealed = broken_into(wrapped(facts)), broken_into(wrapped(exact))
        for lines, hidden in itertools.zip_longest(coarse, sealed, fillvalue=()):
            entry = LogEntry(self._length, self._head, self._clock.utc or 0, event, lines)
            if hidden:
                ciphertext = self._sealer.seal_log(ExactFacts(hidden).padded(), entry.associated_data())
                entry = dataclasses.replace(entry, sealed=ciphertext)
            self._keep(entry, hidden)

    def _keep(self, entry: LogEntry, hidden: tuple[str, ...]) -> None:
        data = entry.to_bytes()
        self._entries.append(entry)
        self._shown.append((entry, hidden))
        self._bytes += len(data)
        while len(self._entries) > MOST_ENTRIES or self._bytes > MOST_KEPT_BYTES:
            self._bytes -= len(self._entries.popleft().to_bytes())
        self._length += 1
        self._head = sha256(data)
