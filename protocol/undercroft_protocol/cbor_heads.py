"""The heads of CBOR items in their one deterministic form (RFC 8949, section 4.2), read byte by byte."""

from __future__ import annotations

from undercroft_protocol.errors import CborError


class HeadReader:
    """Reads heads and chunks one after the other; what they mean is for whoever asks. Raises CborError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def head(self) -> tuple[int, int]:
        """Major type and argument of the next item. Floats and two-byte simple values are refused."""
        start = self._at
        initial = self.take(1)[0]
        major, info = initial >> 5, initial & 0x1F
        if info < 24:
            return major, info
        if major == 7:
            raise CborError(f"float or simple value at byte {start}")
        if info > 27:
            raise CborError(f"indefinite or reserved length at byte {start}")
        argument = int.from_bytes(self.take(1 << (info - 24)))
        # The same number in a longer form would give one value two hashes.
        if argument < (24, 1 << 8, 1 << 16, 1 << 32)[info - 24]:
            raise CborError(f"number at byte {start} is not in its shortest form")
        return major, argument

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        end = self._at + size
        if end > len(self._data):
            raise CborError(f"ends inside the item at byte {self._at}")
        chunk = self._data[self._at : end]
        self._at = end
        return chunk

    def text(self, size: int) -> str:
        """The next ``size`` bytes as UTF-8."""
        start = self._at
        try:
            return self.take(size).decode("utf-8")
        except UnicodeDecodeError as error:
            raise CborError(f"text at byte {start} is not UTF-8") from error

    def end(self) -> None:
        """Nothing may follow."""
        if self._at != len(self._data):
            raise CborError(f"{len(self._data) - self._at} bytes after the end")
