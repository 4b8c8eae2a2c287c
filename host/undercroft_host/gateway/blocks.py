"""A raw block, walked once: where each transaction begins and ends, what it spends and to which P2WSH scripts it pays.

Whole transaction values are built only for the few that concern us.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from undercroft_protocol.bitcoin.encoding import Reader
from undercroft_protocol.bitcoin.hashes import double_sha256
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction
from undercroft_protocol.errors import TransactionError

from ..errors import NodeAnswerStrange

_HEADER_BYTES: Final = 80
_LEAST_TRANSACTION_BYTES: Final = 60
_P2WSH_BYTES: Final = 34
_P2WSH_HEAD: Final = b"\x00\x20"


@dataclass(frozen=True, slots=True)
class ScannedTransaction:
    """The bytes of one transaction, the outpoints it spends, the P2WSH scripts it pays to."""

    raw: bytes
    spends: tuple[tuple[bytes, int], ...]
    scripts: tuple[bytes, ...]

    def parsed(self) -> Transaction:
        """The whole value."""
        return Transaction.parse(self.raw)


@dataclass(frozen=True, slots=True)
class ScannedBlock:
    """A block; hashes are 32 bytes in wire order, time is its header's (UTC seconds)."""

    height: int
    hash: bytes
    previous: bytes
    time: int
    transactions: tuple[ScannedTransaction, ...]


def scan_block(raw: bytes, height: int, expected_hash: bytes) -> ScannedBlock:
    """The block in these bytes. Raises NodeAnswerStrange when they are no block, or another one than expected."""
    header = raw[:_HEADER_BYTES]
    if double_sha256(header) != expected_hash:
        raise NodeAnswerStrange(f"block {expected_hash[::-1].hex()} has another hash")
    reader = Reader(raw)
    try:
        reader.take(_HEADER_BYTES)
        count = reader.count(_LEAST_TRANSACTION_BYTES)
        transactions = tuple(_scan(raw, reader) for _ in range(count))
        reader.finish()
    except TransactionError as error:
        raise NodeAnswerStrange(f"block {expected_hash[::-1].hex()}: {error.detail}") from None
    time = int.from_bytes(header[68:72], "little")
    return ScannedBlock(height, expected_hash, header[4:36], time, transactions)


def outpoint_key(outpoint: Outpoint) -> tuple[bytes, int]:
    """An outpoint as the scanner writes it."""
    return outpoint.txid, outpoint.vout


def _scan(raw: bytes, reader: Reader) -> ScannedTransaction:
    start = len(raw) - reader.remaining
    reader.u32()
    marked = reader.peek() == 0
    if marked:
        reader.take(2)
    spends = []
    for _ in range(reader.count(41)):
        spends.append((reader.take(32), reader.u32()))
        reader.sized()
        reader.u32()
    scripts = []
    for _ in range(reader.count(9)):
        reader.u64()
        script = reader.sized()
        if len(script) == _P2WSH_BYTES and script.startswith(_P2WSH_HEAD):
            scripts.append(script)
    if marked:
        for _ in spends:
            for _ in range(reader.count(1)):
                reader.sized()
    reader.u32()
    end = len(raw) - reader.remaining
    return ScannedTransaction(raw[start:end], tuple(spends), tuple(scripts))
