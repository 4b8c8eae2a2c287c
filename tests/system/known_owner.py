"""An owner whose seed is known to the test: made by other people's code, so that it can give a second opinion.

Everything that an appliance does at a declaration is done again here with embit, PyNaCl and hmac from the standard
library: if a real appliance then opens the envelope, both sides agree on every step from seed to identity.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from dataclasses import dataclass

from embit import bip32
from embit.networks import NETWORKS
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt
from nacl.pwhash import argon2id
from nacl.signing import SigningKey

from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import Declaration, Envelope, possession_digest, sign_statement

ACCOUNT = "m/48h/1h/0h/2h"
OPSLIMIT = 1
MEMORY_KIB = 1024


@dataclass(frozen=True, slots=True)
class KnownOwner:
    """``seed_byte`` thirty-two times is the seed: obviously a test's."""

    name: str
    site: str
    region: str
    passphrase: str
    seed_byte: int

    @property
    def seed(self) -> bytes:
        return bytes([self.seed_byte]) * 32

    @property
    def root(self) -> bip32.HDKey:
        return bip32.HDKey.from_seed(self.seed, version=NETWORKS["regtest"]["xprv"])

    @property
    def account(self) -> bip32.HDKey:
        return self.root.derive(ACCOUNT)

    @property
    def xpub(self) -> bytes:
        return ExtendedPublicKey.parse(self.account.to_public().to_base58(), Network.REGTEST).serialize()

    @property
    def identity(self) -> SigningKey:
        return SigningKey(hmac.new(b"undercroft/1/identity", self.seed, hashlib.sha512).digest()[:32])

    def draft(self) -> Envelope:
        """The seed, sealed under the passphrase and bound to no quorum yet."""
        salt, nonce = bytes([self.seed_byte]) * 16, bytes([self.seed_byte]) * 24
        blank = Envelope(
            version=1,
            opslimit=OPSLIMIT,
            memory_kib=MEMORY_KIB,
            salt=salt,
            nonce=nonce,
            quorum_id=None,
            fingerprint=self.root.my_fingerprint,
            xpub=self.xpub,
            identity=bytes(self.identity.verify_key),
            ciphertext=bytes(48),
        )
        key = argon2id.kdf(32, self.passphrase.encode(), salt, OPSLIMIT, MEMORY_KIB * 1024)
        sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(self.seed, blank.associated_data(), nonce, key)
        return dataclasses.replace(blank, ciphertext=sealed)

    def declaration(self) -> bytes:
        """The signed declaration, as an appliance would send it."""
        identity = bytes(self.identity.verify_key)
        digest = possession_digest(identity, self.xpub)
        stated = Declaration(
            self.name,
            self.site,
            self.region,
            "regtest",
            self.root.my_fingerprint,
            self.xpub,
            identity,
            self.account.key.sign(digest).serialize(),
            self.draft(),
        )
        return sign_statement(stated, identity, lambda data: bytes(self.identity.sign(data).signature))
