"""A log as a file that an owner can take out: pages of canonical CBOR, each behind its length (4 bytes, big-endian)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from ..codec import Value
from ..errors import MessageError
from ..fields import Bytes32, SignedObject, Size
from .log import LogEntry

_LENGTH_BYTES: Final = 4
_PAGE_BYTES: Final = 1024 * 1024
_PAGE_ENTRIES: Final = 2000


@dataclass(frozen=True, slots=True)
class LogPage(Value):
    """A part of one identity's log: entries in order, and a LogSeal as signed."""

    identity: Bytes32
    entries: Annotated[tuple[LogEntry, ...], Size(0, _PAGE_ENTRIES)]
    seal: SignedObject | None = None


@dataclass(frozen=True, slots=True)
class LogFile:
    """A whole log: whose it is (an Ed25519 public key), its entries in order, and the seals over it as signed."""

    identity: bytes
    entries: tuple[LogEntry, ...]
    seals: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """The file's bytes."""
        pages = [LogPage(self.identity, page) for page in _in_pages(self.entries)]
        pages.extend(LogPage(self.identity, (), seal) for seal in self.seals)
        data = [page.to_bytes() for page in pages]
        return b"".join(part for page in data for part in (len(page).to_bytes(_LENGTH_BYTES, "big"), page))

    @classmethod
    def from_bytes(cls, data: bytes) -> LogFile:
        """Reads what ``to_bytes`` made; raises CborError or MessageError. Nothing is verified yet."""
        pages = [LogPage.from_bytes(page) for page in _cut(data)]
        owners = {page.identity for page in pages}
        # Attack: two appliances' logs in one file, so that each seems to have what the other lacks.
        if len(owners) != 1:
            raise MessageError(f"a log file is of one identity, not of {len(owners)}")
        entries = tuple(entry for page in pages for entry in page.entries)
        return cls(owners.pop(), entries, tuple(page.seal for page in pages if page.seal is not None))


def _in_pages(entries: Sequence[LogEntry]) -> Iterable[tuple[LogEntry, ...]]:
    page: list[LogEntry] = []
    size = 0
    for entry in entries:
        page.append(entry)
        size += len(entry.to_bytes())
        if size >= _PAGE_BYTES or len(page) == _PAGE_ENTRIES:
            yield tuple(page)
            page, size = [], 0
    # A log without entries still says whose it is.
    if page or not entries:
        yield tuple(page)


def _cut(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        end = at + _LENGTH_BYTES + int.from_bytes(data[at : at + _LENGTH_BYTES], "big")
        # Attack: a length that lies, so that what is there is passed over or read twice.
        if at + _LENGTH_BYTES >= end or end > len(data):
            raise MessageError(f"a log file ends inside the page at byte {at}")
        yield data[at + _LENGTH_BYTES : end]
        at = end
