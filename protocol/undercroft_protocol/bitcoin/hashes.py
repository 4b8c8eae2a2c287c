"""The hash functions of Bitcoin."""

from __future__ import annotations

import hashlib
import struct

_MASK = 0xFFFFFFFF
_RIPEMD160_OF_NOTHING = "9c1185a5c5e9fc54612808977ee8f548b2258d31"

# RIPEMD-160 (Dobbertin, Bosselaers, Preneel 1996), appendix A: per step the message word and the rotation,
# and per round the constant, for the left and for the right line.
_LEFT_WORDS = (
    *(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    *(7, 4, 13, 1, 10, 6, 15, 3, 12, 0, 9, 5, 2, 14, 11, 8),
    *(3, 10, 14, 4, 9, 15, 8, 1, 2, 7, 0, 6, 13, 11, 5, 12),
    *(1, 9, 11, 10, 0, 8, 12, 4, 13, 3, 7, 15, 14, 5, 6, 2),
    *(4, 0, 5, 9, 7, 12, 2, 10, 14, 1, 3, 8, 11, 6, 15, 13),
)
_RIGHT_WORDS = (
    *(5, 14, 7, 0, 9, 2, 11, 4, 13, 6, 15, 8, 1, 10, 3, 12),
    *(6, 11, 3, 7, 0, 13, 5, 10, 14, 15, 8, 12, 4, 9, 1, 2),
    *(15, 5, 1, 3, 7, 14, 6, 9, 11, 8, 12, 2, 10, 0, 4, 13),
    *(8, 6, 4, 1, 3, 11, 15, 0, 5, 12, 2, 13, 9, 7, 10, 14),
    *(12, 15, 10, 4, 1, 5, 8, 7, 6, 2, 13, 14, 0, 3, 9, 11),
)
_LEFT_ROTATIONS = (
    *(11, 14, 15, 12, 5, 8, 7, 9, 11, 13, 14, 15, 6, 7, 9, 8),
    *(7, 6, 8, 13, 11, 9, 7, 15, 7, 12, 15, 9, 11, 7, 13, 12),
    *(11, 13, 6, 7, 14, 9, 13, 15, 14, 8, 13, 6, 5, 12, 7, 5),
    *(11, 12, 14, 15, 14, 15, 9, 8, 9, 14, 5, 6, 8, 6, 5, 12),
    *(9, 15, 5, 11, 6, 8, 13, 12, 5, 12, 13, 14, 11, 8, 5, 6),
)
_RIGHT_ROTATIONS = (
    *(8, 9, 9, 11, 13, 15, 15, 5, 7, 7, 8, 11, 14, 14, 12, 6),
    *(9, 13, 15, 7, 12, 8, 9, 11, 7, 7, 12, 7, 6, 15, 13, 11),
    *(9, 7, 15, 11, 8, 6, 6, 14, 12, 13, 5, 14, 13, 13, 7, 5),
    *(15, 5, 8, 11, 14, 14, 6, 14, 6, 9, 12, 9, 12, 5, 15, 8),
    *(8, 5, 12, 9, 12, 5, 14, 6, 8, 13, 6, 5, 15, 13, 11, 11),
)
_LEFT_CONSTANTS = (0x00000000, 0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xA953FD4E)
_RIGHT_CONSTANTS = (0x50A28BE6, 0x5C4DD124, 0x6D703EF3, 0x7A6D76E9, 0x00000000)

_Steps = tuple[tuple[int, int, int, int], ...]
_State = tuple[int, int, int, int, int]

# Each step as (function, message word, rotation, constant).
_LEFT: _Steps = tuple(
    (step // 16, _LEFT_WORDS[step], _LEFT_ROTATIONS[step], _LEFT_CONSTANTS[step // 16]) for step in range(80)
)
_RIGHT: _Steps = tuple(
    (4 - step // 16, _RIGHT_WORDS[step], _RIGHT_ROTATIONS[step], _RIGHT_CONSTANTS[step // 16]) for step in range(80)
)
_START: _State = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)


def sha256(data: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return hashlib.sha256(data).digest()


def double_sha256(data: bytes) -> bytes:
    """SHA-256 of the SHA-256, 32 bytes; the hash of transactions and checksums."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def hash160(data: bytes) -> bytes:
    """RIPEMD-160 of the SHA-256, 20 bytes; the hash of keys."""
    return ripemd160(sha256(data))


def tagged_hash(tag: str, data: bytes) -> bytes:
    """The tagged hash of BIP 340, 32 bytes."""
    prefix = sha256(tag.encode())
    return sha256(prefix + prefix + data)


def ripemd160(data: bytes) -> bytes:
    """RIPEMD-160, 20 bytes."""
    return hashlib.new("ripemd160", data).digest() if _OPENSSL_HAS_RIPEMD160 else ripemd160_written_out(data)


def _openssl_has_ripemd160() -> bool:
    try:
        return hashlib.new("ripemd160", b"").hexdigest() == _RIPEMD160_OF_NOTHING
    except ValueError:
        return False


_OPENSSL_HAS_RIPEMD160 = _openssl_has_ripemd160()


def ripemd160_written_out(data: bytes) -> bytes:
    """RIPEMD-160, 20 bytes, for machines whose OpenSSL keeps it in a legacy provider that is not loaded; slow."""
    padding = b"\x80" + bytes((55 - len(data)) % 64)
    padded = data + padding + struct.pack("<Q", (8 * len(data)) & 0xFFFFFFFFFFFFFFFF)
    state = _START
    for offset in range(0, len(padded), 64):
        words = struct.unpack_from("<16I", padded, offset)
        left = _run_line(_LEFT, state, words)
        right = _run_line(_RIGHT, state, words)
        state = (
            (state[1] + left[2] + right[3]) & _MASK,
            (state[2] + left[3] + right[4]) & _MASK,
            (state[3] + left[4] + right[0]) & _MASK,
            (state[4] + left[0] + right[1]) & _MASK,
            (state[0] + left[1] + right[2]) & _MASK,
        )
    return struct.pack("<5I", *state)


def _run_line(steps: _Steps, state: _State, words: tuple[int, ...]) -> _State:
    """Run the 80 steps of one line over one block."""
    a, b, c, d, e = state
    for function, word, rotation, constant in steps:
        mixed = (a + _mix(function, b, c, d) + words[word] + constant) & _MASK
        a, b, c, d, e = e, (_rotate(mixed, rotation) + e) & _MASK, b, _rotate(c, 10), d
    return a, b, c, d, e


def _mix(function: int, x: int, y: int, z: int) -> int:
    if function == 0:
        return x ^ y ^ z
    if function == 1:
        return (x & y) | (~x & z)
    if function == 2:
        return (x | ~y) ^ z
    if function == 3:
        return (x & z) | (y & ~z)
    return x ^ (y | ~z)


def _rotate(value: int, count: int) -> int:
    return ((value << count) | (value >> (32 - count))) & _MASK
