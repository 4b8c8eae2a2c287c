"""HMAC-SHA512 (RFC 2104, FIPS 180-4) on guarded memory.

PyNaCl's library has SHA-512 but no HMAC of it; the two padded blocks are made here. The key is read byte by
byte: CPython keeps the integers 0 to 255 for ever, so that no object is made of a secret.
"""

from __future__ import annotations

from .memory import GuardedMemory, Slot
from .native import sodium

DIGEST_BYTES = 64
_BLOCK_BYTES = 128
_MAX_MESSAGE_BYTES = 128
_INNER_PAD = 0x36
_OUTER_PAD = 0x5C


class HmacSha512:
    """HMAC-SHA512 of short keys and messages (at most 128 bytes each), with its own scratch slots."""

    def __init__(self, memory: GuardedMemory) -> None:
        self._inner = memory.take(_BLOCK_BYTES + _MAX_MESSAGE_BYTES)
        self._outer = memory.take(_BLOCK_BYTES + DIGEST_BYTES)

    def digest(self, key: Slot | bytes, message: Slot, out: Slot) -> None:
        """Fills `out` (64 bytes). A key given as `bytes` is a public constant."""
        key_size = len(key) if isinstance(key, bytes) else key.size
        if key_size > _BLOCK_BYTES or message.size > _MAX_MESSAGE_BYTES or out.size != DIGEST_BYTES:
            raise ValueError("HMAC-SHA512 here takes at most 128 bytes and gives 64")
        key_bytes = key if isinstance(key, bytes) else key.sodium
        inner, outer = self._inner.sodium, self._outer.sodium
        try:
            for i in range(_BLOCK_BYTES):
                byte = key_bytes[i] if i < key_size else 0
                inner[i] = byte ^ _INNER_PAD
                outer[i] = byte ^ _OUTER_PAD
            self._inner.part(_BLOCK_BYTES, message.size).copy_from(message)
            sodium.crypto_hash_sha512(outer + _BLOCK_BYTES, inner, _BLOCK_BYTES + message.size)
            sodium.crypto_hash_sha512(out.sodium, outer, self._outer.size)
        finally:
            self._inner.wipe()
            self._outer.wipe()
