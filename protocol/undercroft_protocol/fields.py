"""What a field of a message may hold: types with bounds, checked when a value is made and when it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from .bitcoin.amounts import MAX_MONEY_SATS


@dataclass(frozen=True, slots=True)
class Size:
    """Length of a byte string (bytes), a text (characters) or a list (items), both ends included."""

    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Range:
    """Value of an integer, both ends included."""

    least: int
    most: int


MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024 - 4096
"""The longest message on a link; below the limit of cbor.py, so that it can be carried inside another message."""
MAX_TRANSACTION_BYTES: Final = 400_000
MAX_SCRIPT_BYTES: Final = 10_000

Bytes4: TypeAlias = Annotated[bytes, Size(4, 4)]
Bytes16: TypeAlias = Annotated[bytes, Size(16, 16)]
Bytes24: TypeAlias = Annotated[bytes, Size(24, 24)]
Bytes32: TypeAlias = Annotated[bytes, Size(32, 32)]
XpubBytes: TypeAlias = Annotated[bytes, Size(78, 78)]
"""An extended public key in its 78 bytes (BIP 32)."""
SealedSeed: TypeAlias = Annotated[bytes, Size(48, 48)]
"""A 32-byte seed and the 16-byte Poly1305 tag."""
SealedFacts: TypeAlias = Annotated[bytes, Size(24 + 512 + 16, 24 + 26 * 512 + 16)]
"""The exact facts of a log entry: nonce, ciphertext of whole 512 bytes, Poly1305 tag."""
DerSignature: TypeAlias = Annotated[bytes, Size(8, 72)]
"""An ECDSA signature in DER, without the sighash byte."""
Script: TypeAlias = Annotated[bytes, Size(1, MAX_SCRIPT_BYTES)]
RawTransaction: TypeAlias = Annotated[bytes, Size(60, MAX_TRANSACTION_BYTES)]
"""A whole transaction without witness (the form its txid is the hash of)."""
SignedObject: TypeAlias = Annotated[bytes, Size(80, 512 * 1024)]
"""A COSE_Sign1 object carried inside another message, as received, so that its signature still verifies."""

Name: TypeAlias = Annotated[str, Size(1, 40)]
"""Printable ASCII only: text with control, zero-width or right-to-left characters can lie on a screen."""
Line: TypeAlias = Annotated[str, Size(0, 200)]

DescriptorText: TypeAlias = Annotated[str, Size(1, 4096)]
"""An output descriptor with its checksum (BIP 380)."""

UInt16: TypeAlias = Annotated[int, Range(0, 0xFFFF)]
UInt32: TypeAlias = Annotated[int, Range(0, 0xFFFFFFFF)]
Sats: TypeAlias = Annotated[int, Range(0, MAX_MONEY_SATS)]
PositiveSats: TypeAlias = Annotated[int, Range(1, MAX_MONEY_SATS)]
Seconds: TypeAlias = Annotated[int, Range(0, 10 * 365 * 86_400)]
UnixTime: TypeAlias = Annotated[int, Range(0, 1 << 40)]
"""UTC, in whole seconds since 1970-01-01."""
KeyIndex: TypeAlias = Annotated[int, Range(0, 0x7FFFFFFF)]
Branch: TypeAlias = Annotated[int, Range(0, 1)]
"""0 for receiving, 1 for change (BIP 44, BIP 389)."""
