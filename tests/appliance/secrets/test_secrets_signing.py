"""Signatures from guarded memory equal those of other code with the same key, byte for byte."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from coincurve import PrivateKey, PublicKey
from embit import ec
from nacl.signing import SigningKey, VerifyKey

from appliance.secrets.secrets_support import core_signature, stored
from undercroft_appliance.errors import SigningError
from undercroft_appliance.keeper.secrets import signing
from undercroft_appliance.keeper.secrets.hmac512 import HmacSha512
from undercroft_appliance.keeper.secrets.memory import GuardedMemory
from undercroft_appliance.keeper.secrets.signing import IdentityKey, InputSigner, sign_digest
from undercroft_protocol.bitcoin.signature import is_low_r

TEST_KEY = hashlib.sha256(b"an obvious test key").digest()
TWEAK = hashlib.sha256(b"a public tweak").digest()
DIGESTS = [hashlib.sha256(f"digest {number}".encode()).digest() for number in range(200)]


def test_ecdsa_signatures_equal_bitcoin_cores_rule_byte_for_byte(memory: GuardedMemory) -> None:
    key = stored(memory, TEST_KEY)
    public_key = PrivateKey(TEST_KEY).public_key.format()
    ground = 0
    for digest in DIGESTS:
        signature = sign_digest(key, digest, public_key)
        assert signature == core_signature(TEST_KEY, digest)
        assert is_low_r(signature)
        ground += signature != PrivateKey(TEST_KEY).sign(digest, hasher=None)
    assert ground > 50


def test_ecdsa_signatures_equal_embits_where_no_grinding_is_needed(memory: GuardedMemory) -> None:
    key = stored(memory, TEST_KEY)
    other = ec.PrivateKey(TEST_KEY)
    plain = [(digest, other.sign(digest, grind=False).serialize()) for digest in DIGESTS]
    low = [(digest, signature) for digest, signature in plain if signature[3] == 32]
    assert low
    for digest, signature in low:
        assert sign_digest(key, digest, other.get_public_key().sec()) == signature


def test_a_child_signs_with_the_tweaked_key_and_leaves_none(memory: GuardedMemory) -> None:
    signer = InputSigner(memory)
    child = PrivateKey(TEST_KEY).add(TWEAK)
    branch = stored(memory, TEST_KEY)
    signatures = signer.sign([(branch.secp, TWEAK, digest) for digest in DIGESTS])
    assert signatures == tuple(core_signature(child.secret, digest) for digest in DIGESTS)
    assert signer._child.read_public() == bytes(32)
    assert branch.read_public() == TEST_KEY


def test_attack_a_signature_that_does_not_verify_never_leaves(memory: GuardedMemory) -> None:
    key = stored(memory, TEST_KEY)
    other = PrivateKey(TWEAK).public_key.format()
    with pytest.raises(SigningError):
        sign_digest(key, DIGESTS[0], other)


def test_attack_a_fault_during_signing_never_leaves(memory: GuardedMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    ecdsa_sign = signing._ecdsa_sign

    def faulty(context: object, signature: object, digest: bytes, *rest: object) -> int:
        return int(ecdsa_sign(context, signature, bytes([digest[0] ^ 1]) + digest[1:], *rest))

    monkeypatch.setattr(signing, "_ecdsa_sign", faulty)
    with pytest.raises(SigningError):
        sign_digest(stored(memory, TEST_KEY), DIGESTS[0], PrivateKey(TEST_KEY).public_key.format())


def test_a_number_that_is_no_key_signs_nothing(memory: GuardedMemory) -> None:
    public_key = PrivateKey(TEST_KEY).public_key.format()
    with pytest.raises(SigningError, match="out of range"):
        sign_digest(memory.take(32), DIGESTS[0], public_key)
    with pytest.raises(SigningError, match="out of range"):
        InputSigner(memory).sign([(stored(memory, TEST_KEY).secp, b"\xff" * 32, DIGESTS[0])])


def test_only_a_whole_digest_is_signed(memory: GuardedMemory) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        sign_digest(stored(memory, TEST_KEY), b"a message", PrivateKey(TEST_KEY).public_key.format())


@pytest.mark.parametrize("size", [0, 1, 32, 1000, 100_000])
def test_identity_signatures_equal_pynacls_byte_for_byte(memory: GuardedMemory, size: int) -> None:
    identity = IdentityKey(memory, HmacSha512(memory))
    public_key = identity.load(stored(memory, TEST_KEY))
    other = SigningKey(hmac.digest(b"undercroft/1/identity", TEST_KEY, "sha512")[:32])
    data = hashlib.shake_256(b"data").digest(size)
    signature = identity.sign(data, public_key)
    assert public_key == other.verify_key.encode()
    assert signature == other.sign(data).signature
    VerifyKey(public_key).verify(data, signature)


def test_attack_a_wiped_or_foreign_identity_signs_nothing(memory: GuardedMemory) -> None:
    identity = IdentityKey(memory, HmacSha512(memory))
    public_key = identity.load(stored(memory, TEST_KEY))
    with pytest.raises(SigningError):
        identity.sign(b"data", SigningKey(TWEAK).verify_key.encode())
    identity.wipe()
    with pytest.raises(SigningError):
        identity.sign(b"data", public_key)


def test_the_signatures_verify_with_coincurve(memory: GuardedMemory) -> None:
    public_key = PrivateKey(TEST_KEY).public_key.format()
    signature = sign_digest(stored(memory, TEST_KEY), DIGESTS[1], public_key)
    assert PublicKey(public_key).verify(signature, DIGESTS[1], hasher=None)
