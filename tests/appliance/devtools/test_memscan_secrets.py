"""The secrets that a scan looks for are those that there are: a second opinion by embit, PyNaCl and the standards."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
from coincurve import PrivateKey
from embit import bip39
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt, crypto_pwhash_alg, crypto_pwhash_ALG_ARGON2ID13
from nacl.bindings import crypto_core_ed25519_SCALARBYTES as SCALAR_BYTES
from nacl.bindings import crypto_scalarmult_ed25519_base_noclamp as ed25519_point

from appliance.devtools.memscan_support import KEY
from appliance.secrets.secrets_support import core_signature
from system.known_owner import KnownOwner
from undercroft_appliance.devtools.argon2_traces import argon2_traces
from undercroft_appliance.devtools.key_secrets import IDENTITY, KEPT, KeySecrets, Signed, hchacha20
from undercroft_appliance.devtools.secret_forms import EXTENDED_KEY
from undercroft_appliance.errors import WrongPassphraseError
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.signature import CURVE_ORDER, parse_der

OWNER = KnownOwner("ada", "here", "europe", "a passphrase of this test", 0xA7)
DRAFT = OWNER.draft()
BEHIND = KeySecrets(DRAFT, OWNER.passphrase, Network.REGTEST)
SECRETS = {secret.name: secret for secret in BEHIND.everything([DRAFT])}
DIGEST = hashlib.sha256(b"a digest").digest()


def test_every_key_on_the_way_down_is_embits() -> None:
    node = OWNER.root
    for depth, step in enumerate(("48h", "1h", "0h", "2h")):
        assert SECRETS[f"key at depth {depth}"].data == node.key.secret
        assert SECRETS[f"chain code at depth {depth}"].data == node.chain_code
        child = node.derive(f"m/{step}")
        tweak = int.from_bytes(SECRETS[f"tweak to depth {depth + 1}"].data, "big")
        added = (int.from_bytes(node.key.secret, "big") + tweak) % CURVE_ORDER
        assert added == int.from_bytes(child.key.secret, "big")
        node = child
    assert SECRETS["account key"].data == OWNER.account.key.secret
    for branch in (0, 1):
        assert SECRETS[f"branch {branch}"].data == OWNER.account.derive([branch]).key.secret


@pytest.mark.parametrize(("name", "path"), [("key at depth 0", "m"), ("account key", "m/48h/1h/0h/2h")])
def test_keys_are_written_as_embit_writes_them(name: str, path: str) -> None:
    written = [text for form, text in SECRETS[name].written if form == EXTENDED_KEY]
    assert OWNER.root.derive(path).to_base58() in written


def test_what_comes_from_the_seed_beside_bitcoin_keys_is_pynacls() -> None:
    assert SECRETS["seed"].data == OWNER.seed
    assert SECRETS[IDENTITY].data == OWNER.identity.encode()
    scalar = int.from_bytes(SECRETS["expanded identity, scalar"].data, "little")
    order = 2**252 + 27742317777372353535851937790883648493
    assert ed25519_point((scalar % order).to_bytes(SCALAR_BYTES, "little")) == bytes(OWNER.identity.verify_key)
    words = bip39.mnemonic_from_bytes(OWNER.seed)
    assert SECRETS["PBKDF2 of the seed's words"].data == bip39.mnemonic_to_seed(words)
    assert set(SECRETS) >= KEPT


def test_the_sealing_key_is_pynacls_and_opens_the_envelope() -> None:
    cost = (DRAFT.opslimit, DRAFT.memory_kib * 1024)
    key = crypto_pwhash_alg(32, OWNER.passphrase.encode(), DRAFT.salt, *cost, crypto_pwhash_ALG_ARGON2ID13)
    assert SECRETS["sealing key 0"].data == key
    opened = crypto_aead_xchacha20poly1305_ietf_decrypt(DRAFT.ciphertext, DRAFT.associated_data(), DRAFT.nonce, key)
    assert opened == OWNER.seed


def test_argon2s_first_digest_and_blocks_are_what_rfc_9106_computes() -> None:
    traces = argon2_traces(DRAFT, OWNER.passphrase.encode())
    # RFC 9106, 3.3: H' of 1024 bytes, whose input for block 0 of lane 0 is H0 and two zeros.
    part = hashlib.blake2b((1024).to_bytes(4, "little") + traces.first_digest + bytes(8)).digest()
    block = part[:32]
    while len(block) < 1024 - 64:
        part = hashlib.blake2b(part).digest()
        block += part[:32]
    assert traces.first_block == block + hashlib.blake2b(part).digest()
    last = hashlib.blake2b((32).to_bytes(4, "little") + traces.last_block, digest_size=32).digest()
    assert last == traces.key


def test_hchacha20_gives_the_known_answer() -> None:
    # draft-irtf-cfrg-xchacha-03, 2.2.1
    subkey = hchacha20(bytes(range(32)), bytes.fromhex("000000090000004a0000000031415927"))
    assert subkey.hex() == "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"


def test_the_nonce_of_a_signature_is_found() -> None:
    key = OWNER.account.derive([1, 7]).key.secret
    der = core_signature(key, DIGEST)
    numbers = {secret.name: secret.data for secret in BEHIND.of_input(Signed(1, 7, DIGEST, der), brief=False)}
    assert numbers["key of input 1/7"] == key
    nonce, negated = numbers["nonce of input 1/7"], numbers["negated nonce of input 1/7"]
    x = PrivateKey(nonce).public_key.format()[1:]
    assert int.from_bytes(x, "big") % CURVE_ORDER == parse_der(der)[0]
    assert PrivateKey(negated).public_key.format()[1:] == x
    inverse = int.from_bytes(numbers["inverse nonce of input 1/7"], "big")
    assert inverse * int.from_bytes(nonce, "big") % CURVE_ORDER == 1


def test_a_wrong_passphrase_or_a_changed_envelope_gives_no_secrets() -> None:
    with pytest.raises(WrongPassphraseError):
        KeySecrets(DRAFT, "another passphrase", Network.REGTEST)
    with pytest.raises(WrongPassphraseError):
        KeySecrets(dataclasses.replace(DRAFT, quorum_id=KEY), OWNER.passphrase, Network.REGTEST)
