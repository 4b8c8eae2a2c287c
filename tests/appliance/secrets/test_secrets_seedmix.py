"""A new seed is made of the system's bytes and the owner's dice, and the owner can compute it again."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance.secrets.secrets_support import (
    DICE,
    PASSPHRASE,
    FixedEntropy,
    PassphraseOwner,
    mixed_seed,
    new_keyring,
    other_opinion,
    rolled,
    seed_of,
    stored,
    typed,
)
from undercroft_appliance.errors import KeyringLockedError, OwnerEntropyError, PassphraseError, SelfTestError
from undercroft_appliance.keeper.secrets import Keyring
from undercroft_appliance.keeper.secrets.memory import GuardedMemory, Slot
from undercroft_appliance.keeper.secrets.seedmix import MOST_TYPED, SEED_TAG, SeedMixer, tagged_digest
from undercroft_protocol.bitcoin.hashes import tagged_hash
from undercroft_protocol.bitcoin.network import Network

RECOMPUTE = Path(__file__).parents[3] / "tools" / "recompute_key.py"
SYSTEM = hashlib.sha256(b"obvious test bytes of the system").digest()


def mixer(memory: GuardedMemory) -> SeedMixer:
    entropy = FixedEntropy()
    entropy.system = SYSTEM
    made = SeedMixer(memory, entropy)
    made.draw()
    return made


def held(mixer: SeedMixer) -> bytes:
    return mixer._block.read_public()[64:] + mixer._seen.read_public()


def taken(mixer: SeedMixer, owner: PassphraseOwner, *lines: bytes) -> int:
    owner.will_type(*lines)
    return mixer.read(owner.tty, owner.announce)


@pytest.mark.parametrize("size", [0, 1, 32, 82, 232])
def test_the_tagged_hash_on_pointers_is_that_of_bip_340(memory: GuardedMemory, size: int) -> None:
    data, out = os.urandom(size), memory.take(32)
    tagged_digest(SEED_TAG, stored(memory, bytes(64) + data), out)
    assert out.read_public() == tagged_hash("undercroft/1/seed", data)


def test_the_commitment_is_to_the_systems_bytes_alone_and_comes_first(memory: GuardedMemory) -> None:
    entropy = FixedEntropy()
    entropy.system = SYSTEM
    assert SeedMixer(memory, entropy).draw() == tagged_hash("undercroft/1/seed-commitment", SYSTEM)


@pytest.mark.parametrize(
    ("lines", "counted"),
    [
        ([DICE], DICE),
        ([DICE[:20], DICE[20:49], DICE[49:]], DICE),
        ([b" " + b" ".join(DICE[at : at + 5] for at in range(0, 50, 5)) + b"  "], DICE),
        ([b"", DICE[:49], b"   ", DICE[49:]], DICE),
        ([b"k;5 hW~!zq" * 7], b"k;5hW~!zq" * 7),
        ([DICE[:49], b"x" * (MOST_TYPED - 49)], DICE[:49] + b"x" * (MOST_TYPED - 49)),
    ],
)
def test_the_seed_is_the_hash_of_both_in_whatever_lines_they_come(
    memory: GuardedMemory, owner: PassphraseOwner, lines: Sequence[bytes], counted: bytes
) -> None:
    mixed, seed = mixer(memory), memory.take(32)
    assert taken(mixed, owner, *lines) == len(counted)
    assert len(owner.prompts) == len(lines)
    mixed.mix(seed)
    assert seed.read_public() == mixed_seed(SYSTEM, counted)


def test_the_owner_is_told_how_many_characters_were_taken_and_never_which(
    memory: GuardedMemory, owner: PassphraseOwner
) -> None:
    taken(mixer(memory), owner, DICE[:12], DICE[12:20], DICE[20:])
    assert [re.findall(r"\d+", prompt)[0] for prompt in owner.prompts] == ["0", "12", "20"]
    assert owner.echoing == [False] * 3
    assert owner.screen() == b"\r\n" * 3


@pytest.mark.parametrize(
    "bad", [b"an arrow \x1b[A", b"an accent \xc3\xa9", b"a tab \t", b"x" * (MOST_TYPED + 1), b"x" * 5000]
)
def test_a_line_that_nobody_could_type_again_does_not_count(
    memory: GuardedMemory, owner: PassphraseOwner, bad: bytes
) -> None:
    mixed, seed = mixer(memory), memory.take(32)
    # A terminal in line mode hands over 4095 bytes of a line at most.
    assert taken(mixed, owner, DICE[:30], bad, DICE[30:]) == 50
    assert "does not count" in owner.prompts[2]
    assert "30 of at least 50" in owner.prompts[2]
    mixed.mix(seed)
    assert seed.read_public() == mixed_seed(SYSTEM)


@pytest.mark.parametrize("line", [b"6" * 60, b"1234" * 15, b"hthhthtt" * 10])
def test_a_key_that_was_held_down_is_refused_and_leaves_nothing(
    memory: GuardedMemory, owner: PassphraseOwner, line: bytes
) -> None:
    mixed = mixer(memory)
    with pytest.raises(OwnerEntropyError, match="different characters"):
        taken(mixed, owner, line)
    assert held(mixed) == SYSTEM + bytes(len(held(mixed)) - 32)
    with pytest.raises(OwnerEntropyError):
        mixed.mix(memory.take(32))
    assert taken(mixed, owner, DICE) == 50


def test_a_terminal_that_hangs_up_gives_no_key(memory: GuardedMemory, owner: PassphraseOwner) -> None:
    mixed = mixer(memory)
    with pytest.raises(OwnerEntropyError):
        mixed.read(owner.tty, lambda _: owner.hang_up())
    assert held(mixed) == SYSTEM + bytes(len(held(mixed)) - 32)


def test_what_was_typed_is_gone_as_soon_as_it_is_mixed(memory: GuardedMemory, owner: PassphraseOwner) -> None:
    mixed = mixer(memory)
    taken(mixed, owner, DICE)
    assert DICE in held(mixed)
    mixed.mix(memory.take(32))
    assert held(mixed) == SYSTEM + bytes(len(held(mixed)) - 32)


def test_attack_the_owner_rolls_before_the_system_has_committed_itself(
    memory: GuardedMemory, owner: PassphraseOwner
) -> None:
    mixed = SeedMixer(memory, FixedEntropy())
    for act in (
        lambda: taken(mixed, owner, DICE),
        lambda: mixed.mix(memory.take(32)),
        lambda: mixed.reveal(Slot(0, 0)),
    ):
        with pytest.raises(OwnerEntropyError, match="drawn"):
            act()


def test_attack_bytes_that_were_revealed_go_into_no_key(keyring: Keyring, owner: PassphraseOwner) -> None:
    rolled(keyring, owner)
    revealed = keyring.reveal_entropy()
    assert len(set(revealed)) > 8
    memory = keyring._memory
    with memory.used():
        assert Slot(memory.address, memory.size).read_public() == bytes(memory.size)
    for act in (keyring.reveal_entropy, keyring.mix_entropy, lambda: typed(keyring, owner).create_key()):
        with pytest.raises(OwnerEntropyError):
            act()


def test_attack_a_key_without_the_owners_dice(keyring: Keyring, owner: PassphraseOwner) -> None:
    with pytest.raises(OwnerEntropyError):
        typed(keyring, owner).create_key()
    keyring.draw_entropy()
    with pytest.raises(OwnerEntropyError):
        keyring.mix_entropy()
    assert not keyring.is_open


def test_every_draw_is_another_one(keyring: Keyring, owner: PassphraseOwner) -> None:
    commitments = {keyring.draw_entropy() for _ in range(20)}
    fingerprints = {rolled(keyring, owner).fingerprint for _ in range(5)}
    assert (len(commitments), len(fingerprints)) == (20, 5)


def test_attack_the_key_changes_after_its_public_parts_were_shown(keyring: Keyring, owner: PassphraseOwner) -> None:
    rolled(keyring, owner)
    faulty = keyring._seed.part(0, 1)
    with keyring._memory.used():
        faulty.store_public(bytes([faulty.read_public()[0] ^ 1]))
    with pytest.raises(SelfTestError, match="changed"):
        typed(keyring, owner).create_key()
    assert not keyring.is_open


def test_a_passphrase_may_be_mistyped_before_the_key_is_sealed(keyring: Keyring, owner: PassphraseOwner) -> None:
    public = rolled(keyring, owner)
    owner.will_type(PASSPHRASE, b"something else, typed wrongly")
    with pytest.raises(PassphraseError):
        keyring.read_new_passphrase(owner.tty, owner.announce)
    owner.will_type(PASSPHRASE, PASSPHRASE)
    keyring.read_new_passphrase(owner.tty, owner.announce)
    envelope = keyring.create_key().envelope
    assert (envelope.fingerprint, envelope.xpub) == (public.fingerprint, public.xpub.serialize())
    assert seed_of(envelope) != bytes(32)


def test_a_closed_keyring_makes_no_key() -> None:
    with new_keyring() as keyring:
        pass
    for act in (keyring.draw_entropy, keyring.mix_entropy, keyring.reveal_entropy):
        with pytest.raises(KeyringLockedError):
            act()


def recompute(network: Network, system: str, dice: bytes, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(RECOMPUTE), "--network", network.value, "--system", system, *arguments]
    return subprocess.run(command, input=dice.decode(), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("network", Network)
def test_the_owner_computes_a_revealed_key_again_on_another_machine(owner: PassphraseOwner, network: Network) -> None:
    with new_keyring(network=network) as keyring:
        commitment = keyring.draw_entropy()
        owner.will_type(DICE)
        keyring.read_entropy(owner.tty, owner.announce)
        public = keyring.mix_entropy()
        system = keyring.reveal_entropy()
    other = other_opinion(mixed_seed(system), network)
    assert public.fingerprint == other.master.my_fingerprint
    assert public.xpub.text() == str(other.account.to_public())
    shown = ("--fingerprint", public.fingerprint.hex(), "--xpub", public.xpub.text())
    good = recompute(network, system.hex("-", 2), DICE, "--commitment", commitment.hex("-", 2), *shown)
    assert good.returncode == 0, good.stdout + good.stderr
    assert good.stdout.count("agrees") == 3


@pytest.mark.parametrize("lie", ["commitment", "fingerprint", "xpub", "dice"])
def test_attack_an_appliance_that_lies_about_a_checked_key_is_found(lie: str) -> None:
    other = other_opinion(mixed_seed(SYSTEM))
    told = {
        "commitment": tagged_hash("undercroft/1/seed-commitment", SYSTEM).hex(),
        "fingerprint": other.master.my_fingerprint.hex(),
        "xpub": str(other.account.to_public()),
    }
    dice = DICE
    if lie == "dice":
        dice = DICE[:-1] + b"2"
    else:
        told[lie] = told[lie][:-1] + ("1" if told[lie][-1] != "1" else "2")
    arguments = [part for name, value in told.items() for part in (f"--{name}", value)]
    found = recompute(Network.REGTEST, SYSTEM.hex(), dice, *arguments)
    assert found.returncode == 1
    assert "DIFFERS" in found.stdout


def test_too_few_characters_cannot_be_recomputed() -> None:
    assert recompute(Network.REGTEST, SYSTEM.hex(), DICE[:49]).returncode == 2
    assert recompute(Network.REGTEST, SYSTEM.hex()[:-2], DICE).returncode == 2
