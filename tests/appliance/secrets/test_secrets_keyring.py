"""The keyring: a key is made, bound, unlocked and used; in every other order it is refused and nothing is left."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable

import pytest
from nacl.signing import VerifyKey

from appliance.secrets.secrets_support import (
    OTHER_PASSPHRASE,
    OTHER_QUORUM,
    PASSPHRASE,
    QUORUM,
    PassphraseOwner,
    born,
    bound_envelope,
    core_signature,
    mixed_seed,
    new_keyring,
    other_opinion,
    rolled,
    seed_of,
    stored,
    typed,
)
from undercroft_appliance.errors import (
    ApplianceError,
    EnvelopeError,
    KeyringLockedError,
    PassphraseError,
    PassphraseLengthError,
    PassphraseMismatchError,
    SelfTestError,
    SigningError,
    WrongPassphraseError,
)
from undercroft_appliance.keeper.curve import ParentKey, first_invalid
from undercroft_appliance.keeper.secrets import (
    PRODUCTION_BOUNDS,
    PRODUCTION_COST,
    TEST_BOUNDS,
    TEST_COST,
    InputRequest,
    KernelEntropy,
    Keyring,
    NewKey,
    selftest,
)
from undercroft_appliance.keeper.secrets.envelope import Sealer
from undercroft_appliance.keeper.secrets.keyring import PASSPHRASE_SLOT_BYTES
from undercroft_appliance.keeper.secrets.memory import GuardedMemory, Slot
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.signature import verify_ecdsa
from undercroft_protocol.messages import Envelope, possession_digest

SEED = hashlib.sha256(b"an obvious test seed").digest()
REQUESTS = [
    InputRequest(branch, index, hashlib.sha256(f"{branch}/{index}".encode()).digest())
    for branch in (0, 1)
    for index in (0, 1, 7, 0x7FFFFFFF)
]


def guarded_bytes(keyring: Keyring) -> bytes:
    """All that is in the keyring's memory."""
    with keyring._memory.used():
        return Slot(keyring._memory.address, keyring._memory.size).read_public()


def assert_locked_and_empty(keyring: Keyring) -> None:
    assert not keyring.is_open
    assert guarded_bytes(keyring).count(0) == keyring._memory.size
    for use in (
        lambda: keyring.sign_inputs(REQUESTS),
        lambda: keyring.sign_inputs([]),
        lambda: keyring.sign_identity(b"data"),
        lambda: keyring.identity_public_key,
        lambda: keyring.xpub,
        lambda: keyring.fingerprint,
    ):
        with pytest.raises(KeyringLockedError):
            use()


@pytest.mark.parametrize("network", Network)
def test_a_new_key_is_the_one_that_embit_derives_from_its_seed(owner: PassphraseOwner, network: Network) -> None:
    with new_keyring(SEED, network) as keyring:
        new = born(keyring, owner)
        other = other_opinion(mixed_seed(SEED), network)
        assert seed_of(new.envelope) == mixed_seed(SEED)
        assert new.envelope.quorum_id is None
        assert keyring.xpub.text() == str(other.account.to_public())
        assert new.envelope.xpub == keyring.xpub.serialize()
        assert new.envelope.fingerprint == keyring.fingerprint == other.master.my_fingerprint
        assert new.envelope.identity == keyring.identity_public_key == other.identity.verify_key.encode()


def test_a_new_key_proves_that_it_is_possessed(keyring: Keyring, owner: PassphraseOwner) -> None:
    new = born(keyring, owner)
    digest = possession_digest(new.envelope.identity, new.envelope.xpub)
    verify_ecdsa(keyring.xpub.public_key, digest, new.possession)
    account = other_opinion(seed_of(new.envelope)).account
    assert new.possession == core_signature(account.key.secret, digest)


def test_a_new_key_signs_its_declaration_and_nothing_else(keyring: Keyring, owner: PassphraseOwner) -> None:
    born(keyring, owner)
    VerifyKey(keyring.identity_public_key).verify(b"declaration", keyring.sign_identity(b"declaration"))
    with pytest.raises(KeyringLockedError):
        keyring.sign_inputs(REQUESTS)
    assert keyring.is_open
    keyring.wipe()
    assert_locked_and_empty(keyring)


def test_two_new_keys_share_nothing(keyring: Keyring, owner: PassphraseOwner) -> None:
    first, second = (born(keyring, owner).envelope for _ in range(2))
    for field in ("salt", "nonce", "fingerprint", "xpub", "identity", "ciphertext"):
        assert getattr(first, field) != getattr(second, field)


