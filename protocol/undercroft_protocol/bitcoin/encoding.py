"""Bytes as Bitcoin writes them: little-endian integers and compact sizes, read strictly."""

from __future__ import annotations

from undercroft_protocol.errors import TransactionError

_MAX_U64 = 0xFFFFFFFFFFFFFFFF
SHORT_SIZES = tuple(bytes([n]) for n in range(0xFD))
"""The compact sizes of one byte, by number."""


def compact_size(n: int) -> bytes:
    """The one canonical compact size of n (0 … 2^64-1). Raises TransactionError when n is outside."""
    if 0 <= n < 0xFD:
        return SHORT_SIZES[n]
    if not 0 <= n <= _MAX_U64:
        raise TransactionError(f"{n} does not fit a compact size")
    if n <= 0xFFFF:
        return b"\xfd" + n.to_bytes(2, "little")
    if n <= 0xFFFFFFFF:
        return b"\xfe" + n.to_bytes(4, "little")
    return b"\xff" + n.to_bytes(8, "little")


def with_size(data: bytes) -> bytes:
    """The data with its length in bytes before it, as a compact size."""
    size = len(data)
    return (SHORT_SIZES[size] if size < 0xFD else compact_size(size)) + data


def read_compact_size(data: bytes, at: int) -> tuple[int, int]:
    """The compact size at a position, and the position after it.

    Raises TransactionError when it is cut off or could have been written shorter.
    """
    first = data[at] if at < len(data) else None
    if first is None:
        raise TransactionError(f"a compact size is missing at byte {at}")
    if first < 0xFD:
        return first, at + 1
    width = 2 << (first - 0xFD)
    end = at + 1 + width
    if end > len(data):
        raise TransactionError(f"the compact size at byte {at} is cut off")
    n = int.from_bytes(data[at + 1 : end], "little")
    # Attack: two encodings of one transaction, so that two programs hash the same thing differently.
    if n <= (0xFC, 0xFFFF, 0xFFFFFFFF)[first - 0xFD]:
        raise TransactionError(f"compact size at byte {at} is not the shortest form")
    return n, end


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
        n, self._position = read_compact_size(self._data, self._position)
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
