"""The sender of the fast format: the rows themselves first, then mixtures of all of them for as long as it is shown."""

from __future__ import annotations

from undercroft_protocol.errors import QrSizeError
from undercroft_protocol.qr.capacity import LAST_VERSION
from undercroft_protocol.qr.stream import SymbolSource

from .field import Rows
from .parcel import pack
from .symbol import MAX_COUNT, SEQUENCES, SESSION_BYTES, coefficients, payload_bytes, write_symbol

FIRST_FAST_VERSION = 5


class FastSource(SymbolSource):
    """One message for codes of one version (5 to 40, level L).

    ``session``: 4 random bytes, others for each time a message is sent. Raises QrSizeError for a message that is too
    long for codes of that version, ValueError for another version or session.
    """

    def __init__(self, message: bytes, *, version: int, session: bytes) -> None:
        if not FIRST_FAST_VERSION <= version <= LAST_VERSION or len(session) != SESSION_BYTES:
            raise ValueError(f"version {version}, session of {len(session)} bytes")
        most = payload_bytes(version)
        parcel = pack(message)
        self._session = session
        self._count = -(-len(parcel) // most)
        if self._count > MAX_COUNT:
            raise QrSizeError(f"{len(message)} bytes in codes of version {version}")
        # As many codes as that, but no larger than they need to be.
        self._size = -(-len(parcel) // self._count)
        cuts = (parcel[at * self._size : (at + 1) * self._size] for at in range(self._count))
        self._rows = [int.from_bytes(cut.ljust(self._size, b"\0")) for cut in cuts]
        self._field = Rows(self._size)
        self._sequence = 0

    @property
    def count(self) -> int:
        return self._count

    def next_symbol(self) -> str:
        sequence = self._sequence
        self._sequence = (sequence + 1) % SEQUENCES
        if sequence < self._count:
            row = self._rows[sequence]
        else:
            row = self._field.weighted_sum(coefficients(self._session, self._count, sequence), self._rows)
        return write_symbol(self._session, self._count, sequence, row.to_bytes(self._size))