def test_binding_to_a_quorum_keeps_the_key_and_seals_it_anew(keyring: Keyring, owner: PassphraseOwner) -> None:
    draft = born(keyring, owner).envelope
    bound = typed(keyring, owner).rebind(draft, QUORUM)
    assert bound.quorum_id == QUORUM
    assert (bound.xpub, bound.identity, bound.fingerprint) == (draft.xpub, draft.identity, draft.fingerprint)
    assert (bound.salt, bound.nonce) != (draft.salt, draft.nonce)
    assert seed_of(bound) == seed_of(draft)
    assert len(keyring.sign_inputs(REQUESTS)) == len(REQUESTS)


def test_an_unlocked_key_signs_as_bitcoin_core_and_pynacl_would(keyring: Keyring, owner: PassphraseOwner) -> None:
    envelope = bound_envelope(keyring, owner)
    typed(keyring, owner).unlock(envelope, QUORUM)
    other = other_opinion(seed_of(envelope))
    for request, signature in zip(REQUESTS, keyring.sign_inputs(REQUESTS), strict=True):
        secret = other.child_secret(request.branch, request.index)
        assert signature == core_signature(secret, request.digest)
    assert keyring.sign_identity(b"data") == other.identity.sign(b"data").signature


def test_an_unlocked_keyring_holds_the_branch_keys_the_identity_and_the_logs_key_only(
    keyring: Keyring, owner: PassphraseOwner
) -> None:
    envelope = bound_envelope(keyring, owner)
    typed(keyring, owner).unlock(envelope, QUORUM)
    keyring.sign_inputs(REQUESTS)
    keyring.sign_identity(b"data")
    seed = seed_of(envelope)
    other = other_opinion(seed)
    kept = [other.account.derive([branch]).key.secret for branch in (0, 1)] + [other.identity.encode()]
    gone = [seed, PASSPHRASE, other.master.key.secret, other.account.key.secret, other.child_secret(0, 0)]
    held = guarded_bytes(keyring)
    assert all(secret in held for secret in kept)
    assert not any(secret in held for secret in gone)
    # Two branch keys, the identity's 64 bytes, and the key that seals the log.
    assert len(held) - held.count(0) <= 5 * 32
    keyring.wipe()
    assert_locked_and_empty(keyring)


def test_a_wiped_keyring_can_be_unlocked_again(keyring: Keyring, owner: PassphraseOwner) -> None:
    envelope = bound_envelope(keyring, owner)
    answers = []
    for _ in range(2):
        typed(keyring, owner).unlock(envelope, QUORUM)
        answers.append(keyring.sign_inputs(REQUESTS))
        keyring.wipe()
    assert answers[0] == answers[1]


def test_a_closed_keyring_is_locked_for_good(owner: PassphraseOwner) -> None:
    with new_keyring() as keyring:
        born(keyring, owner)
    keyring.close()
    keyring.wipe()
    assert not keyring.is_open
    with pytest.raises(KeyringLockedError):
        keyring.sign_identity(b"data")
    with pytest.raises(KeyringLockedError):
        keyring.create_key()
    with pytest.raises(KeyringLockedError):
        typed(keyring, owner)


def test_a_keyring_shows_no_secret(keyring: Keyring, owner: PassphraseOwner) -> None:
    born(keyring, owner)
    assert repr(keyring) == f"Keyring(open, {keyring.memory_kind})"
    keyring.wipe()
    assert "locked" in repr(keyring)


Use = Callable[[Keyring, Envelope], object]


def unlock(keyring: Keyring, envelope: Envelope) -> None:
    keyring.unlock(envelope, QUORUM)


def unlock_for_another_quorum(keyring: Keyring, envelope: Envelope) -> None:
    keyring.unlock(envelope, OTHER_QUORUM)


def rebind_to_another_quorum(keyring: Keyring, envelope: Envelope) -> None:
    keyring.rebind(envelope, OTHER_QUORUM)


@dataclasses.dataclass(frozen=True)
class Attack:
    error: type[ApplianceError]
    use: Use = unlock
    passphrase: bytes = PASSPHRASE
    change: dict[str, object] = dataclasses.field(default_factory=dict)


