"""The CBOR of the Blockchain Commons registry: deterministic (RFC 8949, section 4.2), with tags and nesting.

Read by hand and bounded: an item of the registry is a few hundred bytes, and a native decoder gives some tags a meaning
of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import cbor2

from undercroft_protocol.cbor_heads import HeadReader
from undercroft_protocol.errors import CborError

MAX_ITEM_BYTES: Final = 16 * 1024
MAX_ITEMS: Final = 4096
MAX_DEPTH: Final = 16


@dataclass(frozen=True, slots=True)
class Tag:
    """A value under a CBOR tag."""

    number: int
    value: Item


Item: TypeAlias = "int | bytes | str | bool | Sequence[Item] | Mapping[int, Item] | Tag"


def encode(item: Item) -> bytes:
    """The encoding of an item whose maps are written in the order of their keys."""
    return cbor2.dumps(_plain(item))


def decode(data: bytes) -> Item:
    """The item that ``data`` is, which must be in deterministic form with nothing behind it.

    Raises CborError for anything else, and for more than 16 kB, 4096 items or 16 levels.
    """
    # Attack: a huge item, to keep the reader busy.
    if len(data) > MAX_ITEM_BYTES:
        raise CborError(f"{len(data)} bytes; {MAX_ITEM_BYTES} is the most")
    reader = _Reader(data)
    item = reader.item(0)
    reader.end()
    return item


def check_item(data: bytes) -> None:
    """Raises CborError when ``decode`` would."""
    decode(data)


def _plain(item: Item) -> object:
    if isinstance(item, Tag):
        return cbor2.CBORTag(item.number, _plain(item.value))
    if isinstance(item, Mapping):
        return {key: _plain(item[key]) for key in sorted(item)}
    if isinstance(item, (bytes, str)) or not isinstance(item, Sequence):
        return item
    return [_plain(one) for one in item]


class _Reader(HeadReader):
    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._items = 0

    def item(self, depth: int) -> Item:
        self._items += 1
        # Attack: containers within containers, or masses of small items.
        if depth > MAX_DEPTH or self._items > MAX_ITEMS:
            raise CborError("nested too deeply, or too many items")
        major, argument = self.head()
        if major == 2:
            return self.take(argument)
        if major == 3:
            return self.text(argument)
        if major == 4:
            # Attack: more items announced than bytes follow; the loop ends with them, nothing is allocated before.
            return tuple(self.item(depth + 1) for _ in range(argument))
        if major == 5:
            return self._map(argument, depth)
        if major == 6:
            return Tag(argument, self.item(depth + 1))
        return self._scalar(major, argument)

    @staticmethod
    def _scalar(major: int, argument: int) -> Item:
        if major < 2:
            return -1 - argument if major else argument
        if argument not in (20, 21):
            raise CborError(f"simple value {argument}")
        return argument == 21

    def _map(self, count: int, depth: int) -> dict[int, Item]:
        entries: dict[int, Item] = {}
        last = -1
        for _ in range(count):
            key = self.item(depth + 1)
            # Attack: a key twice, or in another order, which two parsers read differently.
            if isinstance(key, bool) or not isinstance(key, int) or key <= last:
                raise CborError("a map key is no rising integer")
            last = key
            entries[key] = self.item(depth + 1)
        return entries
