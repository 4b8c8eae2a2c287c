"""Bech32 (BIP 173) for witness version 0 and Bech32m (BIP 350) for every later one."""

from __future__ import annotations

from collections.abc import Iterable

from undercroft_protocol.errors import AddressError

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32 = 1
_BECH32M = 0x2BC830A3
_CHECKSUM_CHARACTERS = 6
_MAX_CHARACTERS = 90


def encode_witness_program(prefix: str, version: int, program: bytes) -> str:
    """The segwit address for a witness program; AddressError for one that BIP 141 does not allow."""
    _check_program(version, program)
    data = [version, *_regroup(program, 8, 5, pad=True)]
    constant = _BECH32 if version == 0 else _BECH32M
    remainder = _polymod([*_expand(prefix), *data, *bytes(_CHECKSUM_CHARACTERS)]) ^ constant
    checksum = [(remainder >> 5 * (5 - at)) & 31 for at in range(_CHECKSUM_CHARACTERS)]
    return prefix + "1" + "".join(_ALPHABET[value] for value in [*data, *checksum])


def decode_witness_program(text: str) -> tuple[str, int, bytes]:
    """Prefix (lower case), witness version and program of a segwit address. Raises AddressError."""
    prefix, data, constant = _decode(text)
    if not data:
        raise AddressError("no witness version")
    version, program = data[0], bytes(_regroup(data[1:], 5, 8, pad=False))
    _check_program(version, program)
    # Attack: Bech32's checksum does not notice q inserted before a final p; later versions must not use it.
    if constant != (_BECH32 if version == 0 else _BECH32M):
        raise AddressError(f"the checksum is not of the kind that witness version {version} uses")
    return prefix, version, program


def decode(text: str) -> tuple[str, list[int], bool]:
    """Prefix, five-bit values and whether it is Bech32m, of any Bech32 text; AddressError when it is none."""
    prefix, data, constant = _decode(text)
    return prefix, data, constant == _BECH32M


def _decode(text: str) -> tuple[str, list[int], int]:
    if len(text) > _MAX_CHARACTERS:
        raise AddressError("too long for Bech32")
    if not all(33 <= ord(character) <= 126 for character in text):
        raise AddressError("a character is not printable ASCII")
    if text.lower() != text and text.upper() != text:
        raise AddressError("upper and lower case are mixed")
    prefix, _, rest = text.lower().rpartition("1")
    if not prefix or len(rest) < _CHECKSUM_CHARACTERS:
        raise AddressError("the prefix or the checksum is missing")
    if not set(rest) <= _VALUES.keys():
        raise AddressError("a character is not of Bech32")
    values = [_VALUES[character] for character in rest]
    constant = _polymod([*_expand(prefix), *values])
    if constant not in (_BECH32, _BECH32M):
        raise AddressError("the checksum is wrong")
    return prefix, values[:-_CHECKSUM_CHARACTERS], constant


def _check_program(version: int, program: bytes) -> None:
    if not 0 <= version <= 16:
        raise AddressError(f"witness version {version} does not exist")
    if not 2 <= len(program) <= 40 or (version == 0 and len(program) not in (20, 32)):
        raise AddressError(f"a witness program of version {version} has not {len(program)} bytes")


def _expand(prefix: str) -> list[int]:
    return [*(ord(character) >> 5 for character in prefix), 0, *(ord(character) & 31 for character in prefix)]


def _polymod(values: Iterable[int]) -> int:
    """The remainder of the BCH code that both checksums are made of."""
    remainder = 1
    for value in values:
        top = remainder >> 25
        remainder = (remainder & 0x1FFFFFF) << 5 ^ value
        for at, generator in enumerate(_GENERATORS):
            if top >> at & 1:
                remainder ^= generator
    return remainder


def _regroup(values: Iterable[int], from_bits: int, to_bits: int, *, pad: bool) -> list[int]:
    """Regroup bits, most significant first; without `pad` the rest is zero and under `from_bits` bits."""
    accumulator, bits, groups = 0, 0, []
    for value in values:
        accumulator = accumulator << from_bits | value
        bits += from_bits
        while bits >= to_bits:
            bits -= to_bits
            groups.append(accumulator >> bits & ((1 << to_bits) - 1))
        accumulator &= (1 << bits) - 1
    if pad and bits:
        groups.append(accumulator << (to_bits - bits))
    elif not pad and (bits >= from_bits or accumulator):
        raise AddressError("the padding is not zero or too long")
    return groups
