"""The envelope: the owner's seed sealed under a passphrase; the only form in which a key rests anywhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final

from ..codec import Value
from ..fields import Bytes4, Bytes16, Bytes24, Bytes32, Range, SealedSeed, UInt32, XpubBytes

ENVELOPE_VERSION: Final = 1
_DOMAIN: Final = b"undercroft/1/envelope"


@dataclass(frozen=True, slots=True)
class Envelope(Value):
    """XChaCha20-Poly1305 over the seed, under a key from Argon2id (RFC 9106) with the given cost.

    ``quorum_id`` is None in the draft that is made before the quorum exists. Everything but the ciphertext is bound
    into the associated data, so that neither the quorum nor the public keys nor the cost can be swapped.
    """

    version: Annotated[int, Range(ENVELOPE_VERSION, ENVELOPE_VERSION)]
    opslimit: UInt32
    memory_kib: UInt32
    salt: Bytes16
    nonce: Bytes24
    quorum_id: Bytes32 | None
    fingerprint: Bytes4
    xpub: XpubBytes
    identity: Bytes32
    ciphertext: SealedSeed

    def associated_data(self) -> bytes:
        """The bytes that the seal covers beside the seed: this envelope with a ciphertext of zeros."""
        blank = replace(self, ciphertext=bytes(len(self.ciphertext)))
        return _DOMAIN + blank.to_bytes()