ATTACKS = {
    "wrong passphrase": Attack(WrongPassphraseError, passphrase=OTHER_PASSPHRASE),
    "asked for another quorum": Attack(EnvelopeError, unlock_for_another_quorum),
    "made another quorum's": Attack(EnvelopeError, change={"quorum_id": OTHER_QUORUM}),
    "relabelled for another quorum": Attack(
        WrongPassphraseError, unlock_for_another_quorum, change={"quorum_id": OTHER_QUORUM}
    ),
    "made a draft": Attack(EnvelopeError, change={"quorum_id": None}),
    "too many passes": Attack(EnvelopeError, change={"opslimit": 17}),
    "too little memory": Attack(EnvelopeError, change={"memory_kib": 7}),
    "too much memory": Attack(EnvelopeError, change={"memory_kib": 1 << 31}),
    "another ciphertext": Attack(WrongPassphraseError, change={"ciphertext": bytes(48)}),
    "bound again": Attack(EnvelopeError, rebind_to_another_quorum),
    "bound again as a draft": Attack(WrongPassphraseError, rebind_to_another_quorum, change={"quorum_id": None}),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_an_envelope_opens_only_as_it_was_sealed_and_for_its_quorum(
    keyring: Keyring, owner: PassphraseOwner, name: str
) -> None:
    attack = ATTACKS[name]
    envelope = bound_envelope(keyring, owner)
    typed(keyring, owner).unlock(envelope, QUORUM)
    typed(keyring, owner, attack.passphrase)
    with pytest.raises(attack.error):
        attack.use(keyring, dataclasses.replace(envelope, **attack.change))  # type: ignore[arg-type]
    assert_locked_and_empty(keyring)


def test_attack_a_draft_does_not_unlock_even_when_no_quorum_is_asked_for(
    keyring: Keyring, owner: PassphraseOwner
) -> None:
    draft = born(keyring, owner).envelope
    typed(keyring, owner)
    with pytest.raises(EnvelopeError, match="draft"):
        keyring.unlock(draft, None)  # type: ignore[arg-type]
    assert_locked_and_empty(keyring)


@pytest.mark.parametrize("field", ["xpub", "identity", "fingerprint"])
def test_attack_well_sealed_public_keys_that_are_not_the_seeds_are_refused(
    keyring: Keyring, owner: PassphraseOwner, memory: GuardedMemory, field: str
) -> None:
    envelope = bound_envelope(keyring, owner)
    right: bytes = getattr(envelope, field)
    lying = dataclasses.replace(envelope, **{field: right[:-1] + bytes([right[-1] ^ 1])})  # type: ignore[arg-type]
    sealed = Sealer(memory, TEST_BOUNDS).seal(lying, stored(memory, PASSPHRASE), stored(memory, seed_of(envelope)))
    typed(keyring, owner)
    with pytest.raises(EnvelopeError, match="public keys"):
        keyring.unlock(sealed, QUORUM)
    assert_locked_and_empty(keyring)


def test_attack_an_envelope_of_another_network_is_refused(owner: PassphraseOwner) -> None:
    with new_keyring(network=Network.REGTEST) as test_ring:
        envelope = bound_envelope(test_ring, owner)
    with new_keyring(network=Network.MAINNET) as main_ring:
        typed(main_ring, owner)
        with pytest.raises(EnvelopeError, match="network"):
            main_ring.unlock(envelope, QUORUM)
        assert_locked_and_empty(main_ring)


def test_attack_a_production_keyring_opens_no_cheaply_sealed_envelope(keyring: Keyring, owner: PassphraseOwner) -> None:
    envelope = bound_envelope(keyring, owner)
    with Keyring(
        network=Network.REGTEST,
        entropy=KernelEntropy(),
        kdf_bounds=PRODUCTION_BOUNDS,
        kdf_cost=PRODUCTION_COST,
    ) as strict:
        typed(strict, owner)
        with pytest.raises(EnvelopeError, match="opslimit"):
            strict.unlock(envelope, QUORUM)
        assert_locked_and_empty(strict)


def test_a_keyring_that_would_seal_too_cheaply_is_not_made() -> None:
    with pytest.raises(EnvelopeError):
        Keyring(
            network=Network.REGTEST,
            entropy=KernelEntropy(),
            kdf_bounds=PRODUCTION_BOUNDS,
            kdf_cost=TEST_COST,
        )


def test_a_machine_that_computes_wrongly_gets_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "_ECDSA_DIGEST", bytes(32))
    with pytest.raises(SelfTestError, match="ECDSA"):
        new_keyring()


@pytest.mark.parametrize(
    "use",
    [
        lambda ring, envelope: ring.unlock(envelope, QUORUM),
        lambda ring, envelope: ring.rebind(envelope, QUORUM),
    ],
)
def test_a_passphrase_opens_once_and_then_must_be_typed_again(
    keyring: Keyring, owner: PassphraseOwner, use: Use
) -> None:
    envelope = bound_envelope(keyring, owner)
    typed(keyring, owner).unlock(envelope, QUORUM)
    with pytest.raises(PassphraseError):
        use(keyring, envelope)
    assert_locked_and_empty(keyring)


