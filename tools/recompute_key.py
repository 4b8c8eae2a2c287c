#!/usr/bin/env python3
"""Compute again how an appliance made a key that its owner checked, on another machine.

    python3 recompute_key.py --network mainnet --system HEX [--commitment HEX] [--fingerprint HEX] [--xpub TEXT]

The characters that the owner typed are read from standard input, in any number of lines; spaces do not count. Exit
code 0: everything that was given agrees; 1: something does not, so the appliance is not to be used; 2: wrong usage.

Only for a key that the appliance has thrown away: never type what belongs to a key that is in use.

One file of plain Python (3.8 or newer) with no library, so that whoever checks can read all of it. How the key is made:

    commitment = tagged("undercroft/1/seed-commitment", system bytes)
    seed       = tagged("undercroft/1/seed", system bytes + characters)
    tagged(tag, data) = SHA-256(SHA-256(tag) + SHA-256(tag) + data)          (as in BIP 340)
    account    = m/48h/coin/0h/2h of the seed                                (BIP 32, BIP 48)
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import sys
from typing import Any

NETWORKS = {
    "mainnet": (0, "0488b21e"),
    "testnet": (1, "043587cf"),
    "signet": (1, "043587cf"),
    "regtest": (1, "043587cf"),
}
LEAST_TYPED = 50
HARDENED = 0x80000000
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

# secp256k1 (SEC 2): y^2 = x^3 + 7 over the integers modulo FIELD, with the point G of order ORDER.
FIELD = 2**256 - 2**32 - 977
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def main(arguments: list[str] | None = None) -> int:
    """Print what the screen must show; returns the exit code."""
    options = parser().parse_args(arguments)
    typed = "".join(sys.stdin.read().split())
    if len(typed) < LEAST_TYPED or not all("!" <= sign <= "~" for sign in typed):
        print(f"the characters must be at least {LEAST_TYPED} letters, digits or signs", file=sys.stderr)
        return 2
    coin, version = NETWORKS[options.network]
    seed = tagged("undercroft/1/seed", options.system + typed.encode("ascii"))
    fingerprint, xpub = account(seed, coin, bytes.fromhex(version))
    agrees = [
        compared("commitment", tagged("undercroft/1/seed-commitment", options.system).hex(), options.commitment),
        compared("fingerprint", fingerprint.hex(), options.fingerprint),
        compared("account key", xpub, options.xpub),
    ]
    return 0 if all(agrees) else 1


def compared(name: str, computed: str, given: str | None) -> bool:
    """Print one line; returns whether it agrees with what was given, if anything was."""
    agrees = given is None or given == computed
    print(f"{name:12} {computed}{'' if given is None else '  agrees' if agrees else '  DIFFERS from ' + given}")
    return agrees


def tagged(tag: str, data: bytes) -> bytes:
    """The tagged hash of BIP 340."""
    prefix = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(prefix + prefix + data).digest()


def account(seed: bytes, coin: int, version: bytes) -> tuple[bytes, str]:
    """The master's fingerprint and the account's extended public key, from the seed."""
    digest = hmac.new(b"Bitcoin seed", seed, hashlib.sha512).digest()
    key, chain_code = int.from_bytes(digest[:32], "big"), digest[32:]
    fingerprint = parent = hash160(public_key(key))[:4]
    for index in (48, coin, 0, 2):
        parent = hash160(public_key(key))[:4]
        data = b"\0" + key.to_bytes(32, "big") + (index + HARDENED).to_bytes(4, "big")
        digest = hmac.new(chain_code, data, hashlib.sha512).digest()
        key, chain_code = (int.from_bytes(digest[:32], "big") + key) % ORDER, digest[32:]
    number = (2 + HARDENED).to_bytes(4, "big")
    return fingerprint, base58_check(version + b"\4" + parent + number + chain_code + public_key(key))


def public_key(key: int) -> bytes:
    """The compressed public key (33 bytes): `key` times G, by doubling and adding."""
    total = G
    for bit in bin(key)[3:]:
        total = added(total, total)
        if bit == "1":
            total = added(total, G)
    return bytes([2 + total[1] % 2]) + total[0].to_bytes(32, "big")


def added(left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    """The sum of two points that are not each other's negative."""
    if left == right:
        slope = 3 * left[0] * left[0] * pow(2 * left[1], -1, FIELD)
    else:
        slope = (right[1] - left[1]) * pow(right[0] - left[0], -1, FIELD)
    x = (slope * slope - left[0] - right[0]) % FIELD
    return x, (slope * (left[0] - x) - left[1]) % FIELD


