"""Points of secp256k1 as libsecp256k1 holds them: the library called directly, on public data only.

What is wanted again and again (a parent key, our own key of an address) is parsed once and kept. Private keys are
`secrets`' business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT

from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.errors import KeyFormatError

Point: TypeAlias = Any
"""A parsed public key, `secp256k1_pubkey *`."""

_CONTEXT: Final[Any] = GLOBAL_CONTEXT.ctx
_POINT: Final[Any] = ffi.typeof("secp256k1_pubkey *")
_COMPRESSED_BYTES: Final = 33
_DIGEST_BYTES: Final = 32

# Bound once: a thousand addresses or inputs call them thousands of times.
_create: Final[Any] = lib.secp256k1_ec_pubkey_create
_combine: Final[Any] = lib.secp256k1_ec_pubkey_combine
_serialize: Final[Any] = lib.secp256k1_ec_pubkey_serialize
_parse_der: Final[Any] = lib.secp256k1_ecdsa_signature_parse_der
_verify: Final[Any] = lib.secp256k1_ecdsa_verify
_COMPRESSED: Final[Any] = lib.SECP256K1_EC_COMPRESSED


class ChildKey(NamedTuple):
    """An unhardened child (BIP 32): its tweak (32 bytes), its point, and the point compressed (33 bytes)."""

    tweak: bytes
    point: Point
    public_key: bytes


class ParentKey:
    """An extended public key whose children are wanted often. Not for two threads at once."""

    __slots__ = ("_encoded", "_own", "_public_key", "_scratch", "_size", "_summands", "_tweaked", "_xpub")

    def __init__(self, xpub: ExtendedPublicKey) -> None:
        self._xpub = xpub
        self._own = ffi.new("secp256k1_pubkey *")
        if not lib.secp256k1_ec_pubkey_parse(_CONTEXT, self._own, xpub.public_key, _COMPRESSED_BYTES):
            raise KeyFormatError("the public key is not a point of the curve")
        self._tweaked = ffi.new("secp256k1_pubkey *")
        # The array holds addresses only: what they point to lives as long as this object does.
        self._summands = ffi.new("secp256k1_pubkey *[2]", [self._tweaked, self._own])
        self._scratch = ffi.new("secp256k1_pubkey *")
        self._encoded = ffi.new(f"unsigned char[{_COMPRESSED_BYTES}]")
        self._public_key = ffi.buffer(self._encoded)
        self._size = ffi.new("size_t *")

    def child(self, index: int) -> ChildKey:
        """The child with this index (0 … 2^31-1). Raises KeyFormatError."""
        tweak, point = self._xpub.child_tweak(index), ffi.new(_POINT)
        return ChildKey(tweak, point, self._derived(tweak, point))

    def child_public_key(self, index: int) -> bytes:
        """The child's public key alone (33 bytes). Raises KeyFormatError."""
        return self._derived(self._xpub.child_tweak(index), self._scratch)

    def _derived(self, tweak: bytes, point: Point) -> bytes:
        # tweak*G, then one addition: quicker than ec_pubkey_tweak_add, which multiplies for any base.
        if not _create(_CONTEXT, self._tweaked, tweak) or not _combine(_CONTEXT, point, self._summands, 2):
            raise KeyFormatError("BIP 32 has no child at this index")
        self._size[0] = _COMPRESSED_BYTES
        _serialize(_CONTEXT, self._encoded, self._size, point, _COMPRESSED)
        public_key: bytes = self._public_key[:]
        return public_key


def first_invalid(points: Sequence[Point], digests: Sequence[bytes], signatures: Sequence[bytes]) -> int | None:
    """The position of the first DER signature (low S, no sighash byte) that is not its point's over its digest.

    None when all are valid. Raises ValueError for a digest of another length than 32 bytes.
    """
    parsed = ffi.new("secp256k1_ecdsa_signature *")
    for at, (point, digest, signature) in enumerate(zip(points, digests, signatures, strict=True)):
        if len(digest) != _DIGEST_BYTES:
            raise ValueError("a digest has 32 bytes")
        if not _parse_der(_CONTEXT, parsed, signature, len(signature)):
            return at
        if not _verify(_CONTEXT, parsed, digest, point):
            return at
    return None
