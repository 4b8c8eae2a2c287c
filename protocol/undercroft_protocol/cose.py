"""COSE_Sign1 (RFC 9052 section 4.2) with Ed25519 (RFC 9053 section 2.2).

The protected header names the algorithm, the content type and the signer's public key; all three are signed. The
content type separates domains: a signature made over a clearance can never be shown as one over a policy approval.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from . import cbor
from .errors import CborError, CoseError, SignatureError

TAG: Final = 18
_ALGORITHM: Final = 1
_CONTENT_TYPE: Final = 3
_KEY_ID: Final = 4
_EDDSA: Final = -8

PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

Signer = Callable[[bytes], bytes]
"""Signs bytes with an Ed25519 key (RFC 8032) and returns the 64-byte signature; the key stays where it is."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A COSE_Sign1 object, taken apart but not yet believed: only ``verified_payload`` gives the payload out."""

    protected: bytes
    content_type: str
    signer: bytes
    payload: bytes
    signature: bytes

    def verified_payload(self, content_type: str, signers: Collection[bytes]) -> bytes:
        """The payload, after the signature by one of ``signers`` (32-byte Ed25519 keys) was verified.

        Raises CoseError when it is of another content type and SignatureError when the signer is none of those
        expected or the signature does not verify.
        """
        # A signature made for another purpose must not count here.
        if self.content_type != content_type:
            raise CoseError(f"content type {self.content_type!r} where {content_type!r} belongs")
        # Anyone can make a key; only the expected ones speak for somebody.
        if self.signer not in signers:
            raise SignatureError(f"signed by {self.signer.hex()[:16]}, who may not sign a {content_type!r}")
        try:
            VerifyKey(self.signer).verify(_to_be_signed(self.protected, self.payload), self.signature)
        except BadSignatureError as error:
            raise SignatureError(f"by {self.signer.hex()[:16]} over a {content_type!r}") from error
        return self.payload


def sign(content_type: str, payload: bytes, public_key: bytes, signer: Signer) -> bytes:
    """The tagged COSE_Sign1 object over ``payload``; ``public_key`` (32 bytes) must belong to ``signer``."""
    protected = _protected(content_type, public_key)
    signature = signer(_to_be_signed(protected, payload))
    return cbor.encode(cbor.Tagged(TAG, (protected, {}, payload, signature)))


def read(data: bytes) -> Signed:
    """Take a COSE_Sign1 object apart without looking into its payload; raises CoseError or CborError."""
    parts = cbor.decode_tagged(data, TAG)
    if not isinstance(parts, tuple) or len(parts) != 4:
        raise CoseError("not an array of four")
    protected, unprotected, payload, signature = parts
    if not (isinstance(protected, bytes) and isinstance(payload, bytes) and isinstance(signature, bytes)):
        raise CoseError("header, payload and signature must be byte strings")
    # What is not signed could be changed on the way, so nothing may stand there.
    if unprotected != {}:
        raise CoseError("the unprotected header is not empty")
    try:
        header = cbor.decode(protected)
    except CborError as error:
        raise CoseError(f"protected header: {error.detail}") from error
    if not isinstance(header, dict) or set(header) != {_ALGORITHM, _CONTENT_TYPE, _KEY_ID}:
        raise CoseError("the protected header must hold algorithm, content type and key id, and nothing else")
    content_type, signer = header[_CONTENT_TYPE], header[_KEY_ID]
    # An algorithm chosen by the sender is how "none" gets accepted: there is one.
    if header[_ALGORITHM] != _EDDSA:
        raise CoseError("the algorithm is not EdDSA")
    if not isinstance(content_type, str) or not isinstance(signer, bytes) or len(signer) != PUBLIC_KEY_BYTES:
        raise CoseError("the content type must be text and the key id 32 bytes")
    if len(signature) != SIGNATURE_BYTES:
        raise CoseError("the signature is not 64 bytes long")
    return Signed(protected, content_type, signer, payload, signature)


def _protected(content_type: str, public_key: bytes) -> bytes:
    return cbor.encode({_ALGORITHM: _EDDSA, _CONTENT_TYPE: content_type, _KEY_ID: public_key})


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure of RFC 9052 section 4.4, without external data."""
    return cbor.encode(("Signature1", protected, b"", payload))
