"""The envelope: it opens with its passphrase, for its quorum, unchanged, and in no other case."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from appliance.secrets.secrets_support import (
    OTHER_PASSPHRASE,
    OTHER_QUORUM,
    PASSPHRASE,
    QUORUM,
    seed_of,
    stored,
)
from undercroft_appliance.errors import ApplianceError, EnvelopeError, SelfTestError, WrongPassphraseError
from undercroft_appliance.keeper.secrets.envelope import (
    PRODUCTION_BOUNDS,
    PRODUCTION_COST,
    TEST_BOUNDS,
    TEST_COST,
    KdfBounds,
    KdfCost,
    Sealer,
)
from undercroft_appliance.keeper.secrets.memory import GuardedMemory
from undercroft_appliance.keeper.secrets.native import sodium
from undercroft_protocol.messages import Envelope

SEED = b"an obvious test seed of 32 bytes"


def blank_envelope(quorum_id: bytes | None = QUORUM) -> Envelope:
    return Envelope(
        version=1,
        opslimit=TEST_COST.opslimit,
        memory_kib=TEST_COST.memory_kib,
        salt=bytes(range(16)),
        nonce=bytes(range(24)),
        quorum_id=quorum_id,
        fingerprint=bytes(4),
        xpub=bytes(78),
        identity=bytes(32),
        ciphertext=bytes(48),
    )


def seal(memory: GuardedMemory, quorum_id: bytes | None = QUORUM) -> Envelope:
    sealer = Sealer(memory, TEST_BOUNDS)
    return sealer.seal(blank_envelope(quorum_id), stored(memory, PASSPHRASE), stored(memory, SEED))


def open_with(memory: GuardedMemory, envelope: Envelope, passphrase: bytes = PASSPHRASE) -> bytes:
    seed = memory.take(32)
    Sealer(memory, TEST_BOUNDS).open(envelope, stored(memory, passphrase), seed)
    return seed.read_public()


@pytest.mark.parametrize("quorum_id", [None, QUORUM])
def test_what_is_sealed_opens_here_and_with_pynacl(memory: GuardedMemory, quorum_id: bytes | None) -> None:
    envelope = seal(memory, quorum_id)
    assert SEED not in envelope.to_bytes()
    assert open_with(memory, envelope) == SEED
    assert seed_of(envelope) == SEED


def test_an_envelope_survives_its_way_as_a_message(memory: GuardedMemory) -> None:
    assert open_with(memory, Envelope.from_bytes(seal(memory).to_bytes())) == SEED


def test_attack_a_wrong_passphrase_opens_nothing(memory: GuardedMemory) -> None:
    envelope = seal(memory)
    for wrong in (OTHER_PASSPHRASE, PASSPHRASE[:-1], PASSPHRASE + b" ", PASSPHRASE.upper()):
        with pytest.raises(WrongPassphraseError):
            open_with(memory, envelope, wrong)


def flipped(data: bytes, position: int = 0) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


TAMPERED: dict[str, Callable[[Envelope], Envelope]] = {
    "opslimit": lambda e: dataclasses.replace(e, opslimit=e.opslimit + 1),
    "memory_kib": lambda e: dataclasses.replace(e, memory_kib=e.memory_kib + 4),
    # Argon2 rounds its memory down to 4 KiB: the same key, so that only the associated data tells.
    "memory_kib, same key": lambda e: dataclasses.replace(e, memory_kib=e.memory_kib + 1),
    "salt": lambda e: dataclasses.replace(e, salt=flipped(e.salt)),
    "nonce": lambda e: dataclasses.replace(e, nonce=flipped(e.nonce)),
    "quorum_id": lambda e: dataclasses.replace(e, quorum_id=OTHER_QUORUM),
    "quorum_id removed": lambda e: dataclasses.replace(e, quorum_id=None),
    "fingerprint": lambda e: dataclasses.replace(e, fingerprint=flipped(e.fingerprint)),
    "xpub": lambda e: dataclasses.replace(e, xpub=flipped(e.xpub, 77)),
    "identity": lambda e: dataclasses.replace(e, identity=flipped(e.identity, 31)),
    "first byte": lambda e: dataclasses.replace(e, ciphertext=flipped(e.ciphertext)),
    "tag": lambda e: dataclasses.replace(e, ciphertext=flipped(e.ciphertext, 47)),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_attack_no_field_of_an_envelope_can_be_changed(memory: GuardedMemory, what: str) -> None:
    with pytest.raises(WrongPassphraseError):
        open_with(memory, TAMPERED[what](seal(memory)))


def test_every_field_is_among_those_that_were_tampered_with() -> None:
    fields = {field.name for field in dataclasses.fields(Envelope)}
    assert fields - set(TAMPERED) == {"version", "ciphertext"}


def test_attack_a_draft_cannot_be_given_a_quorum(memory: GuardedMemory) -> None:
    draft = seal(memory, quorum_id=None)
    with pytest.raises(WrongPassphraseError):
        open_with(memory, dataclasses.replace(draft, quorum_id=QUORUM))


@pytest.mark.parametrize(
    "cost",
    [
        KdfCost(2, 256 * 1024),
        KdfCost(17, 256 * 1024),
        KdfCost(3, 64 * 1024 - 1),
        KdfCost(3, 1024 * 1024 + 1),
        KdfCost(0, 0),
        KdfCost(0xFFFFFFFF, 0xFFFFFFFF),
    ],
)
def test_attack_a_cost_out_of_bounds_is_refused_before_it_is_paid(
    memory: GuardedMemory, cost: KdfCost, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealer = Sealer(memory, PRODUCTION_BOUNDS)
    monkeypatch.delattr(sealer, "_argon2id")
    envelope = dataclasses.replace(blank_envelope(), opslimit=cost.opslimit, memory_kib=cost.memory_kib)
    for use in (sealer.open, sealer.seal):
        with pytest.raises(EnvelopeError, match="is not between"):
            use(envelope, stored(memory, PASSPHRASE), memory.take(32))


def test_production_and_test_costs_are_within_their_own_bounds_only() -> None:
    PRODUCTION_BOUNDS.check(PRODUCTION_COST)
    PRODUCTION_BOUNDS.check(PRODUCTION_BOUNDS.least)
    PRODUCTION_BOUNDS.check(PRODUCTION_BOUNDS.most)
    TEST_BOUNDS.check(TEST_COST)
    with pytest.raises(EnvelopeError):
        PRODUCTION_BOUNDS.check(TEST_COST)


def test_nothing_is_left_of_the_sealing_key_whatever_happens(memory: GuardedMemory) -> None:
    sealer = Sealer(memory, TEST_BOUNDS)
    passphrase, seed = stored(memory, PASSPHRASE), stored(memory, SEED)
    envelope = sealer.seal(blank_envelope(), passphrase, seed)
    sealer.open(envelope, passphrase, seed)
    with pytest.raises(ApplianceError):
        sealer.open(dataclasses.replace(envelope, identity=bytes(31) + b"\1"), passphrase, seed)
    assert sealer._sealing_key.read_public() + sealer._read_back.read_public() == bytes(64)


def test_an_envelope_that_would_not_give_back_its_seed_is_never_handed_out(
    memory: GuardedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealer = Sealer(memory, TEST_BOUNDS)
    monkeypatch.setattr(sealer, "_decrypt", lambda _envelope, seed: seed.wipe())
    with pytest.raises(SelfTestError):
        sealer.seal(blank_envelope(), stored(memory, PASSPHRASE), stored(memory, SEED))


def test_a_seed_of_another_size_is_refused(memory: GuardedMemory) -> None:
    sealer = Sealer(memory, KdfBounds(TEST_COST, TEST_COST))
    with pytest.raises(ValueError, match="32 bytes"):
        sealer.seal(blank_envelope(), stored(memory, PASSPHRASE), memory.take(64))
    with pytest.raises(ValueError, match="32 bytes"):
        sealer.open(blank_envelope(), stored(memory, PASSPHRASE), memory.take(64))
    assert sodium.crypto_aead_xchacha20poly1305_ietf_abytes() == 16
