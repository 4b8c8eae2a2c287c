"""The maps of keys and values that a PSBT consists of (BIP 174): how one is read and a record is written."""

from __future__ import annotations

from undercroft_protocol.bitcoin.encoding import read_compact_size, with_size
from undercroft_protocol.errors import PsbtError

SEPARATOR = b"\x00"
"""What ends a map."""

_LONG_SIZE = 0xFD


def record(kind: int, value: bytes, key: bytes = b"") -> bytes:
    """One record of a map: its kind, what follows the kind in its key, its value."""
    return with_size(bytes([kind]) + key) + with_size(value)


def read_map(data: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    """The records of the map at a position by their whole keys, and the position after its separator.

    Raises PsbtError for a key that occurs twice, TransactionError for a size that is not the shortest, IndexError when
    the bytes end too early. Only the last record may be shorter than it says: the position then lies beyond the end.
    """
    records: dict[bytes, bytes] = {}
    while size := data[at]:
        at += 1
        if size >= _LONG_SIZE:
            size, at = read_compact_size(data, at - 1)
        key = data[at : at + size]
        at += size
        size = data[at]
        at += 1
        if size >= _LONG_SIZE:
            size, at = read_compact_size(data, at - 1)
        # Attack: two values for one key, of which one program takes the first and another the last.
        if key in records:
            raise PsbtError("a key occurs twice")
        records[key] = data[at : at + size]
        at += size
    return records, at + 1
