"""Signatures made from keys in guarded memory: ECDSA for inputs, Ed25519 for the appliance's identity.

ECDSA is deterministic (RFC 6979) with a low R by Bitcoin Core's rule, so that any other implementation with
the same key gives the same bytes. Every signature is verified before it leaves (a fault in it could give the
key away).
"""

from __future__ import annotations

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


def sign_digest(key: Slot, digest: bytes, public_key: bytes) -> bytes:
    """The DER signature (no sighash byte) of a 32-byte digest, verified with the 33-byte public key.

    Raises SigningError.
    """
    if len(digest) != KEY_BYTES:
        raise ValueError("a digest has 32 bytes")
    signature = secp_ffi.new("secp256k1_ecdsa_signature *")
    compact = secp_ffi.new(f"unsigned char[{_COMPACT_BYTES}]")
    extra_entropy = secp_ffi.new("unsigned char[32]")
    _sign_once(signature, digest, key, secp_ffi.NULL)
    counter = 0
    while True:
        secp.secp256k1_ecdsa_signature_serialize_compact(SECP_CONTEXT, compact, signature)
        if compact[0] < _HIGH_BIT:
            break
        counter += 1
        secp_ffi.memmove(extra_entropy, counter.to_bytes(32, "little"), 32)
        _sign_once(signature, digest, key, extra_entropy)
    der = secp_ffi.new(f"unsigned char[{_MAX_DER_BYTES}]")
    size = secp_ffi.new("size_t *", _MAX_DER_BYTES)
    secp.secp256k1_ecdsa_signature_serialize_der(SECP_CONTEXT, der, size, signature)
    encoded = bytes(secp_ffi.buffer(der, size[0]))
    try:
        verify_ecdsa(public_key, digest, encoded)
    except SignatureError as error:
        # Attack: a fault (voltage, heat, a flipped bit) in the computation, which would give the key away.
        raise SigningError(error.detail) from error
    return encoded


def _sign_once(signature: object, digest: bytes, key: Slot, extra: object) -> None:
    rfc6979 = secp.secp256k1_nonce_function_rfc6979
    if not secp.secp256k1_ecdsa_sign(SECP_CONTEXT, signature, digest, key.secp, rfc6979, extra):
        raise SigningError("the key is out of range")


class InputSigner:
    """Signs with the child of a branch key; which lives in a scratch slot for one signature only."""

    def __init__(self, memory: GuardedMemory) -> None:
        self._child = memory.take(KEY_BYTES)

    def sign(self, branch_key: Slot, tweak: bytes, digest: bytes, public_key: bytes) -> bytes:
        """The DER signature by the child with this (public) BIP 32 tweak. Raises SigningError."""
        child = self._child
        try:
            child.copy_from(branch_key)
            if not secp.secp256k1_ec_seckey_tweak_add(SECP_CONTEXT, child.secp, tweak):
                raise SigningError("the child key is out of range")
            return sign_digest(child, digest, public_key)
        finally:
            child.wipe()


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
