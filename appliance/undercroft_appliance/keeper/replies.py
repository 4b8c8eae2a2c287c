"""Replies that were given: the same request, byte for byte, gets the same reply, and nothing is done twice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from undercroft_protocol.messages import Value

from .handover import GivenReply

MOST_REPLIES: Final = 256
MOST_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Given:
    """A reply as sent, and its body (bytes: a PSBT, or what an earlier process gave, which is all of it).

    ``waits_for``: the txids of held transactions in it that the owner has not decided.
    """

    data: bytes
    body: Value | bytes
    waits_for: frozenset[bytes]


class Replies:
    """The newest replies of this activation by the digest (SHA-256) of their requests; bounded in number and bytes."""

    def __init__(self) -> None:
        self._given: OrderedDict[bytes, Given] = OrderedDict()
        self._bytes = 0

    def find(self, digest: bytes) -> bytes | None:
        """The reply to these very bytes, if it was given and is still kept."""
        given = self._given.get(digest)
        return None if given is None else given.data

    def keep(self, digest: bytes, given: Given) -> None:
        """Keep a reply, or put a newer one in its place; the oldest that waits for nobody makes room."""
        replaced = self._given.get(digest)
        self._given[digest] = given
        self._bytes += len(given.data) - (0 if replaced is None else len(replaced.data))
        while len(self._given) > MOST_REPLIES or self._bytes > MOST_BYTES:
            oldest = next((key for key, old in self._given.items() if not old.waits_for), next(iter(self._given)))
            self._bytes -= len(self._given.pop(oldest).data)

    def waiting_for(self, txid: bytes) -> Iterator[tuple[bytes, Given]]:
        """The replies in which this transaction is held, by the digests of their requests."""
        yield from [(digest, given) for digest, given in self._given.items() if txid in given.waits_for]

    def snapshot(self) -> tuple[GivenReply, ...]:
        """What was given and is still kept, for the next keeper process."""
        return tuple(GivenReply(digest, given.data) for digest, given in self._given.items())

    def restore(self, replies: Iterable[GivenReply]) -> None:
        """Give again what the process before gave; nobody decides anything in it any more."""
        for one in replies:
            self.keep(one.digest, Given(one.data, one.data, frozenset()))

    def clear(self) -> None:
        """A new activation answers anew."""
        self._given.clear()
        self._bytes = 0
