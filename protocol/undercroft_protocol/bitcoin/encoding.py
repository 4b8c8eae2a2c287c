"""Bytes as Bitcoin writes them: little-endian integers and compact sizes, read strictly."""

from __future__ import annotations

from undercroft_protocol.errors import TransactionError

_MAX_U64 = 0xFFFFFFFFFFFFFFFF


def compact_size(n: int) -> bytes:
    """The one canonical compact size of n (0 … 2^64-1). Raises TransactionError when n is outside."""
    if not 0 <= n <= _MAX_U64:
        raise TransactionError(f"{n} does not fit a compact size")
    if n < 0xFD:
        return n.to_bytes(1, "little")
    if n <= 0xFFFF:
        return b"\xfd" + n.to_bytes(2, "little")
    if n <= 0xFFFFFFFF:
        return b"\xfe" + n.to_bytes(4, "little")
    return b"\xff" + n.to_bytes(8, "little")


def with_size(data: bytes) -> bytes:
    """The data with its length in bytes before it, as a compact size."""
    return compact_size(len(data)) + data


class Reader:
    """Reads bytes from the front; everything that is not exactly there raises TransactionError."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def remaining(self) -> int:
        """How many bytes are still unread."""
        return len(self._data) - self._position

    def take(self, n: int) -> bytes:
        """The next n bytes."""
        if n > self.remaining:
            raise TransactionError(f"{n} bytes wanted at byte {self._position}, {self.remaining} are left")
        start = self._position
        self._position += n
        return self._data[start : self._position]

    def peek(self) -> int | None:
        """The value of the next byte without reading it; None at the end."""
        return self._data[self._position] if self.remaining else None

    def u32(self) -> int:
        """The next four bytes as a little-endian number."""
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        """The next eight bytes as a little-endian number."""
        return int.from_bytes(self.take(8), "little")

    def compact_size(self) -> int:
        """The next compact size, refused when it could have been written shorter."""
        start = self._position
        first = self.take(1)[0]
        if first < 0xFD:
            return first
        width = 2 << (first - 0xFD)
        n = int.from_bytes(self.take(width), "little")
        # Attack: two encodings of one transaction, so that two programs hash the same thing differently.
        if n <= (0xFC, 0xFFFF, 0xFFFFFFFF)[first - 0xFD]:
            raise TransactionError(f"compact size at byte {start} is not the shortest form")
        return n

    def count(self, least_item_bytes: int) -> int:
        """The next compact size as a number of items that each take at least so many bytes."""
        start = self._position
        n = self.compact_size()
        # Attack: a count of billions in a few bytes, to make the reader allocate before it notices.
        if n * least_item_bytes > self.remaining:
            raise TransactionError(f"{n} items at byte {start} cannot fit into {self.remaining} bytes")
        return n

    def sized(self) -> bytes:
        """A compact size and that many bytes."""
        return self.take(self.count(1))

    def finish(self) -> None:
        """Refuse trailing bytes."""
        # Attack: bytes behind the end, which another parser may read as something else.
        if self.remaining:
            raise TransactionError(f"{self.remaining} trailing bytes")