def base58_check(data: bytes) -> str:
    """Base58 with a checksum, for data that does not begin with a zero byte."""
    data += hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return text


def hash160(data: bytes) -> bytes:
    """RIPEMD-160 of SHA-256."""
    return ripemd160(hashlib.sha256(data).digest())


# RIPEMD-160 is written out, since many builds of Python lack it. For the left and the right line: the order of the
# words in each round is made from the one before, the rotations belong to the words' places.
STEP = (7, 4, 13, 1, 10, 6, 15, 3, 12, 0, 9, 5, 2, 14, 11, 8)
ROTATIONS = (
    (11, 14, 15, 12, 5, 8, 7, 9, 11, 13, 14, 15, 6, 7, 9, 8),
    (12, 13, 11, 15, 6, 9, 9, 7, 12, 15, 11, 13, 7, 8, 7, 7),
    (13, 15, 14, 11, 7, 7, 6, 8, 13, 14, 13, 12, 5, 5, 6, 9),
    (14, 11, 12, 14, 8, 6, 5, 5, 15, 12, 15, 14, 9, 9, 8, 6),
    (15, 12, 13, 13, 9, 5, 8, 6, 14, 11, 12, 11, 8, 6, 5, 5),
)
LEFT = (0x00000000, 0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xA953FD4E)
RIGHT = (0x50A28BE6, 0x5C4DD124, 0x6D703EF3, 0x7A6D76E9, 0x00000000)


def ripemd160(data: bytes) -> bytes:
    """RIPEMD-160 of at most 55 bytes: one block."""
    block = data + b"\x80" + bytes(55 - len(data)) + (8 * len(data)).to_bytes(8, "little")
    words = [int.from_bytes(block[at : at + 4], "little") for at in range(0, 64, 4)]
    start = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0]
    left = line(start, words, list(range(16)), LEFT, (0, 1, 2, 3, 4))
    right = line(start, words, [(9 * at + 5) % 16 for at in range(16)], RIGHT, (4, 3, 2, 1, 0))
    result = [(start[(at + 1) % 5] + left[(at + 2) % 5] + right[(at + 3) % 5]) % 2**32 for at in range(5)]
    return b"".join(word.to_bytes(4, "little") for word in result)


def line(start: list[int], words: list[int], order: list[int], constants: tuple[int, ...], kinds: Any) -> list[int]:
    """The eighty steps of one line."""
    a, b, c, d, e = start
    for turn in range(5):
        for place in order:
            chosen = (b ^ c ^ d, b & c | ~b & d, (b | ~c) ^ d, b & d | c & ~d, b ^ (c | ~d))[kinds[turn]]
            mixed = rotated(a + chosen + words[place] + constants[turn], ROTATIONS[turn][place]) + e
            a, b, c, d, e = e, mixed % 2**32, b, rotated(c, 10), d
        order = [STEP[place] for place in order]
    return [a, b, c, d, e]


def rotated(value: int, count: int) -> int:
    """32 bits, rotated to the left."""
    value %= 2**32
    return (value << count | value >> (32 - count)) % 2**32


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description="Compute a checked key again: docs/ceremony-entropy.md.")
    made.add_argument("--network", choices=sorted(NETWORKS), required=True)
    made.add_argument(
        "--system", type=system_bytes, required=True, help="what the screen revealed, in hex, with dashes or not"
    )
    made.add_argument("--commitment", type=digits, help="what the screen showed first")
    made.add_argument("--fingerprint", type=digits, help="the fingerprint on the screen")
    made.add_argument("--xpub", help="the account key on the screen")
    return made


def digits(text: str) -> str:
    """Hex without dashes and spaces."""
    return "".join(text.replace("-", " ").split()).lower()


def system_bytes(text: str) -> bytes:
    """The 32 bytes of the system. Raises ValueError."""
    data = bytes.fromhex(digits(text))
    if len(data) != 32:
        raise ValueError
    return data


if __name__ == "__main__":
    sys.exit(main())
