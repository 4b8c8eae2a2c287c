"""Every secret that a process which made, opened and used a key had in its hands, computed a second time.

From the passphrase and an envelope down to the nonces of single signatures. Here, unlike in the keeper, they are
plain Python objects: this is for scans with test keys only, in a process that is not scanned itself.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from coincurve import PrivateKey
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt
from nacl.exceptions import CryptoError

from undercroft_appliance.errors import WrongPassphraseError
from undercroft_protocol.bitcoin.hashes import hash160
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.signature import CURVE_ORDER, parse_der
from undercroft_protocol.messages import Envelope

from .argon2_traces import argon2_traces
from .secret_forms import EXTENDED_KEY, Secret, base58check, bip39_words

IDENTITY: Final = "identity key"
LOG: Final = "log key"
KEPT: Final = frozenset({IDENTITY, LOG, "branch 0", "branch 1"})
"""The names of the secrets that an unlocked appliance keeps, in its guarded pages."""
_HMAC_DOMAINS: Final = {IDENTITY: b"undercroft/1/identity", LOG: b"undercroft/1/log"}
"""What the appliance derives from the seed beside Bitcoin keys: HMAC-SHA512 with these as keys."""
_HARDENED: Final = 0x8000_0000
_KEY_BYTES: Final = 32
_XPRV_PREFIXES: Final = ("0488ade4", "04358394", "02aa7a99", "02575048")
"""xprv and tprv (BIP 32), Zprv and Vprv (SLIP 132)."""
_PADS: Final = {"inner": 0x36, "outer": 0x5C}
_XCHACHA_CONSTANTS: Final = b"expand 32-byte k"


@dataclass(frozen=True, slots=True)
class Signed:
    """One input that was signed: its key's branch and index, the 32-byte digest, the DER signature."""

    branch: int
    index: int
    digest: bytes
    der: bytes


@dataclass(frozen=True, slots=True, repr=False)
class _Node:
    key: bytes
    chain_code: bytes
    depth: int = 0
    parent: bytes | None = None
    """The public key above; the master has none."""
    number: int = 0

    @property
    def public_key(self) -> bytes:
        return bytes(PrivateKey(self.key).public_key.format())

    def digest(self, number: int) -> bytes:
        """BIP 32's I of this child: 32 bytes to add, 32 bytes of chain code."""
        data = b"\0" + self.key if number & _HARDENED else self.public_key
        return hmac.digest(self.chain_code, data + number.to_bytes(4, "big"), "sha512")

    def child(self, number: int) -> _Node:
        digest = self.digest(number)
        key = bytes(PrivateKey(self.key).add(digest[:_KEY_BYTES]).secret)
        return _Node(key, digest[_KEY_BYTES:], self.depth + 1, self.public_key, number)

    def secret(self, name: str) -> Secret:
        """The key, with the texts that people write an extended key in."""
        fingerprint = bytes(4) if self.parent is None else hash160(self.parent)[:4]
        payload = fingerprint + self.number.to_bytes(4, "big") + self.chain_code + b"\0" + self.key
        texts = (base58check(bytes.fromhex(one) + bytes([self.depth]) + payload) for one in _XPRV_PREFIXES)
        return Secret(name, self.key, tuple((EXTENDED_KEY, text) for text in texts))