def test_a_new_passphrase_is_typed_twice(keyring: Keyring, owner: PassphraseOwner) -> None:
    rolled(keyring, owner)
    owner.prompts.clear()
    owner.echoing.clear()
    owner.will_type(PASSPHRASE, PASSPHRASE)
    keyring.read_new_passphrase(owner.tty, owner.announce)
    assert len(owner.prompts) == 2
    assert owner.echoing == [False, False]
    assert guarded_bytes(keyring).count(PASSPHRASE) == 1
    new = keyring.create_key()
    assert isinstance(new, NewKey)
    assert len(seed_of(new.envelope)) == 32
    assert PASSPHRASE not in owner.screen()


def test_two_new_passphrases_that_differ_are_refused(keyring: Keyring, owner: PassphraseOwner) -> None:
    owner.will_type(PASSPHRASE, OTHER_PASSPHRASE)
    with pytest.raises(PassphraseMismatchError):
        keyring.read_new_passphrase(owner.tty, owner.announce)
    assert_locked_and_empty(keyring)
    rolled(keyring, owner)
    with pytest.raises(PassphraseError):
        keyring.create_key()


def test_a_passphrase_that_was_mistyped_leaves_an_open_key_open(keyring: Keyring, owner: PassphraseOwner) -> None:
    draft = born(keyring, owner).envelope
    for bad in (b"too short", b"p" * PASSPHRASE_SLOT_BYTES):
        with pytest.raises(PassphraseLengthError):
            typed(keyring, owner, bad)
    assert keyring.sign_identity(b"data")
    assert typed(keyring, owner).rebind(draft, QUORUM).quorum_id == QUORUM


def test_a_screen_that_fails_while_it_prompts_leaves_no_passphrase(keyring: Keyring, owner: PassphraseOwner) -> None:
    class ScreenFailedError(Exception):
        pass

    def announce(prompt: str) -> None:
        if "again" in prompt:
            raise ScreenFailedError
        owner.announce(prompt)

    owner.will_type(PASSPHRASE)
    with pytest.raises(ScreenFailedError):
        keyring.read_new_passphrase(owner.tty, announce)
    assert_locked_and_empty(keyring)


@pytest.mark.parametrize(
    ("branch", "index", "digest"),
    [(2, 0, bytes(32)), (-1, 0, bytes(32)), (0, -1, bytes(32)), (0, 1 << 31, bytes(32)), (0, 0, bytes(31))],
)
def test_an_input_outside_the_two_branches_cannot_be_asked_for(branch: int, index: int, digest: bytes) -> None:
    with pytest.raises(ValueError, match="an input is"):
        InputRequest(branch, index, digest)


def test_a_tweak_may_be_said_and_is_whole(keyring: Keyring, owner: PassphraseOwner) -> None:
    envelope = bound_envelope(keyring, owner)
    typed(keyring, owner).unlock(envelope, QUORUM)
    said = [dataclasses.replace(one, tweak=keyring.xpub.child(one.branch).child_tweak(one.index)) for one in REQUESTS]
    assert keyring.sign_inputs(said) == keyring.sign_inputs(REQUESTS)
    with pytest.raises(ValueError, match="32 bytes"):
        InputRequest(0, 0, bytes(32), b"short")


def test_attack_a_fault_in_a_branch_key_is_found_by_the_verify_stage(keyring: Keyring, owner: PassphraseOwner) -> None:
    envelope = bound_envelope(keyring, owner)
    typed(keyring, owner).unlock(envelope, QUORUM)
    points = [ParentKey(keyring.xpub.child(one.branch)).child(one.index).point for one in REQUESTS]
    digests = [one.digest for one in REQUESTS]
    assert first_invalid(points, digests, keyring.sign_inputs(REQUESTS)) is None
    faulty = keyring._account._branch_keys[1].part(31, 1)
    with keyring._memory.used():
        faulty.store_public(bytes([faulty.read_public()[0] ^ 1]))
    first = next(at for at, one in enumerate(REQUESTS) if one.branch == 1)
    assert first_invalid(points, digests, keyring.sign_inputs(REQUESTS)) == first


def test_attack_a_branch_key_out_of_range_gives_no_signature_and_wipes(
    keyring: Keyring, owner: PassphraseOwner
) -> None:
    envelope = bound_envelope(keyring, owner)
    typed(keyring, owner).unlock(envelope, QUORUM)
    with keyring._memory.used():
        keyring._account._branch_keys[1].store_public(b"\xff" * 32)
    with pytest.raises(SigningError):
        keyring.sign_inputs(REQUESTS)
    assert_locked_and_empty(keyring)


def test_entropy_fills_the_whole_slot_and_never_twice_the_same(memory: GuardedMemory) -> None:
    slots = [memory.take(1000) for _ in range(2)]
    for slot in slots:
        KernelEntropy().fill(slot)
    first, second = (slot.read_public() for slot in slots)
    assert first != second
    for data in (first, second):
        assert len(set(data)) > 200
        assert data[-16:] != bytes(16)
    assert len(KernelEntropy().public(24)) == 24
