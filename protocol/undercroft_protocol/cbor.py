"""Deterministic CBOR (RFC 8949 section 4.2), the only encoding that crosses a link or is ever hashed.

Allowed are integers of up to 64 bits, byte strings, text, arrays, maps with integer keys, true, false, null and the
tag of COSE_Sign1. Every value has exactly one encoding, so that a hash names a value. The bytes are walked by the
scanner below before anything is built from them: a decoder in native code never meets what the scanner refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import cbor2

from .cbor_heads import HeadReader
from .errors import CborError

Plain: TypeAlias = "int | bytes | str | bool | Sequence[Plain] | Mapping[int, Plain] | None"

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_DEPTH: Final = 12
MAX_ITEMS: Final = 200_000

_UINT64_END: Final = 1 << 64
_COSE_SIGN1_TAG: Final = 18


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value under a CBOR tag; the protocol knows one tag, 18 (COSE_Sign1, RFC 9052)."""

    tag: int
    value: Plain


def encode(value: Plain | Tagged) -> bytes:
    """The one encoding of ``value``; raises CborError when it holds anything outside the allowed types."""
    return cbor2.dumps(_ordered(value, 0))


def decode(data: bytes, *, most_bytes: int = MAX_BYTES) -> Plain:
    """The value of ``data``, which must be one whole item in deterministic form and nothing behind it.

    Raises CborError for anything else: long forms, unsorted or duplicate keys, indefinite lengths, floats, tags,
    nesting over 12, more than 200,000 items, more than ``most_bytes``, trailing bytes, text that is not UTF-8.
    """
    _Scanner(data, most_bytes).scan()
    return _frozen(cbor2.loads(data))


def decode_tagged(data: bytes, tag: int) -> Plain:
    """Like ``decode``, for one item under ``tag`` (RFC 8949 section 3.4) at the outermost level."""
    head = cbor2.dumps(cbor2.CBORTag(tag, 0))[:-1]
    if not data.startswith(head):
        raise CborError(f"tag {tag} is missing")
    return decode(data[len(head) :])


def _ordered(value: Plain | Tagged, depth: int) -> object:
    """``value`` with map keys in the order of their encoded bytes (RFC 8949 section 4.2.1)."""
    if depth > MAX_DEPTH:
        raise CborError(f"nested deeper than {MAX_DEPTH}")
    if value is None or isinstance(value, (bool, bytes, str)):
        return value
    if isinstance(value, int):
        if not -_UINT64_END <= value < _UINT64_END:
            raise CborError("an integer has more than 64 bits")
        return value
    if isinstance(value, Tagged):
        return cbor2.CBORTag(value.tag, _ordered(value.value, depth + 1))
    if isinstance(value, Mapping):
        if any(isinstance(key, bool) or not isinstance(key, int) for key in value):
            raise CborError("a map key is not an integer")
        # For integers the order of the encoded bytes is: 0, 1, 2, … and then -1, -2, …
        keys = sorted(value, key=lambda key: (key < 0, key if key >= 0 else -key))
        return {key: _ordered(value[key], depth + 1) for key in keys}
    if isinstance(value, Sequence):
        return [_ordered(item, depth + 1) for item in value]
    raise CborError(f"{type(value).__name__} cannot be encoded")


def _frozen(value: object) -> Plain:
    """Lists become tuples: what was received is never changed afterwards."""
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, Mapping):
        return {key: _frozen(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, bytes, str)):
        return value
    raise CborError(f"{type(value).__name__} is not an allowed value")


class _Scanner(HeadReader):
    """Walks the bytes once, by its own stack, and refuses all that is not deterministic or not bounded."""

    def __init__(self, data: bytes, most_bytes: int) -> None:
        # An attacker who sends a huge item must not make us allocate for it.
        if len(data) > most_bytes:
            raise CborError(f"{len(data)} bytes; {most_bytes} is the most")
        super().__init__(data)

    def scan(self) -> None:
        # Each open container: items still to come, and for maps the encoded bytes of the last key (None for arrays).
        open_items: list[int] = [1]
        last_keys: list[bytes | None] = [None]
        is_map: list[bool] = [False]
        seen = 0
        while open_items:
            if open_items[-1] == 0:
                for stack in (open_items, last_keys, is_map):
                    stack.pop()
                continue
            # Nested or announced masses of items exhaust memory: count what is read, not what is promised.
            seen += 1
            if seen > MAX_ITEMS:
                raise CborError(f"more than {MAX_ITEMS} items")
            expects_key = is_map[-1] and open_items[-1] % 2 == 0
            open_items[-1] -= 1
            start = self._at
            major, argument = self._plain_head()
            if expects_key:
                last_keys[-1] = self._key(major, start, last_keys[-1])
            elif major in (2, 3):
                (self.text if major == 3 else self.take)(argument)
            elif major in (4, 5):
                count = argument * (2 if major == 5 else 1)
                # A count larger than the bytes that are left is a lie told to make us allocate.
                if count > len(self._data) - self._at:
                    raise CborError(f"{argument} items announced at byte {start}, too few bytes follow")
                if len(open_items) > MAX_DEPTH:
                    raise CborError(f"nested deeper than {MAX_DEPTH}")
                open_items.append(count)
                last_keys.append(None)
                is_map.append(major == 5)
        self.end()

    def _key(self, major: int, start: int, previous: bytes | None) -> bytes:
        if major not in (0, 1):
            raise CborError(f"map key at byte {start} is not an integer")
        key = self._data[start : self._at]
        # Two maps with the same entries in another order, or with one key twice, are read differently by different
        # parsers; one order and no duplicate leaves one reading.
        if previous is not None and key <= previous:
            raise CborError(f"map key at byte {start} is a duplicate or out of order")
        return key

    def _plain_head(self) -> tuple[int, int]:
        start = self._at
        major, argument = self.head()
        if major == 6:
            raise CborError(f"tag at byte {start}")
        if major == 7 and argument not in (20, 21, 22):
            raise CborError(f"float or simple value at byte {start}")
        return major, argument
