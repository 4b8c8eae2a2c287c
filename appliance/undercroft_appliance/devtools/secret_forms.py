"""All the forms in which a secret may lie in memory, as bytes to look for.

A form is found when any part of it of 16 bytes (of a text: 16 characters, 32 of words and xprvs) is there, wherever
it begins; so the forms below need no variant for a secret that is cut in two or lies inside something longer.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from undercroft_appliance.errors import ConfigurationError

PART_BYTES: Final = 16
"""The shortest part of a secret that counts as a copy of it."""
_WORDS_PART: Final = 32
"""Two words and a half, 16 characters, also stand side by side by chance."""
EXTENDED_KEY: Final = "base58 (xprv)"
_EXTENDED_KEY_PART: Final = 32
"""Of an xprv the first 16 characters are the same for all keys of one depth."""
_NUMBER_BYTES: Final = 32
_TEXT: Final = "text"
_WIF_PREFIXES: Final = {"mainnet": b"\x80", "testnet": b"\xef"}
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_WORD_BITS: Final = 11
_LIMB_BYTES: Final = 8
_WIDE: Final = (("UTF-16", "utf-16-le", 2), ("UTF-32", "utf-32-le", 4))


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret that the scan knows (at least 16 bytes), under the name that its report says.

    `written` are texts that hold it (name of the form, text), such as an xprv. A `brief` one is looked for as it is
    and reversed only: for the keys and nonces of a thousand inputs.
    """

    name: str
    data: bytes
    written: tuple[tuple[str, str], ...] = ()
    brief: bool = False

    def __post_init__(self) -> None:
        if len(self.data) < PART_BYTES:
            raise ConfigurationError(f"{self.name}: a secret of under {PART_BYTES} bytes is also found by chance")

    @classmethod
    def of_text(cls, name: str, text: str) -> Secret:
        """A secret that people type, such as a passphrase. Raises ConfigurationError (under 16 bytes)."""
        return cls(name, text.encode(), ((_TEXT, text),))

    @property
    def is_text(self) -> bool:
        """People chose it: its words may stand elsewhere, too."""
        return any(form == _TEXT for form, _ in self.written)

    def __repr__(self) -> str:
        return f"Secret({self.name}, {len(self.data)} bytes)"


@dataclass(frozen=True, slots=True, repr=False)
class Form:
    """One form of one secret: what to look for, and how long a part must be to count as a copy."""

    secret: str
    name: str
    data: bytes
    least: int = PART_BYTES
    by_words: bool = False
    """Random enough that even one machine word of it (8 bytes) is not found by chance."""

    def __repr__(self) -> str:
        return f"Form({self.name} of {self.secret}, {len(self.data)} bytes)"


def words_missing() -> str | None:
    """Why the words of BIP 39 are not looked for; None if they are."""
    return None if _word_list() else "words (BIP 39): no installed package has the word list"


def forms_of(secret: Secret) -> tuple[Form, ...]:
    """Every form of a secret, each bytes once."""
    found: dict[bytes, Form] = {}
    for form in _forms(secret):
        found.setdefault(form.data, form)
    return tuple(found.values())


def _forms(secret: Secret) -> Iterator[Form]:
    by_words = not secret.is_text
    yield Form(secret.name, "raw", secret.data, by_words=by_words)
    yield Form(secret.name, "reversed", secret.data[::-1], by_words=by_words)
    if secret.brief:
        return
    if len(secret.data) % _LIMB_BYTES == 0:
        for name, make in _NUMBERS.items():
            yield Form(secret.name, name, make(secret.data), by_words=by_words)
    for name, text, least in _texts(secret):
        yield Form(secret.name, name, text.encode(), least)
        for wide, encoding, width in _WIDE:
            yield Form(secret.name, f"{name}, {wide}", text.encode(encoding), least * width)


def _texts(secret: Secret) -> Iterator[tuple[str, str, int]]:
    data = secret.data
    for name, text in secret.written:
        yield name, text, min(len(text), _EXTENDED_KEY_PART if name == EXTENDED_KEY else PART_BYTES)
    yield "hex", data.hex(), PART_BYTES
    yield "hex, upper case", data.hex().upper(), PART_BYTES
    # Inside something longer a secret's base64 depends on where it begins, by thirds.
    for skipped in range(3):
        kept = data[skipped:]
        kept = kept[: len(kept) - len(kept) % 3]
        yield "base64", base64.b64encode(kept).decode(), PART_BYTES
        yield "base64 (URL)", base64.urlsafe_b64encode(kept).decode(), PART_BYTES
    if len(data) != _NUMBER_BYTES:
        return
    yield "decimal", str(int.from_bytes(data, "big")), PART_BYTES
    for network, prefix in _WIF_PREFIXES.items():
        yield f"base58 (WIF, {network})", base58check(prefix + data + b"\x01"), PART_BYTES
    if words := bip39_words(data):
        yield "words", words, _WORDS_PART


def _limbs(data: bytes, bits: int) -> bytes:
    """A number in limbs of so many bits, in 64-bit words, lowest first, as libsecp256k1 computes."""
    number = int.from_bytes(data, "big")
    count = -(-len(data) * 8 // bits)
    limbs = ((number >> bits * at & (1 << bits) - 1).to_bytes(_LIMB_BYTES, "little") for at in range(count))
    # The highest limb has zeros at its end, as every small number has in memory.
    return b"".join(limbs).rstrip(b"\0")


def _python_int(data: bytes) -> bytes:
    """The digits of CPython's int of this number, lowest first."""
    bits, size = sys.int_info.bits_per_digit, sys.int_info.sizeof_digit
    number = int.from_bytes(data, "big")
    count = -(-number.bit_length() // bits)
    return b"".join((number >> bits * at & (1 << bits) - 1).to_bytes(size, sys.byteorder) for at in range(count))


def _words_swapped(width: int) -> Callable[[bytes], bytes]:
    """As SHA-256 (32-bit words) and SHA-512 (64-bit) hold what they read."""
    return lambda data: b"".join(data[at : at + width][::-1] for at in range(0, len(data), width))


_NUMBERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "32-bit words": _words_swapped(4),
    "64-bit words": _words_swapped(_LIMB_BYTES),
    "limbs of 52 bits": lambda data: _limbs(data, 52),
    "limbs of 62 bits": lambda data: _limbs(data, 62),
    "Python int": _python_int,
    "Python int, little-endian": lambda data: _python_int(data[::-1]),
}


def base58check(payload: bytes) -> str:
    """Base58 with its checksum, as Bitcoin writes private keys."""
    data = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, len(_BASE58))
        text = _BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def bip39_words(entropy: bytes) -> str | None:
    """The mnemonic of 16 to 32 bytes of entropy (BIP 39, English), None without a word list."""
    words = _word_list()
    if words is None:
        return None
    checksum_bits = len(entropy) * 8 // 32
    checksum = hashlib.sha256(entropy).digest()[0] >> 8 - checksum_bits
    bits = int.from_bytes(entropy, "big") << checksum_bits | checksum
    count = (len(entropy) * 8 + checksum_bits) // _WORD_BITS
    return " ".join(words[bits >> _WORD_BITS * at & (1 << _WORD_BITS) - 1] for at in reversed(range(count)))


def _word_list() -> Sequence[str] | None:
    try:
        words: Sequence[str] = importlib.import_module("embit.wordlists.bip39").WORDLIST
    except ImportError:
        return None
    return words
