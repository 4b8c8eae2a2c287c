"""The maps of keys and values that a PSBT consists of (BIP 174), read strictly."""

from __future__ import annotations

from undercroft_protocol.bitcoin.encoding import Reader, with_size
from undercroft_protocol.errors import PsbtError

SEPARATOR = b"\x00"
"""What ends a map."""

_PUBLIC_KEY_BYTES = 33


def record(kind: int, value: bytes, key: bytes = b"") -> bytes:
    """One record of a map: its kind, what follows the kind in its key, its value."""
    return with_size(bytes([kind]) + key) + with_size(value)


class RecordMap:
    """The records of one map; each reader takes out what it knows, and `finish` refuses what is left."""

    __slots__ = ("_records",)

    def __init__(self, reader: Reader) -> None:
        """Read the records up to the separator. Raises PsbtError or TransactionError."""
        self._records: dict[bytes, bytes] = {}
        while key := reader.sized():
            # Attack: two values for one key, of which one program takes the first and another the last.
            if key in self._records:
                raise PsbtError("a key occurs twice")
            self._records[key] = reader.sized()

    def pop(self, kind: int) -> bytes | None:
        """Take out the value of a kind whose key is the kind alone."""
        return self._records.pop(bytes([kind]), None)

    def pop_by_public_key(self, kind: int) -> dict[bytes, bytes]:
        """Take out the values of a kind by the compressed public key that follows the kind."""
        keys = [key for key in self._records if key[0] == kind and len(key) == 1 + _PUBLIC_KEY_BYTES]
        return {key[1:]: self._records.pop(key) for key in keys}

    def finish(self, place: str) -> None:
        """Refuse what is left: other kinds (those of version 2, too), and known kinds with another key."""
        if self._records:
            kind = next(iter(self._records))[0]
            raise PsbtError(f"a record of kind {kind:#04x} is not expected in the {place} map")
