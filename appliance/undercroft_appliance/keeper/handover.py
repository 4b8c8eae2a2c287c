"""What one keeper process leaves to the next: all that must outlive a lock, and nothing that is secret.

A keeper serves one unlock. When what was open is wiped it writes this into a memory file that it inherited
(memfd_create(2)), and ends; the supervisor starts the next one with the same file and never looks into it.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Annotated, Final

from undercroft_appliance.errors import ChannelError
from undercroft_protocol import cbor
from undercroft_protocol.codec import Value, from_plain
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.fields import Bytes32, Range, Sats, SignedObject, Size, UInt32

from .ledger import Entry, Ledger

MOST_HANDOVER_BYTES: Final = 96 * 1024 * 1024
_MOST_BLOB_BYTES: Final = 64 * 1024 * 1024
_TIME: Final = struct.Struct(">d")

Moment = Annotated[bytes, Size(_TIME.size, _TIME.size)]
"""Seconds of CLOCK_BOOTTIME, which goes on from process to process, as IEEE 754 binary64: exact, and infinite too."""
TotalSats = Annotated[int, Range(0, (1 << 63) - 1)]
Blob = Annotated[bytes, Size(0, _MOST_BLOB_BYTES)]
Reason = Annotated[str, Size(0, 1000)]


@dataclass(frozen=True, slots=True)
class LedgerEntry(Value):
    """`ledger.Entry` on its way."""

    at: Moment
    amount_sats: Sats
    txid: Bytes32


@dataclass(frozen=True, slots=True)
class LedgerMemory(Value):
    """`ledger.Ledger` on its way."""

    known_from: Moment
    dropped_until: Moment
    entries: Annotated[tuple[LedgerEntry, ...], Size(0, 20_000)]
    total_sats: TotalSats

    @classmethod
    def of(cls, ledger: Ledger) -> LedgerMemory:
        """What a ledger says."""
        entries = tuple(LedgerEntry(_TIME.pack(one.at), one.amount_sats, one.txid) for one in ledger.entries)
        return cls(_TIME.pack(ledger.known_from), _TIME.pack(ledger.dropped_until), entries, ledger.total_sats)

    def ledger(self) -> Ledger:
        """The ledger that it was made of."""
        entries = tuple(Entry(_seconds(one.at), one.amount_sats, one.txid) for one in self.entries)
        return Ledger(_seconds(self.known_from), entries, _seconds(self.dropped_until), total_sats=self.total_sats)


@dataclass(frozen=True, slots=True)
class QuorumMemory(Value):
    """What is remembered of one quorum: why it was frozen, the newest policy in force, spending, what was signed.

    ``ledger`` and ``history`` are a LedgerMemory and a HistorySnapshot in canonical CBOR; ``holder`` is the identity of
    the owner whose key was open here: no other owner's will be.
    """

    quorum_id: Bytes32
    frozen: Reason | None = None
    policy_version: UInt32 | None = None
    policy_hash: Bytes32 | None = None
    ledger: Blob | None = None
    history: Blob | None = None
    holder: Bytes32 | None = None
    freeze_order: SignedObject | None = None


@dataclass(frozen=True, slots=True)
class GivenReply(Value):
    """A reply by the SHA-256 of its request: the same bytes again get the same reply."""

    digest: Bytes32
    data: Blob


@dataclass(frozen=True, slots=True)
class Handover(Value):
    """All of it. ``log`` is a LogSnapshot in canonical CBOR, ``question`` the number of the last question.

    ``port_rest`` and ``panel_rest`` have arrived from port and panel and were not acted on: no message is lost in the
    change, and no answer counts for a later question.
    """

    quorums: Annotated[tuple[QuorumMemory, ...], Size(0, 256)]
    log: Blob
    question: UInt32
    port_rest: Blob
    panel_rest: Blob
    replies: Annotated[tuple[GivenReply, ...], Size(0, 256)]


def leave(descriptor: int, handover: Handover) -> None:
    """Write a handover into the file that the next keeper inherits, in place of what was there."""
    data = memoryview(handover.to_bytes())
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    while data:
        data = data[os.write(descriptor, data) :]


def found(descriptor: int) -> Handover | None:
    """What the keeper before left; None for the first one. Raises ChannelError when it is no handover."""
    size = os.fstat(descriptor).st_size
    if size == 0:
        return None
    if size > MOST_HANDOVER_BYTES:
        raise ChannelError(f"a handover of {size} bytes")
    os.lseek(descriptor, 0, os.SEEK_SET)
    data = bytearray()
    while chunk := os.read(descriptor, size - len(data)):
        data += chunk
    try:
        return from_plain(Handover, cbor.decode(bytes(data), most_bytes=MOST_HANDOVER_BYTES))
    except ProtocolError as error:
        raise ChannelError(str(error)) from error


def _seconds(moment: bytes) -> float:
    seconds: float = _TIME.unpack(moment)[0]
    return seconds
