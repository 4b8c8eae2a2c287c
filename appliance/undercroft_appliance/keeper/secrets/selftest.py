"""Known answers, computed before any secret is touched: a machine that computes wrongly must not get one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from undercroft_appliance.errors import ApplianceError, SelfTestError

from .argon2id import Argon2id
from .hierarchy import Hierarchy, PrivateNode, public_key
from .hmac512 import HmacSha512
from .memory import GuardedMemory, Kind
from .signing import IdentityKey, sign_digest

# BIP 32, test vector 1: its seed, and the public key and chain code of m/0h.
_BIP32_SEED = bytes(range(16))
_BIP32_PUBLIC_KEY = bytes.fromhex("035a784662a4a20a65bf6aab9ae98a6c068a81c52e4b032c0fb5400c706cfccc56")
_BIP32_CHAIN_CODE = bytes.fromhex("47fdacbd0f1097043b78c63c20c34ef4ed9a111d980047ad16282c7ae6236141")
# A signature by that key; its R is low at the fourth try, so that the grinding is tested too.
_ECDSA_DIGEST = hashlib.sha256(b"undercroft self-test 1").digest()
_ECDSA_SIGNATURE = bytes.fromhex(
    "304402206e3c572e563f7b3f261d4facabab496bab146df960379be6f19c492a4a926ce1"
    "02204b94b7ae76f135edd5d5bb125852ae3552043e0df3e71c99f1ec1a9e318adccb"
)
# RFC 8032, section 7.1, test 1.
_ED25519_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
_ED25519_PUBLIC_KEY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
_ED25519_SIGNATURE = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
    "d25bf5f0595bbe24655141438e7a100b"
)
# libsodium's crypto_pwhash with the same input.
_ARGON2ID_PASSWORD = b"undercroft self-test"
_ARGON2ID_SALT = b"undercroft/salt/"
_ARGON2ID_OUTPUT = bytes.fromhex("4e22479e415d3bb56fa01ee49ba4b6d9a9e18302826353b37c352bbc89971337")


def self_test(kinds: Sequence[Kind]) -> None:
    """Raises SelfTestError unless each primitive gives its known answer; MemoryUnavailableError."""
    with GuardedMemory(kinds=kinds) as memory:
        hmac = HmacSha512(memory)
        try:
            _test_bitcoin_keys(memory, hmac)
            _test_identity(memory, hmac)
            _test_argon2id(memory)
        except SelfTestError:
            raise
        except ApplianceError as error:
            raise SelfTestError(str(error)) from error


def _test_bitcoin_keys(memory: GuardedMemory, hmac: HmacSha512) -> None:
    seed = memory.take(len(_BIP32_SEED))
    seed.store_public(_BIP32_SEED)
    node = PrivateNode.take(memory)
    hierarchy = Hierarchy(memory, hmac)
    hierarchy.load_master(node, seed)
    hierarchy.harden(node, 0)
    _expect("BIP 32 key", public_key(node.key), _BIP32_PUBLIC_KEY)
    _expect("BIP 32 chain code", node.chain_code.read_public(), _BIP32_CHAIN_CODE)
    _expect("ECDSA", sign_digest(node.key, _ECDSA_DIGEST, _BIP32_PUBLIC_KEY), _ECDSA_SIGNATURE)


def _test_identity(memory: GuardedMemory, hmac: HmacSha512) -> None:
    seed = memory.take(len(_ED25519_SEED))
    seed.store_public(_ED25519_SEED)
    identity = IdentityKey(memory, hmac)
    _expect("Ed25519 key", identity.load_ed25519_seed(seed), _ED25519_PUBLIC_KEY)
    _expect("Ed25519", identity.sign(b"", _ED25519_PUBLIC_KEY), _ED25519_SIGNATURE)


def _test_argon2id(memory: GuardedMemory) -> None:
    password, out = memory.take(len(_ARGON2ID_PASSWORD)), memory.take(len(_ARGON2ID_OUTPUT))
    password.store_public(_ARGON2ID_PASSWORD)
    Argon2id().derive(password, _ARGON2ID_SALT, opslimit=1, memory_kib=64, out=out)
    _expect("Argon2id", out.read_public(), _ARGON2ID_OUTPUT)


def _expect(what: str, got: bytes, wanted: bytes) -> None:
    if got != wanted:
        raise SelfTestError(f"{what} gives another answer than the known one")
