"""The key that seals the exact facts of log entries: XChaCha20-Poly1305, under a key from the owner's seed.

The key is the first half of HMAC-SHA512(key="undercroft/1/log", message=the owner's seed), so that the owner can read
every log of this key, with the envelope and the passphrase, on any machine. What it seals is no key material.
"""

from __future__ import annotations

from typing import Final

from undercroft_appliance.errors import LogSealError

from .hmac512 import DIGEST_BYTES, HmacSha512
from .memory import GuardedMemory, Slot, stack_wipe
from .native import sodium, sodium_ffi

NONCE_BYTES: Final = 24
TAG_BYTES: Final = 16
_KEY_BYTES: Final = 32
_DOMAIN: Final = b"undercroft/1/log"


class LogKey:
    """Seals and opens what stands in log entries, with a slot of its own for the key."""

    def __init__(self, memory: GuardedMemory, hmac: HmacSha512) -> None:
        self._hmac = hmac
        self._digest = memory.take(DIGEST_BYTES)
        self._key = memory.take(_KEY_BYTES)

    def load(self, seed: Slot) -> None:
        """Makes the key from the owner's seed."""
        try:
            self._hmac.digest(_DOMAIN, seed, self._digest)
            self._key.copy_from(self._digest.part(0, _KEY_BYTES))
        finally:
            self._digest.wipe()

    def seal(self, data: bytes, associated: bytes, nonce: bytes) -> bytes:
        """Nonce (24 bytes), ciphertext and tag of public-size ``data``, bound to ``associated``.

        The nonce must be random: an older seal, brought back by a host, makes the log use an entry's number again.
        """
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"a nonce has {NONCE_BYTES} bytes")
        out = sodium_ffi.new(f"unsigned char[{len(data) + TAG_BYTES}]")
        size = sodium_ffi.new("unsigned long long *")
        try:
            sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
                out, size, data, len(data), associated, len(associated), sodium_ffi.NULL, nonce, self._key.sodium
            )
        finally:
            stack_wipe()
        return nonce + bytes(sodium_ffi.buffer(out))

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """What `seal` was given. Raises LogSealError for another key, another place, or changed bytes."""
        nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        if len(ciphertext) < TAG_BYTES:
            raise LogSealError("it is too short")
        out = sodium_ffi.new(f"unsigned char[{max(len(ciphertext) - TAG_BYTES, 1)}]")
        size = sodium_ffi.new("unsigned long long *")
        try:
            # Attack: a sealed part is moved to another entry, so that a refusal explains a signature.
            failed = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
                out, size, sodium_ffi.NULL, ciphertext, len(ciphertext),
                associated, len(associated), nonce, self._key.sodium,
            )  # fmt: skip
        finally:
            stack_wipe()
        if failed:
            raise LogSealError
        return bytes(sodium_ffi.buffer(out, size[0]))

    def wipe(self) -> None:
        """Overwrites the key."""
        self._key.wipe()
