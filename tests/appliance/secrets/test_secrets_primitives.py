"""Argon2id, HMAC-SHA512 and BIP 32 on guarded memory give what other code gives."""

from __future__ import annotations

import hashlib
import hmac
import resource

import nacl.bindings
import pytest
from embit import bip32

from appliance.secrets.secrets_support import HARDENED, stored
from undercroft_appliance.errors import KeyDerivationError, MemoryUnavailableError, SelfTestError
from undercroft_appliance.keeper.secrets import argon2id as argon2id_module
from undercroft_appliance.keeper.secrets import selftest
from undercroft_appliance.keeper.secrets.argon2id import Argon2id
from undercroft_appliance.keeper.secrets.hierarchy import Hierarchy, PrivateNode, public_key
from undercroft_appliance.keeper.secrets.hmac512 import HmacSha512
from undercroft_appliance.keeper.secrets.memory import KINDS, GuardedMemory, Slot
from undercroft_appliance.keeper.secrets.native import libc

CURVE_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


@pytest.mark.parametrize(("opslimit", "memory_kib"), [(1, 8), (1, 1024), (3, 64), (4, 4096)])
def test_argon2id_equals_libsodiums(memory: GuardedMemory, opslimit: int, memory_kib: int) -> None:
    out = memory.take(32)
    password = stored(memory, b"an obvious test password")
    Argon2id().derive(password, b"sixteen of salt.", opslimit=opslimit, memory_kib=memory_kib, out=out)
    assert out.read_public() == nacl.bindings.crypto_pwhash_alg(
        32, b"an obvious test password", b"sixteen of salt.", opslimit, memory_kib * 1024, 2
    )


def test_argon2id_leaves_its_working_memory_zeroed(memory: GuardedMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(libc, name)

        def munmap(self, address: int, size: int) -> int:
            left.append(Slot(address, size).read_public().count(0))
            return int(libc.munmap(address, size))

    monkeypatch.setattr(argon2id_module, "libc", Watched())
    Argon2id().derive(stored(memory, b"password"), bytes(16), opslimit=1, memory_kib=256, out=memory.take(32))
    assert left == [256 * 1024]


def test_argon2id_without_enough_memory_says_so(memory: GuardedMemory) -> None:
    password, out = stored(memory, b"password"), memory.take(32)
    _, hard = limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 40, hard))
    try:
        with pytest.raises(MemoryUnavailableError, match="for Argon2id"):
            Argon2id().derive(password, bytes(16), opslimit=1, memory_kib=1 << 31, out=out)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_argon2id_refuses_what_the_standard_does_not_allow(memory: GuardedMemory) -> None:
    with pytest.raises(SelfTestError, match="Argon2id"):
        Argon2id().derive(stored(memory, b"password"), b"short", opslimit=1, memory_kib=64, out=memory.take(32))


@pytest.mark.parametrize("key_size", [1, 12, 32, 127, 128])
@pytest.mark.parametrize("message_size", [1, 32, 37, 128])
def test_hmac_sha512_equals_hashlibs(memory: GuardedMemory, key_size: int, message_size: int) -> None:
    key = hashlib.shake_256(b"key").digest(key_size)
    message = hashlib.shake_256(b"message").digest(message_size)
    mac = HmacSha512(memory)
    out = memory.take(64)
    for given in (key, stored(memory, key)):
        mac.digest(given, stored(memory, message), out)
        assert out.read_public() == hmac.digest(key, message, "sha512")


def test_hmac_sha512_refuses_what_does_not_fit_its_scratch(memory: GuardedMemory) -> None:
    mac = HmacSha512(memory)
    fits, out = memory.take(32), memory.take(64)
    for key, message, target in (
        (bytes(129), fits, out),
        (fits, memory.take(129), out),
        (fits, fits, memory.take(63)),
    ):
        with pytest.raises(ValueError, match="128 bytes"):
            mac.digest(key, message, target)


@pytest.mark.parametrize("number", range(8))
def test_bip32_private_derivation_equals_embits(memory: GuardedMemory, number: int) -> None:
    seed = hashlib.sha256(f"obvious test seed {number}".encode()).digest()
    hierarchy = Hierarchy(memory, HmacSha512(memory))
    node = PrivateNode.take(memory)
    hierarchy.load_master(node, stored(memory, seed))
    other = bip32.HDKey.from_seed(seed)
    for index in (48, number, 0, 0x7FFFFFFF):
        assert node.key.read_public() == other.key.secret
        assert node.chain_code.read_public() == other.chain_code
        assert public_key(node.key) == other.get_public_key().sec()
        hierarchy.harden(node, index)
        other = other.derive([HARDENED | index])
    assert node.key.read_public() == other.key.secret
    node.wipe()
    assert node.key.read_public() + node.chain_code.read_public() == bytes(64)


@pytest.mark.parametrize("index", [-1, HARDENED])
def test_an_index_that_is_no_hardened_child_is_refused(memory: GuardedMemory, index: int) -> None:
    hierarchy = Hierarchy(memory, HmacSha512(memory))
    with pytest.raises(ValueError, match="no child"):
        hierarchy.harden(PrivateNode.take(memory), index)


@pytest.mark.parametrize("number", [0, CURVE_ORDER])
def test_a_number_that_is_no_key_has_no_public_key(memory: GuardedMemory, number: int) -> None:
    with pytest.raises(KeyDerivationError):
        public_key(stored(memory, number.to_bytes(32, "big")))


@pytest.mark.parametrize(
    "answer", ["_BIP32_PUBLIC_KEY", "_BIP32_CHAIN_CODE", "_ECDSA_SIGNATURE", "_ED25519_SIGNATURE", "_ARGON2ID_OUTPUT"]
)
def test_the_self_test_fails_on_any_other_answer(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    selftest.self_test(KINDS)
    right: bytes = getattr(selftest, answer)
    monkeypatch.setattr(selftest, answer, bytes([right[0] ^ 1]) + right[1:])
    with pytest.raises(SelfTestError):
        selftest.self_test(KINDS)
