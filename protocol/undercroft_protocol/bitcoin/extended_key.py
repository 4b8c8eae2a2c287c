"""Extended public keys and the derivation of their unhardened children (BIP 32)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from coincurve import PublicKey

from undercroft_protocol.bitcoin import base58
from undercroft_protocol.bitcoin.hashes import hash160
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import AddressError, KeyFormatError

HARDENED = 0x80000000
"""What BIP 32 adds to an index to say that the step is hardened."""

SERIALIZED_BYTES = 78

_TWEAK_BYTES = 32
_SHA512_BLOCK_BYTES = 128
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))

_PRIVATE_VERSIONS = (bytes.fromhex("0488ade4"), bytes.fromhex("04358394"))


@dataclass(frozen=True, slots=True)
class ExtendedPublicKey:
    """A public key with the chain code that its children come from."""

    version: bytes
    depth: int
    parent_fingerprint: bytes
    child_number: int
    chain_code: bytes
    public_key: bytes
    _inner: Any = field(init=False, repr=False, compare=False)
    _outer: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.depth <= 0xFF or not 0 <= self.child_number <= 0xFFFFFFFF:
            raise KeyFormatError("depth or child number is out of range")
        if (len(self.version), len(self.parent_fingerprint), len(self.chain_code)) != (4, 4, 32):
            raise KeyFormatError("a part has the wrong length")
        if self.depth == 0 and (self.child_number or self.parent_fingerprint != bytes(4)):
            raise KeyFormatError("a master key has neither a parent nor a number")
        if len(self.public_key) != 33 or self.public_key[0] not in (2, 3):
            raise KeyFormatError("the public key is not compressed")
        try:
            PublicKey(self.public_key)
        except ValueError:
            raise KeyFormatError("the public key is not a point of the curve") from None
        # The two halves of HMAC-SHA512 (RFC 2104) with the chain code hashed in, the inner one with the public key too:
        # each child then costs half as much.
        block = self.chain_code.ljust(_SHA512_BLOCK_BYTES, b"\0")
        object.__setattr__(self, "_inner", hashlib.sha512(block.translate(_INNER_PAD) + self.public_key))
        object.__setattr__(self, "_outer", hashlib.sha512(block.translate(_OUTER_PAD)))

    @classmethod
    def parse(cls, text: str, network: Network) -> ExtendedPublicKey:
        """The key that an xpub or tpub text stands for.

        Raises KeyFormatError for any other text, another network, a private key. The text is never quoted: it
        may be an xprv that was pasted by mistake.
        """
        try:
            data = base58.decode_check(text)
        except AddressError as error:
            raise KeyFormatError(error.detail) from None
        return cls.from_bytes(data, network)

    @classmethod
    def from_bytes(cls, data: bytes, network: Network) -> ExtendedPublicKey:
        """The key in the 78 bytes of BIP 32's serialisation. Raises KeyFormatError."""
        if len(data) != SERIALIZED_BYTES:
            raise KeyFormatError(f"an extended key is {SERIALIZED_BYTES} bytes")
        version = data[:4]
        if version in _PRIVATE_VERSIONS:
            raise KeyFormatError("this is a private key; it must not be here")
        if version != network.xpub_version:
            others = " or ".join(one.value for one in Network if one.xpub_version == version)
            raise KeyFormatError(f"it belongs to {others or 'an unknown network'}, not to {network.value}")
        number = int.from_bytes(data[9:13], "big")
        return cls(version, data[4], data[5:9], number, data[13:45], data[45:])

    def serialize(self) -> bytes:
        """The 78 bytes of BIP 32's serialisation."""
        head = self.version + bytes([self.depth]) + self.parent_fingerprint
        return head + self.child_number.to_bytes(4, "big") + self.chain_code + self.public_key

    def text(self) -> str:
        """The key as xpub (mainnet) or tpub text."""
        return base58.encode_check(self.serialize())

    @property
    def fingerprint(self) -> bytes:
        """The first four bytes of the key's hash; not unique, so never to be used as an identity."""
        return hash160(self.public_key)[:4]

    def child(self, index: int) -> ExtendedPublicKey:
        """The unhardened child with this index (0 … 2^31-1). Raises KeyFormatError."""
        if self.depth == 0xFF:
            raise KeyFormatError("a key at depth 255 has no children")
        derived = self._derive(index)
        public_key = self._tweaked(derived[:_TWEAK_BYTES])
        depth = self.depth + 1
        return ExtendedPublicKey(self.version, depth, self.fingerprint, index, derived[_TWEAK_BYTES:], public_key)

    def child_public_key(self, index: int) -> bytes:
        """The public key (33 bytes) of `child(index)`, without the work for what else a child holds."""
        return self._tweaked(self.child_tweak(index))

    def child_tweak(self, index: int) -> bytes:
        """The 32 bytes that a signer adds to this key's private key for the child's (BIP 32 I_L); public."""
        return self._derive(index)[:_TWEAK_BYTES]

    def _derive(self, index: int) -> bytes:
        """BIP 32's I: the tweak, then the child's chain code."""
        if not 0 <= index < HARDENED:
            raise KeyFormatError(f"{index} is not the index of an unhardened child")
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(index.to_bytes(4, "big"))
        outer.update(inner.digest())
        i: bytes = outer.digest()
        return i

    def _tweaked(self, tweak: bytes) -> bytes:
        try:
            return bytes(PublicKey(self.public_key).add(tweak).format(compressed=True))
        except ValueError:
            raise KeyFormatError("BIP 32 has no child at this index") from None
