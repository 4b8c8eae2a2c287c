"""Argon2id, HMAC-SHA512 and BIP 32 on guarded memory give what other code gives."""

from __future__ import annotations

import hashlib
import hmac
import os
import resource

import nacl.bindings
import pytest
from argon2.low_level import core
from embit import bip32

from appliance.secrets.secrets_support import HARDENED, stored, vm_flags
from undercroft_appliance.errors import KeyDerivationError, MemoryUnavailableError, SelfTestError
from undercroft_appliance.keeper.secrets import KernelEntropy, selftest
from undercroft_appliance.keeper.secrets import argon2id as argon2id_module
from undercroft_appliance.keeper.secrets.argon2id import Argon2id
from undercroft_appliance.keeper.secrets.hierarchy import Hierarchy, PrivateNode, public_key
from undercroft_appliance.keeper.secrets.hmac512 import HmacSha512
from undercroft_appliance.keeper.secrets.memory import KINDS, GuardedMemory, Slot
from undercroft_appliance.keeper.secrets.native import libc, sodium

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


def test_argon2ids_working_memory_is_in_no_core_file_and_never_swapped(
    memory: GuardedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags: list[set[str]] = []
    function = Argon2id()

    def watched(context: object, kind: int) -> int:
        flags.append(vm_flags(function._working.address))
        return int(core(context, kind))

    monkeypatch.setattr(argon2id_module, "core", watched)
    function.derive(stored(memory, b"password"), bytes(16), opslimit=1, memory_kib=256, out=memory.take(32))
    assert flags[0] >= {"lo", "dd", "dc"}


def test_argon2id_without_enough_memory_says_so(memory: GuardedMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    password, out = stored(memory, b"password"), memory.take(32)
    monkeypatch.setattr(os, "sysconf", lambda _name: 1 << 40)
    _, hard = limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 40, hard))
    try:
        with pytest.raises(MemoryUnavailableError, match="for Argon2id"):
            Argon2id().derive(password, bytes(16), opslimit=1, memory_kib=1 << 31, out=out)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_attack_a_cost_that_takes_all_the_memory_of_this_machine(
    memory: GuardedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    password, out = stored(memory, b"password"), memory.take(32)
    monkeypatch.setattr(os, "sysconf", lambda _name: 1024)
    function = Argon2id()
    function.derive(password, bytes(16), opslimit=1, memory_kib=3072, out=out)
    with pytest.raises(MemoryUnavailableError, match="this machine"):
        function.derive(password, bytes(16), opslimit=1, memory_kib=3073, out=out)


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
    ("answer", "what"),
    [
        ("_SHA256_DIGEST", "SHA-256"),
        ("_SHA512_DIGEST", "SHA-512"),
        ("_MIX_SEED", "seed mixing"),
        ("_BIP32_PUBLIC_KEY", "BIP 32 key"),
        ("_BIP32_CHAIN_CODE", "BIP 32 chain code"),
        ("_ECDSA_SIGNATURE", "ECDSA"),
        ("_BIP143_DIGEST", "BIP 143"),
        ("_BIP143_SIGNATURE", "signature"),
        ("_ED25519_PUBLIC_KEY", "Ed25519 key"),
        ("_ED25519_SIGNATURE", "Ed25519"),
        ("_ARGON2ID_OUTPUT", "Argon2id"),
        ("_AEAD_CIPHERTEXT", "XChaCha20-Poly1305"),
    ],
)
def test_the_self_test_fails_on_any_other_answer(answer: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    selftest.self_test(KINDS, KernelEntropy())
    right: bytes = getattr(selftest, answer)
    monkeypatch.setattr(selftest, answer, right[:-1] + bytes([right[-1] ^ 1]))
    with pytest.raises(SelfTestError, match=what):
        selftest.self_test(KINDS, KernelEntropy())


def test_attack_a_verification_that_takes_any_signature_stops_the_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "verify_ecdsa", lambda *_: None)
    with pytest.raises(SelfTestError, match="takes a signature that is none"):
        selftest.self_test(KINDS, KernelEntropy())


def test_attack_an_aead_that_opens_anything_stops_the_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless:
        def __getattr__(self, name: str) -> object:
            return getattr(sodium, name)

        def crypto_aead_xchacha20poly1305_ietf_decrypt(self, *_: object) -> int:
            return 0

    monkeypatch.setattr(selftest, "sodium", Careless())
    with pytest.raises(SelfTestError, match="opens a wrong"):
        selftest.self_test(KINDS, KernelEntropy())
