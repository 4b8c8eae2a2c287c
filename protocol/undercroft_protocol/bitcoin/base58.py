"""Base58Check, the encoding of older addresses and of extended keys."""

from __future__ import annotations

from undercroft_protocol.bitcoin.hashes import double_sha256
from undercroft_protocol.errors import AddressError

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_CHECKSUM_BYTES = 4
_MAX_CHARACTERS = 112  # an extended key, the longest thing ever written so, has 111


def encode_check(payload: bytes) -> str:
    """The payload with its checksum, in base 58."""
    data = payload + double_sha256(payload)[:_CHECKSUM_BYTES]
    number = int.from_bytes(data, "big")
    digits = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(_ALPHABET[digit])
    leading_zeros = len(data) - len(data.lstrip(b"\x00"))
    return _ALPHABET[0] * leading_zeros + "".join(reversed(digits))


def decode_check(text: str) -> bytes:
    """The payload behind a Base58Check text; AddressError when a character or the checksum is wrong.

    The text is never quoted in the error: it may be a private key that was pasted by mistake.
    """
    # Attack: a text of megabytes, since decoding takes time that grows with its square.
    if len(text) > _MAX_CHARACTERS:
        raise AddressError("too long for base 58")
    number = 0
    for character in text:
        if character not in _VALUES:
            raise AddressError("a character is not of base 58")
        number = number * 58 + _VALUES[character]
    leading_zeros = len(text) - len(text.lstrip(_ALPHABET[0]))
    data = bytes(leading_zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    payload, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if len(data) < _CHECKSUM_BYTES or double_sha256(payload)[:_CHECKSUM_BYTES] != checksum:
        raise AddressError("the checksum is wrong")
    return payload
