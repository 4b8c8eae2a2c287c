"""Signatures made from keys in guarded memory: ECDSA for inputs, Ed25519 for the appliance's identity.

ECDSA is deterministic (RFC 6979) with a low R by Bitcoin Core's rule, so that any other implementation with
the same key gives the same bytes. A wrong signature could give the key away: what `sign_digest` and `IdentityKey`
make is verified here, what `InputSigner` makes in the keeper's verify stage, and nothing leaves unverified.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from undercroft_appliance.errors import SigningError
from undercroft_protocol.bitcoin.signature import verify_ecdsa
from undercroft_protocol.errors import SignatureError

from .hierarchy import KEY_BYTES
from .hmac512 import DIGEST_BYTES, HmacSha512
from .memory import GuardedMemory, Slot
from .native import SECP_CONTEXT, secp, secp_ffi, sodium, sodium_ffi

_MAX_DER_BYTES = 72
_COMPACT_BYTES = 64
_HIGH_BIT = 0x80
_IDENTITY_DOMAIN = b"undercroft/1/identity"
_ED25519_SEED_BYTES = 32
_ED25519_PUBLIC_BYTES = 32
_ED25519_SECRET_BYTES = 64
_ED25519_SIGNATURE_BYTES = 64

# What Bitcoin Core gives to the nonce function, try after try: nothing, then 1, 2, 3… in 32 bytes, little-endian.
# Half of all tries give a low R: that each of these fails does not happen.
_EXTRA_ENTROPY = (
    secp_ffi.NULL,
    *(secp_ffi.new("unsigned char[32]", counter.to_bytes(32, "little")) for counter in range(1, 256)),
)


# Bound once: they are called for each input and each try.
_ecdsa_sign: Any = secp.secp256k1_ecdsa_sign
_seckey_tweak_add: Any = secp.secp256k1_ec_seckey_tweak_add
_serialize_compact: Any = secp.secp256k1_ecdsa_signature_serialize_compact
_serialize_der: Any = secp.secp256k1_ecdsa_signature_serialize_der


class Ecdsa:
    """Makes one signature after the other; the library's buffers are prepared once."""

    def __init__(self) -> None:
        self._signature = secp_ffi.new("secp256k1_ecdsa_signature *")
        self._compact = secp_ffi.new(f"unsigned char[{_COMPACT_BYTES}]")
        self._der = secp_ffi.new(f"unsigned char[{_MAX_DER_BYTES}]")
        self._encoded = secp_ffi.buffer(self._der)
        self._size = secp_ffi.new("size_t *")

    def sign(self, key: Any, digest: bytes) -> bytes:
        """The DER signature (low R, low S, no sighash byte) of a 32-byte digest by the key at a guarded address.

        Raises SigningError.
        """
        signature, compact, size = self._signature, self._compact, self._size
        for extra in _EXTRA_ENTROPY:
            # The library's default nonce function, and the only one, is RFC 6979.
            if not _ecdsa_sign(SECP_CONTEXT, signature, digest, key, secp_ffi.NULL, extra):
                raise SigningError("the key is out of range")
            _serialize_compact(SECP_CONTEXT, compact, signature)
            if compact[0] < _HIGH_BIT:
                break
        else:
            raise SigningError("no low R")
        size[0] = _MAX_DER_BYTES
        _serialize_der(SECP_CONTEXT, self._der, size, signature)
        encoded: bytes = self._encoded[: size[0]]
        return encoded


def sign_digest(key: Slot, digest: bytes, public_key: bytes) -> bytes:
    """The DER signature (no sighash byte) of a 32-byte digest, verified with the 33-byte public key.

    Raises SigningError.
    """
    if len(digest) != KEY_BYTES:
        raise ValueError("a digest has 32 bytes")
    encoded = Ecdsa().sign(key.secp, digest)
    try:
        verify_ecdsa(public_key, digest, encoded)
    except SignatureError as error:
        # Attack: a fault (voltage, heat, a flipped bit) in the computation, which would give the key away.
        raise SigningError(error.detail) from error
    return encoded


class InputSigner:
    """Signs with children of branch keys; they come one after the other into one slot, wiped after the last."""

    def __init__(self, memory: GuardedMemory) -> None:
        self._child = memory.take(KEY_BYTES)

    def sign(self, inputs: Iterable[tuple[Any, bytes, bytes]]) -> tuple[bytes, ...]:
        """The DER signatures, not verified, for inputs given as branch key (guarded address), tweak, digest.

        The tweaks (BIP 32) are public. Raises SigningError.
        """
        ecdsa, child = Ecdsa(), self._child.secp
        signatures = []
        try:
            for branch_key, tweak, digest in inputs:
                secp_ffi.memmove(child, branch_key, KEY_BYTES)
                if not _seckey_tweak_add(SECP_CONTEXT, child, tweak):
                    raise SigningError("the child key is out of range")
                signatures.append(ecdsa.sign(child, digest))
        finally:
            self._child.wipe()
        return tuple(signatures)


class IdentityKey:
    """The appliance's Ed25519 key (RFC 8032), made from the owner's seed: the same seed is the same identity.

    Its seed is the first half of HMAC-SHA512(key="undercroft/1/identity", message=the owner's seed).
    """

    def __init__(self, memory: GuardedMemory, hmac: HmacSha512) -> None:
        self._hmac = hmac
        self._digest = memory.take(DIGEST_BYTES)
        self._secret = memory.take(_ED25519_SECRET_BYTES)

    def load(self, seed: Slot) -> bytes:
        """Makes the key from the owner's seed; returns the public key (32 bytes)."""
        try:
            self._hmac.digest(_IDENTITY_DOMAIN, seed, self._digest)
            return self.load_ed25519_seed(self._digest.part(0, _ED25519_SEED_BYTES))
        finally:
            self._digest.wipe()

    def load_ed25519_seed(self, seed: Slot) -> bytes:
        """Makes the key from an Ed25519 seed (32 bytes) itself; returns the public key (32 bytes)."""
        public = sodium_ffi.new(f"unsigned char[{_ED25519_PUBLIC_BYTES}]")
        if sodium.crypto_sign_seed_keypair(public, self._secret.sodium, seed.sodium) != 0:
            raise SigningError("no identity key")
        return bytes(sodium_ffi.buffer(public))

    def sign(self, data: bytes, public_key: bytes) -> bytes:
        """The 64-byte signature over the data, verified with the public key. Raises SigningError."""
        signed = sodium_ffi.new(f"unsigned char[{_ED25519_SIGNATURE_BYTES + len(data)}]")
        opened = sodium_ffi.new(f"unsigned char[{_ED25519_SIGNATURE_BYTES + len(data)}]")
        size = sodium_ffi.new("unsigned long long *")
        if sodium.crypto_sign(signed, size, data, len(data), self._secret.sodium) != 0:
            raise SigningError("identity")
        # Attack: a fault in the computation, which would give the key away.
        if sodium.crypto_sign_open(opened, size, signed, len(signed), public_key) != 0:
            raise SigningError("identity")
        return bytes(sodium_ffi.buffer(signed, _ED25519_SIGNATURE_BYTES))

    def wipe(self) -> None:
        """Overwrites the key."""
        self._secret.wipe()
