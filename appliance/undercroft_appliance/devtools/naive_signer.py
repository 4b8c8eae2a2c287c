"""A signer written as most are, with the usual Python objects: what a memory scan must find.

    python -m undercroft_appliance.devtools.naive_signer NETWORK SIGNATURES

makes a key, seals it, opens it, signs, and at last drops every reference and collects garbage. Each stage is a line
of JSON on stdout; a line on stdin lets it go on, the first one being the passphrase.
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import hmac
import json
import os
import sys
from dataclasses import dataclass
from typing import Any, Final

from coincurve import PrivateKey
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_pwhash_alg,
    crypto_pwhash_ALG_ARGON2ID13,
)
from nacl.signing import SigningKey

from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.hashes import hash160
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages.envelope import ENVELOPE_VERSION, Envelope

_HARDENED: Final = 0x8000_0000
_OPSLIMIT: Final = 1
_MEMORY_KIB: Final = 1024


@dataclass(frozen=True)
class _Node:
    key: PrivateKey
    chain_code: bytes
    parent_fingerprint: bytes = bytes(4)

    def child(self, number: int) -> _Node:
        public = self.key.public_key.format()
        data = b"\0" + self.key.secret if number & _HARDENED else public
        digest = hmac.digest(self.chain_code, data + number.to_bytes(4, "big"), "sha512")
        return _Node(self.key.add(digest[:32]), digest[32:], hash160(public)[:4])


def digest_of(number: int) -> bytes:
    """What is signed for input `number`: 32 bytes that mean nothing."""
    return hashlib.sha256(f"undercroft naive signer, input {number}".encode()).digest()


def _account(seed: bytes, network: Network) -> tuple[_Node, _Node]:
    digest = hmac.digest(b"Bitcoin seed", seed, "sha512")
    master = node = _Node(PrivateKey(digest[:32]), digest[32:])
    for number in (48, network.coin_type, 0, 2):
        node = node.child(number | _HARDENED)
    return master, node


def _created(passphrase: str, network: Network) -> Envelope:
    seed, salt, nonce = os.urandom(32), os.urandom(16), os.urandom(24)
    master, account = _account(seed, network)
    xpub = ExtendedPublicKey(
        version=network.xpub_version,
        depth=4,
        parent_fingerprint=account.parent_fingerprint,
        child_number=_HARDENED | 2,
        chain_code=account.chain_code,
        public_key=account.key.public_key.format(),
    )
    identity = SigningKey(hmac.digest(b"undercroft/1/identity", seed, "sha512")[:32])
    blank = Envelope(
        version=ENVELOPE_VERSION,
        opslimit=_OPSLIMIT,
        memory_kib=_MEMORY_KIB,
        salt=salt,
        nonce=nonce,
        quorum_id=None,
        fingerprint=hash160(master.key.public_key.format())[:4],
        xpub=xpub.serialize(),
        identity=bytes(identity.verify_key),
        ciphertext=bytes(48),
    )
    key = _sealing_key(blank, passphrase)
    sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(seed, blank.associated_data(), nonce, key)
    return dataclasses.replace(blank, ciphertext=sealed)


def _sealing_key(envelope: Envelope, passphrase: str) -> bytes:
    cost = (envelope.opslimit, envelope.memory_kib * 1024)
    key: bytes = crypto_pwhash_alg(32, passphrase.encode(), envelope.salt, *cost, crypto_pwhash_ALG_ARGON2ID13)
    return key


def _stage(name: str, **facts: Any) -> str:
    print(json.dumps({"stage": name, **facts}), flush=True)
    return sys.stdin.readline().rstrip("\n")


def main(network: Network, count: int) -> None:
    passphrase = _stage("start")
    envelope = _created(passphrase, network)
    _stage("create", envelope=envelope.to_bytes().hex())
    sealing_key = _sealing_key(envelope, passphrase)
    seed = crypto_aead_xchacha20poly1305_ietf_decrypt(
        envelope.ciphertext, envelope.associated_data(), envelope.nonce, sealing_key
    )
    _, account = _account(seed, network)
    identity = SigningKey(hmac.digest(b"undercroft/1/identity", seed, "sha512")[:32])
    _stage("unlock")
    branches = (account.child(0), account.child(1))
    keys = [branches[number % 2].child(number).key for number in range(count)]
    signatures = [key.sign(digest_of(number), hasher=None).hex() for number, key in enumerate(keys)]
    _stage("sign", signatures=signatures)
    del passphrase, sealing_key, seed, account, identity, branches, keys
    gc.collect()
    _stage("lock")


if __name__ == "__main__":
    main(Network(sys.argv[1]), int(sys.argv[2]))
