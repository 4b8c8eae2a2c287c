"""Families of signed transactions: two belong together when they share a coin, directly or over others.

A forest with union by size: finding a family takes as many steps as the logarithm of its members.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Family:
    """How many transactions are in it, and what was debited for all of them, in sats."""

    root: bytes
    members: int
    debited_sats: int


class Families:
    """By txid (32 bytes)."""

    def __init__(self) -> None:
        self._parents: MutableMapping[bytes, bytes] = {}
        self._families: MutableMapping[bytes, Family] = {}

    def fork(self) -> Self:
        """The same families; what is joined in the fork leaves these as they are."""
        fork = type(self)()
        fork._parents = ChainMap({}, self._parents)
        fork._families = ChainMap({}, self._families)
        return fork

    def of(self, txids: Iterable[bytes]) -> tuple[Family, ...]:
        """The families of these transactions, each once."""
        return tuple(self._families[root] for root in dict.fromkeys(self._root(txid) for txid in txids))

    def join(self, txid: bytes, relatives: Iterable[bytes], debited_sats: int) -> None:
        """A new transaction, for which so much was debited, makes one family of all families of its relatives."""
        joined = self.of(relatives)
        root = max(joined, key=lambda family: family.members).root if joined else txid
        for family in joined:
            self._parents[family.root] = root
        self._parents[txid] = root
        members = 1 + sum(family.members for family in joined)
        total_sats = debited_sats + sum(family.debited_sats for family in joined)
        self._families[root] = Family(root, members, total_sats)

    def _root(self, txid: bytes) -> bytes:
        while (parent := self._parents[txid]) != txid:
            txid = parent
        return txid
