"""How many of some vectors, in the order in which they come, until they span everything: over GF(2) and GF(2^8).

What a decoder by elimination needs, without its payloads and its small memory. The vectors stand as the columns of an
array, so that each step looks at the next vector and strikes one row out. A benchmark checks it against the decoders
themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from undercroft_protocol.qr.fast.field import INVERSES, Rows

_T = TypeVar("_T")
_WORD_BITS: Final = 64
_SPARE: Final = 8

_PRODUCTS: Final = np.array(
    [list(row.to_bytes(256)) for row in Rows(256).multiples(int.from_bytes(bytes(range(256))))], np.uint8
)
"""a x b at place a, b; of the format's own arithmetic."""
_LOW_HALVES: Final = _PRODUCTS[:16]
_HIGH_HALVES: Final = _PRODUCTS[::16]


def bits_needed(vectors: Iterable[int], size: int) -> int:
    """How many ``vectors`` of ``size`` bits span all, over GF(2). Raises ValueError when all of them do not."""
    return _needed(vectors, size, _full_after_bits)


def bytes_needed(vectors: Iterable[bytes], size: int) -> int:
    """How many ``vectors`` of ``size`` bytes span all, over GF(2^8). Raises ValueError when all of them do not."""
    return _needed(vectors, size, _full_after_bytes)


def _needed(vectors: Iterable[_T], size: int, full_after: Callable[[list[_T], int], int | None]) -> int:
    coming, taken = iter(vectors), list[_T]()
    # A part more than can suffice is taken at once, as most vectors are independent of those before.
    while more := list(islice(coming, size // 16 + (_SPARE if taken else size + _SPARE))):
        taken += more
        if (needed := full_after(taken, size)) is not None:
            return needed
    raise ValueError(f"{len(taken)} vectors span less than {size}")


def _full_after_bits(vectors: list[int], size: int) -> int | None:
    octets = b"".join(vector.to_bytes(-(-size // 8), "little") for vector in vectors)
    flags = np.unpackbits(np.frombuffer(octets, np.uint8).reshape(len(vectors), -1), axis=1, bitorder="little")
    room = np.zeros((size, -(-len(vectors) // _WORD_BITS) * _WORD_BITS), np.uint8)
    room[:, : len(vectors)] = flags[:, :size].T
    left: NDArray[np.uint64] = np.packbits(room, axis=1, bitorder="little").view(np.uint64)
    for at in range(len(vectors)):
        word, bit = divmod(at, _WORD_BITS)
        holding = (left[:, word] & np.uint64(1 << bit)).nonzero()[0]
        if not holding.size:
            continue
        pivot = holding[0]
        left[holding[1:], word:] ^= left[pivot, word:]
        left[pivot] = left[0]
        left = left[1:]
        if not len(left):
            return at + 1
    return None


def _full_after_bytes(vectors: list[bytes], size: int) -> int | None:
    left = np.frombuffer(b"".join(vectors), np.uint8).reshape(len(vectors), size).T.copy()
    for at in range(len(vectors)):
        holding = left[:, at].nonzero()[0]
        if not holding.size:
            continue
        pivot = holding[0]
        row = _PRODUCTS[INVERSES[left[pivot, at]]].take(left[pivot, at + 1 :])
        left[pivot] = left[0]
        left = left[1:]
        if not len(left):
            return at + 1
        factors = left[:, at]
        struck = _LOW_HALVES.take(row, axis=1).take(factors & 15, axis=0)
        struck ^= _HIGH_HALVES.take(row, axis=1).take(factors >> 4, axis=0)
        left[:, at + 1 :] ^= struck
    return None
