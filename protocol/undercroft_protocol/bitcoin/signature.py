"""ECDSA signatures over secp256k1, in the one form that the network relays."""

from __future__ import annotations

from coincurve import PublicKey

from undercroft_protocol.bitcoin.sighash import SIGHASH_ALL
from undercroft_protocol.errors import SignatureError

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

_MAX_NUMBER_BYTES = 33
_ALL = bytes([SIGHASH_ALL])


def verify_ecdsa(public_key: bytes, digest: bytes, der_signature: bytes) -> None:
    """Raise SignatureError unless this is the key's signature over the 32-byte digest.

    The signature is strict DER (BIP 66) without a sighash byte, with low S (BIP 146).
    """
    if len(digest) != 32:
        raise SignatureError("a digest is 32 bytes")
    parse_der(der_signature)
    try:
        valid = PublicKey(public_key).verify(der_signature, digest, hasher=None)
    except ValueError:
        raise SignatureError("the public key is not a point of the curve") from None
    if not valid:
        raise SignatureError("not made by this key over this digest")


def parse_der(der_signature: bytes) -> tuple[int, int]:
    """The numbers r and s of a strictly encoded low-S signature; SignatureError for any other encoding."""
    data = der_signature
    if not 8 <= len(data) <= 2 + 2 * (2 + _MAX_NUMBER_BYTES) or data[0] != 0x30 or data[1] != len(data) - 2:
        raise SignatureError("not a DER sequence of the given length")
    r, after_r = _read_number(data, 2)
    s, end = _read_number(data, after_r)
    if end != len(data):
        raise SignatureError("trailing bytes in the DER sequence")
    # Attack: the negated S is a second valid signature, hence another wtxid for the same payment.
    if s > CURVE_ORDER // 2:
        raise SignatureError("S is not low")
    return r, s


def is_low_r(der_signature: bytes) -> bool:
    """Whether r needs no sign byte, which Bitcoin Core grinds for. Raises SignatureError as `parse_der`."""
    r, _ = parse_der(der_signature)
    return r < 1 << 255


def add_sighash_all(der_signature: bytes) -> bytes:
    """The signature as it stands in a witness: DER and the byte of SIGHASH_ALL."""
    return der_signature + _ALL


def remove_sighash_all(signature: bytes) -> bytes:
    """The DER part of a signature from a witness or a PSBT; SignatureError when its sighash is not ALL."""
    # Attack: SIGHASH_NONE, SINGLE or ANYONECANPAY lets others change what was signed.
    if signature[-1:] != _ALL:
        raise SignatureError("the sighash is not ALL")
    return signature[:-1]


def _read_number(data: bytes, position: int) -> tuple[int, int]:
    """A DER integer between 1 and the curve's order, and the position after it."""
    if data[position : position + 1] != b"\x02" or position + 2 > len(data):
        raise SignatureError("a DER integer is missing")
    length = data[position + 1]
    number = data[position + 2 : position + 2 + length]
    if not number or len(number) != length:
        raise SignatureError("a DER integer is cut off or empty")
    if number[0] & 0x80:
        raise SignatureError("a DER integer is negative")
    if len(number) > 1 and number[0] == 0 and not number[1] & 0x80:
        raise SignatureError("a DER integer is padded")
    value = int.from_bytes(number, "big")
    if not 1 <= value < CURVE_ORDER:
        raise SignatureError("a number is outside the curve's order")
    return value, position + 2 + length
