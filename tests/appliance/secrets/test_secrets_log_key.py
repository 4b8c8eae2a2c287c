"""The log key: from the seed as anybody else would derive it, there while a key is open, and gone with it."""

from __future__ import annotations

import dataclasses
import hmac

import pytest
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt, crypto_aead_xchacha20poly1305_ietf_encrypt

from appliance.secrets.secrets_support import (
    QUORUM,
    PassphraseOwner,
    born,
    bound_envelope,
    seed_of,
    stored,
    typed,
)
from undercroft_appliance.errors import KeyringLockedError, LogSealError
from undercroft_appliance.keeper.secrets import Keyring
from undercroft_appliance.keeper.secrets.hmac512 import HmacSha512
from undercroft_appliance.keeper.secrets.log_key import LogKey
from undercroft_appliance.keeper.secrets.memory import GuardedMemory
from undercroft_protocol.messages import Envelope

SEED = b"\x5e" * 32


def log_key_of(seed: bytes) -> bytes:
    return hmac.digest(b"undercroft/1/log", seed, "sha512")[:32]


def opened_elsewhere(sealed: bytes, associated: bytes, envelope: Envelope) -> bytes:
    key = log_key_of(seed_of(envelope))
    plain: bytes = crypto_aead_xchacha20poly1305_ietf_decrypt(sealed[24:], associated, sealed[:24], key)
    return plain


def test_what_an_open_keyring_seals_opens_with_the_key_that_the_seed_gives(
    keyring: Keyring, owner: PassphraseOwner
) -> None:
    envelope = bound_envelope(keyring, owner)
    typed(keyring, owner).unlock(envelope, QUORUM)
    first, again = keyring.seal_log(b"exact", b"entry"), keyring.seal_log(b"exact", b"entry")
    assert first != again
    assert {opened_elsewhere(one, b"entry", envelope) for one in (first, again)} == {b"exact"}


def test_nothing_is_sealed_while_no_key_is_open(keyring: Keyring, owner: PassphraseOwner) -> None:
    with pytest.raises(KeyringLockedError):
        keyring.seal_log(b"exact", b"entry")
    born(keyring, owner)
    assert keyring.seal_log(b"exact", b"entry")
    keyring.wipe()
    with pytest.raises(KeyringLockedError):
        keyring.seal_log(b"exact", b"entry")


def test_the_key_is_wiped_with_the_others() -> None:
    with GuardedMemory(kinds=("mlock",)) as memory:
        key = LogKey(memory, HmacSha512(memory))
        key.load(stored(memory, SEED))
        assert log_key_of(SEED) in _all_of(memory)
        key.wipe()
        assert log_key_of(SEED) not in _all_of(memory)
        # The other half of the digest is no key, and is not left either.
        assert hmac.digest(b"undercroft/1/log", SEED, "sha512")[32:] not in _all_of(memory)


def test_it_opens_what_another_library_sealed_and_nothing_else() -> None:
    nonce = b"\x07" * 24
    foreign = nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(b"exact", b"entry", nonce, log_key_of(SEED))
    with GuardedMemory(kinds=("mlock",)) as memory:
        key = LogKey(memory, HmacSha512(memory))
        key.load(stored(memory, SEED))
        assert key.seal(b"exact", b"entry", nonce) == foreign
        assert key.open(foreign, b"entry") == b"exact"
        assert key.open(key.seal(b"", b"", nonce), b"") == b""
        for broken in (b"", nonce, foreign[:-1], foreign[:24] + bytes([foreign[24] ^ 1]) + foreign[25:]):
            with pytest.raises(LogSealError):
                key.open(broken, b"entry")
        with pytest.raises(LogSealError):
            key.open(foreign, b"another entry")
        with pytest.raises(ValueError, match="24 bytes"):
            key.seal(b"exact", b"entry", b"short")


def _all_of(memory: GuardedMemory) -> bytes:
    whole = memory.take(16)
    return dataclasses.replace(whole, address=memory.address, size=memory.size).read_public()