class KeySecrets:
    """The secrets behind an envelope. Raises WrongPassphraseError."""

    def __init__(self, envelope: Envelope, passphrase: str, network: Network) -> None:
        self._passphrase = passphrase
        self._network = network
        self._seed = self._opened(envelope)
        node = self._master()
        for number in self._path():
            node = node.child(number)
        self._branches = (node.child(0), node.child(1))

    def everything(self, envelopes: Iterable[Envelope]) -> tuple[Secret, ...]:
        """All of them, but for single inputs; `envelopes` are those in which this seed was sealed."""
        seals = (secret for number, one in enumerate(envelopes) for secret in self._of_seal(number, one))
        return (Secret.of_text("passphrase", self._passphrase), *self._of_seed(), *self._of_account(), *seals)

    def of_input(self, signed: Signed, *, brief: bool) -> tuple[Secret, ...]:
        """The key and the nonce of one signature; also negated and inverted, as computing with it leaves them."""
        key = self._branches[signed.branch].child(signed.index).key
        nonce = _nonce(signed, key)
        numbers = {
            "key": int.from_bytes(key, "big"),
            "nonce": nonce,
            "negated nonce": CURVE_ORDER - nonce,
            "inverse nonce": pow(nonce, -1, CURVE_ORDER),
            "negated inverse nonce": CURVE_ORDER - pow(nonce, -1, CURVE_ORDER),
        }
        where = f"of input {signed.branch}/{signed.index}"
        return tuple(
            Secret(f"{name} {where}", number.to_bytes(_KEY_BYTES, "big"), brief=brief)
            for name, number in numbers.items()
        )

    def _opened(self, envelope: Envelope) -> bytes:
        key = argon2_traces(envelope, self._passphrase.encode()).key
        try:
            return bytes(
                crypto_aead_xchacha20poly1305_ietf_decrypt(
                    envelope.ciphertext, envelope.associated_data(), envelope.nonce, key
                )
            )
        except CryptoError:
            raise WrongPassphraseError from None

    def _of_seal(self, number: int, envelope: Envelope) -> Iterator[Secret]:
        traces = argon2_traces(envelope, self._passphrase.encode())
        yield Secret(f"sealing key {number}", traces.key)
        yield Secret(f"Argon2's first digest {number}", traces.first_digest)
        yield Secret(f"Argon2's first block {number}", traces.first_block, brief=True)
        yield Secret(f"Argon2's last block {number}", traces.last_block, brief=True)
        yield Secret(f"XChaCha20's subkey {number}", hchacha20(traces.key, envelope.nonce[:16]))

    def _of_seed(self) -> Iterator[Secret]:
        yield Secret("seed", self._seed)
        if words := bip39_words(self._seed):
            yield Secret("PBKDF2 of the seed's words", hashlib.pbkdf2_hmac("sha512", words.encode(), b"mnemonic", 2048))
        for name, domain in _HMAC_DOMAINS.items():
            digest = hmac.digest(domain, self._seed, "sha512")
            yield Secret(name, digest[:_KEY_BYTES])
            yield Secret(f"rest of the {name}'s digest", digest[_KEY_BYTES:])
        identity = hmac.digest(_HMAC_DOMAINS[IDENTITY], self._seed, "sha512")[:_KEY_BYTES]
        expanded = hashlib.sha512(identity).digest()
        clamped = bytes([expanded[0] & 248]) + expanded[1:31] + bytes([expanded[31] & 63 | 64])
        yield Secret("expanded identity, scalar", clamped)
        yield Secret("expanded identity, prefix", expanded[32:])

    def _of_account(self) -> Iterator[Secret]:
        node = self._master()
        for number in self._path():
            yield node.secret(f"key at depth {node.depth}")
            # An account's chain code is public: it stands in its xpub. Those above are not.
            yield Secret(f"chain code at depth {node.depth}", node.chain_code)
            for name, pad in _PADS.items():
                padded = bytes(byte ^ pad for byte in node.chain_code)
                yield Secret(f"chain code at depth {node.depth}, HMAC's {name} key", padded, brief=True)
            yield Secret(f"tweak to depth {node.depth + 1}", node.digest(number)[:_KEY_BYTES])
            node = node.child(number)
        yield node.secret("account key")
        for number, branch in enumerate(self._branches):
            yield branch.secret(f"branch {number}")

    def _master(self) -> _Node:
        digest = hmac.digest(b"Bitcoin seed", self._seed, "sha512")
        return _Node(digest[:_KEY_BYTES], digest[_KEY_BYTES:])

    def _path(self) -> tuple[int, ...]:
        return tuple(number | _HARDENED for number in (48, self._network.coin_type, 0, 2))


def _nonce(signed: Signed, key: bytes) -> int:
    """k = (z + r d) / s, or its negative: a signature's s is the lower of the two."""
    r, s = parse_der(signed.der)
    z, d = int.from_bytes(signed.digest, "big"), int.from_bytes(key, "big")
    return (z + r * d) * pow(s, -1, CURVE_ORDER) % CURVE_ORDER


def hchacha20(key: bytes, nonce: bytes) -> bytes:
    """The key that XChaCha20 makes for one nonce (draft-irtf-cfrg-xchacha-03): it alone opens the envelope."""
    state = [int.from_bytes(part[at : at + 4], "little") for part in (_XCHACHA_CONSTANTS, key, nonce)
             for at in range(0, len(part), 4)]  # fmt: skip
    for _ in range(10):
        for a, b, c, d in (
            (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
            (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
        ):  # fmt: skip
            _quarter_round(state, a, b, c, d)
    return b"".join(word.to_bytes(4, "little") for word in (*state[:4], *state[12:]))


def _quarter_round(state: list[int], a: int, b: int, c: int, d: int) -> None:
    for x, y, z, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[x] = state[x] + state[y] & 0xFFFFFFFF
        mixed = state[z] ^ state[x]
        state[z] = (mixed << bits | mixed >> 32 - bits) & 0xFFFFFFFF
