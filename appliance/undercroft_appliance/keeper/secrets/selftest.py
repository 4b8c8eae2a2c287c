"""Known answers, computed before any secret is touched: a machine that computes wrongly must not get one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from undercroft_appliance.errors import ApplianceError, SelfTestError
from undercroft_protocol.bitcoin.sighash import SegwitV0Sighash
from undercroft_protocol.bitcoin.signature import verify_ecdsa
from undercroft_protocol.bitcoin.transaction import Transaction
from undercroft_protocol.errors import ProtocolError, SignatureError

from .argon2id import Argon2id
from .entropy import Entropy
from .health import check_entropy
from .hierarchy import Hierarchy, PrivateNode, public_key
from .hmac512 import HmacSha512
from .memory import GuardedMemory, Kind, Slot
from .native import sodium, sodium_ffi
from .seedmix import SEED_TAG, tagged_digest
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


# FIPS 180-4: "abc".
_SHA_MESSAGE = b"abc"
_SHA256_DIGEST = bytes.fromhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
_SHA512_DIGEST = bytes.fromhex(
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
)
# Thirty-two bytes and fifty rolls, and the seed they give.
_MIX_BLOCK = bytes(64) + bytes(range(32)) + b"12345612345612345612345612345612345612345612345612"
_MIX_SEED = bytes.fromhex("e2abc2e726ecab826c934a30e12bb66b5ec32fe426a8acfcd5389e4cbefb9914")
# draft-irtf-cfrg-xchacha, appendix A.3.1: key, nonce, associated data, plaintext, ciphertext and tag.
_AEAD_KEY = bytes(range(0x80, 0xA0))
_AEAD_NONCE = bytes(range(0x40, 0x58))
_AEAD_ASSOCIATED = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
_AEAD_PLAINTEXT = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
    b"sunscreen would be it."
)
_AEAD_CIPHERTEXT = bytes.fromhex(
    "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39"
    "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
    "21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49"
)
# BIP 143, example P2SH-P2WSH: its transaction, witness script, amount, digest, and a signature over it.
_BIP143_TRANSACTION = bytes.fromhex(
    "010000000136641869ca081e70f394c6948e8af409e18b619df2ed74aa106c1ca29787b96e0100000000ffffffff0200e9a4350000000019"
    "76a914389ffce9cd9ae88dcc0631e88a821ffdbe9bfe2688acc0832f05000000001976a9147480a33f950689af511e6e84c138dbbd3c3ee4"
    "1588ac00000000"
)
_BIP143_WITNESS_SCRIPT = bytes.fromhex(
    "56210307b8ae49ac90a048e9b53357a2354b3334e9c8bee813ecb98e99a7e07e8c3ba32103b28f0c28bfab54554ae8c658ac5c3e0ce6e79a"
    "d336331f78c428dd43eea8449b21034b8113d703413d57761b8b9781957b8c0ac1dfe69f492580ca4195f50376ba4a21033400f6afecb833"
    "092a9a21cfdf1ed1376e58c5d1f47de74683123987e967a8f42103a6d48b1131e94ba04d9737d61acdaa1322008af9602b3b14862c07a178"
    "9aac162102d8b661b0b3302ee2f162b09e07a55ad5dfbe673a9f01d9f0c19617681024306b56ae"
)
_BIP143_AMOUNT_SATS = 987_654_321
_BIP143_DIGEST = bytes.fromhex("185c0be5263dce5b4bb50a047973c1b6272bfbd0103a89444597dc40b248ee7c")
_BIP143_PUBLIC_KEY = bytes.fromhex("0307b8ae49ac90a048e9b53357a2354b3334e9c8bee813ecb98e99a7e07e8c3ba3")
_BIP143_SIGNATURE = bytes.fromhex(
    "304402206ac44d672dac41f9b00e28f4df20c52eeb087207e8d758d76d92c6fab3b73e2b"
    "0220367750dbbe19290069cba53d096f44530e4f98acaa594810388cf7409a1870ce"
)


def self_test(kinds: Sequence[Kind], entropy: Entropy) -> None:
    """Raises SelfTestError unless each primitive gives its known answer and the source of keys is alive.

    Raises MemoryUnavailableError when there is no guarded memory.
    """
    with GuardedMemory(kinds=kinds) as memory:
        hmac = HmacSha512(memory)
        try:
            check_entropy(memory, entropy)
            _test_hashes(memory)
            _test_seed_mix(memory)
            _test_bitcoin_keys(memory, hmac)
            _test_sighash()
            _test_identity(memory, hmac)
            _test_argon2id(memory)
            _test_aead(memory)
        except SelfTestError:
            raise
        except (ApplianceError, ProtocolError) as error:
            raise SelfTestError(str(error)) from error


def _test_hashes(memory: GuardedMemory) -> None:
    message, short, long = _stored(memory, _SHA_MESSAGE), memory.take(32), memory.take(64)
    sodium.crypto_hash_sha256(short.sodium, message.sodium, message.size)
    sodium.crypto_hash_sha512(long.sodium, message.sodium, message.size)
    _expect("SHA-256", short.read_public(), _SHA256_DIGEST)
    _expect("SHA-512", long.read_public(), _SHA512_DIGEST)


def _test_seed_mix(memory: GuardedMemory) -> None:
    seed = memory.take(len(_MIX_SEED))
    tagged_digest(SEED_TAG, _stored(memory, _MIX_BLOCK), seed)
    _expect("seed mixing", seed.read_public(), _MIX_SEED)


def _test_bitcoin_keys(memory: GuardedMemory, hmac: HmacSha512) -> None:
    seed = _stored(memory, _BIP32_SEED)
    node = PrivateNode.take(memory)
    hierarchy = Hierarchy(memory, hmac)
    hierarchy.load_master(node, seed)
    hierarchy.harden(node, 0)
    _expect("BIP 32 key", public_key(node.key), _BIP32_PUBLIC_KEY)
    _expect("BIP 32 chain code", node.chain_code.read_public(), _BIP32_CHAIN_CODE)
    _expect("ECDSA", sign_digest(node.key, _ECDSA_DIGEST, _BIP32_PUBLIC_KEY), _ECDSA_SIGNATURE)


def _test_sighash() -> None:
    sighash = SegwitV0Sighash(Transaction.parse(_BIP143_TRANSACTION))
    digest = sighash.digest(0, _BIP143_WITNESS_SCRIPT, _BIP143_AMOUNT_SATS)
    _expect("BIP 143", digest, _BIP143_DIGEST)
    verify_ecdsa(_BIP143_PUBLIC_KEY, digest, _BIP143_SIGNATURE)
    try:
        verify_ecdsa(_BIP143_PUBLIC_KEY, digest, _flipped(_BIP143_SIGNATURE))
    except SignatureError:
        return
    raise SelfTestError("ECDSA verification takes a signature that is none")


def _test_identity(memory: GuardedMemory, hmac: HmacSha512) -> None:
    identity, seed = IdentityKey(memory, hmac), _stored(memory, _ED25519_SEED)
    _expect("Ed25519 key", identity.load_ed25519_seed(seed), _ED25519_PUBLIC_KEY)
    _expect("Ed25519", identity.sign(b"", _ED25519_PUBLIC_KEY), _ED25519_SIGNATURE)


def _test_argon2id(memory: GuardedMemory) -> None:
    password, out = _stored(memory, _ARGON2ID_PASSWORD), memory.take(len(_ARGON2ID_OUTPUT))
    Argon2id().derive(password, _ARGON2ID_SALT, opslimit=1, memory_kib=64, out=out)
    _expect("Argon2id", out.read_public(), _ARGON2ID_OUTPUT)


def _test_aead(memory: GuardedMemory) -> None:
    key, plain, opened = _stored(memory, _AEAD_KEY), _stored(memory, _AEAD_PLAINTEXT), memory.take(len(_AEAD_PLAINTEXT))
    sealed, size = sodium_ffi.new(f"unsigned char[{len(_AEAD_CIPHERTEXT)}]"), sodium_ffi.new("unsigned long long *")
    associated = (_AEAD_ASSOCIATED, len(_AEAD_ASSOCIATED))
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
        sealed, size, plain.sodium, plain.size, *associated, sodium_ffi.NULL, _AEAD_NONCE, key.sodium
    )
    _expect("XChaCha20-Poly1305", bytes(sodium_ffi.buffer(sealed)), _AEAD_CIPHERTEXT)
    for ciphertext, wanted in ((_AEAD_CIPHERTEXT, True), (_flipped(_AEAD_CIPHERTEXT), False)):
        failed = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            opened.sodium, size, sodium_ffi.NULL, ciphertext, len(ciphertext), *associated, _AEAD_NONCE, key.sodium
        )
        if (failed == 0) != wanted:
            raise SelfTestError(f"XChaCha20-Poly1305 {'opens no' if wanted else 'opens a wrong'} ciphertext")


def _stored(memory: GuardedMemory, data: bytes) -> Slot:
    slot = memory.take(len(data))
    slot.store_public(data)
    return slot


def _flipped(data: bytes) -> bytes:
    """The data with its last bit changed."""
    return data[:-1] + bytes([data[-1] ^ 1])


def _expect(what: str, got: bytes, wanted: bytes) -> None:
    if got != wanted:
        raise SelfTestError(f"{what} gives another answer than the known one")
