"""An appliance's log: a hash chain of entries, with coarse facts for anybody and exact ones sealed for the owner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

from ..bitcoin.hashes import sha256
from ..codec import Value
from ..errors import MessageError
from ..fields import Bytes32, Line, Name, SealedFacts, Size, UInt32, UnixTime

FIRST_HEAD: Final = bytes(32)
"""The head of a log without entries."""
MOST_FACTS: Final = 64
"""Lines of facts in one entry; what is longer goes on in further entries."""
_PAD_START: Final = b"\x80"
_PAD_BLOCK: Final = 512


@dataclass(frozen=True, slots=True)
class LogEntry(Value):
    """One entry of the appliance's hash chain: ``head`` of entry n is SHA-256 over its canonical CBOR, which holds
    the head before it.

    ``facts`` are coarse. ``sealed`` is a nonce (24 bytes) and the XChaCha20-Poly1305 ciphertext of the padded
    ``ExactFacts``, under a key that only the owner's seed gives.
    """

    number: UInt32
    previous: Bytes32
    time: UnixTime
    event: Name
    facts: Annotated[tuple[Line, ...], Size(0, MOST_FACTS)]
    sealed: SealedFacts | None = None

    @property
    def head(self) -> bytes:
        """The head of the chain after this entry, 32 bytes."""
        return sha256(self.to_bytes())

    def associated_data(self) -> bytes:
        """What the sealed part is bound to: this entry without it (number, head before, time, event, coarse facts)."""
        return replace(self, sealed=None).to_bytes()


@dataclass(frozen=True, slots=True)
class ExactFacts(Value):
    """What the sealed part of a log entry says: exact codes, and the numbers that were compared."""

    lines: Annotated[tuple[Line, ...], Size(1, MOST_FACTS)]

    def padded(self) -> bytes:
        """Canonical CBOR, padded to whole 512 bytes (ISO/IEC 7816-4): the length would tell which code it was."""
        data = self.to_bytes() + _PAD_START
        return data.ljust(-(-len(data) // _PAD_BLOCK) * _PAD_BLOCK, b"\0")

    @classmethod
    def from_padded(cls, data: bytes) -> ExactFacts:
        """Reads what ``padded`` made; raises CborError or MessageError."""
        bare = data.rstrip(b"\0")
        if not bare.endswith(_PAD_START):
            raise MessageError("ExactFacts: the padding is missing")
        return cls.from_bytes(bare[:-1])


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Where a log ends: how many entries it has, and the head (32 bytes) over the last."""

    length: int
    head: bytes


LOG_START: Final = LogEnd(0, FIRST_HEAD)


@dataclass(frozen=True, slots=True)
class LogGap:
    """Entries ``first`` to ``last`` are missing; they are older than ``before`` (UTC, 0 where it was not known)."""

    first: int
    last: int
    after: int
    before: int


def follow(entries: Iterable[LogEntry], start: LogEnd) -> tuple[LogEnd, tuple[LogGap, ...]]:
    """Where the log ends after these entries, and what is missing before or between them.

    Raises MessageError when an entry does not follow the one before: it was changed, put in, or taken out.
    """
    length, head, time = start.length, start.head, 0
    gaps: list[LogGap] = []
    for entry in entries:
        # Attack: an entry left out, changed or put in between would hide what an appliance signed.
        if entry.number < length or (entry.number == length and entry.previous != head):
            raise MessageError(f"log entry {entry.number} does not follow the {length} entries before it")
        if entry.number > length:
            gaps.append(LogGap(length, entry.number - 1, time, entry.time))
        length, head, time = entry.number + 1, entry.head, entry.time
    return LogEnd(length, head), tuple(gaps)


def broken_into(lines: Sequence[str]) -> list[tuple[str, ...]]:
    """The lines in groups of as many as one entry holds; one empty group for none."""
    return [tuple(lines[at : at + MOST_FACTS]) for at in range(0, len(lines), MOST_FACTS)] or [()]
