"""What the tests of the keeper's secret half share: an owner who types, and second opinions by other code.

Here, unlike in the product, secrets are plain Python objects: they are test secrets.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import pty
import termios
from dataclasses import dataclass
from pathlib import Path

import nacl.bindings
import pytest
from coincurve import PrivateKey
from coincurve._libsecp256k1 import ffi as secp_ffi
from embit import bip32
from nacl.signing import SigningKey

from undercroft_appliance.errors import MemoryUnavailableError
from undercroft_appliance.keeper.secrets import (
    TEST_BOUNDS,
    TEST_COST,
    KernelEntropy,
    Keyring,
    NewKey,
    PublicParts,
)
from undercroft_appliance.keeper.secrets.memory import GuardedMemory, Kind, Slot
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import Envelope

PASSPHRASE = b"Vexing quartz 9153, jumbo flywheel"
"""Only a test's; no part of it occurs elsewhere in a Python process, so that the scan can count its copies."""
DICE = b"31415926535897932384626433832795028841971693993751"
"""Fifty characters, the fewest that are enough."""
OTHER_PASSPHRASE = b"quite another passphrase"
QUORUM = hashlib.sha256(b"a quorum").digest()
OTHER_QUORUM = hashlib.sha256(b"another quorum").digest()
HARDENED = 0x8000_0000


class PassphraseOwner:
    """Types what it was told, a line at each prompt, on a pseudo-terminal whose other end is `tty`."""

    def __init__(self) -> None:
        self._keyboard, self.tty = pty.openpty()
        self.prompts: list[str] = []
        self.echoing: list[bool] = []
        self._lines: list[bytes] = []

    def will_type(self, *lines: bytes) -> None:
        self._lines.extend(lines)

    def announce(self, prompt: str) -> None:
        self.prompts.append(prompt)
        self.echoing.append(bool(self.flags() & termios.ECHO))
        self.type_now(self._lines.pop(0) + b"\n")

    def ready(self) -> None:
        self.announce("")

    def type_now(self, data: bytes) -> None:
        os.write(self._keyboard, data)

    def flags(self) -> int:
        local: int = termios.tcgetattr(self.tty)[3]
        return local

    def screen(self) -> bytes:
        """All that the terminal has shown."""
        os.set_blocking(self._keyboard, False)
        try:
            return os.read(self._keyboard, 65536)
        except BlockingIOError:
            return b""
        finally:
            os.set_blocking(self._keyboard, True)

    def hang_up(self) -> None:
        os.close(self._keyboard)
        self._keyboard = -1

    def close(self) -> None:
        if self._keyboard >= 0:
            os.close(self._keyboard)
        os.close(self.tty)


class FixedEntropy(KernelEntropy):
    """Gives always the same system bytes, once it has passed the self-test."""

    system: bytes | None = None

    def fill(self, slot: Slot) -> None:
        if self.system is None:
            super().fill(slot)
        else:
            slot.store_public(self.system)


def require_kind(kind: Kind) -> None:
    """Skips the test on a kernel without memfd_secret (before Linux 6.5 it must be switched on)."""
    try:
        GuardedMemory(kinds=(kind,)).close()
    except MemoryUnavailableError as reason:
        if kind == "mlock":
            raise
        pytest.skip(str(reason))


def new_keyring(system: bytes | None = None, network: Network = Network.REGTEST) -> Keyring:
    """A keyring whose system bytes are these, or random."""
    entropy = FixedEntropy()
    ring = Keyring(network=network, entropy=entropy, kdf_bounds=TEST_BOUNDS, kdf_cost=TEST_COST)
    entropy.system = system
    return ring


def typed(keyring: Keyring, owner: PassphraseOwner, passphrase: bytes = PASSPHRASE) -> Keyring:
    """The keyring, after its owner typed the passphrase."""
    owner.will_type(passphrase)
    keyring.read_passphrase(owner.tty, owner.announce)
    return keyring


def rolled(keyring: Keyring, owner: PassphraseOwner, dice: bytes = DICE) -> PublicParts:
    """The public parts of a new key, mixed of the system's bytes and the owner's dice."""
    keyring.draw_entropy()
    owner.will_type(dice)
    keyring.read_entropy(owner.tty, owner.announce)
    return keyring.mix_entropy()


def born(keyring: Keyring, owner: PassphraseOwner) -> NewKey:
    """A new key, sealed under the passphrase."""
    rolled(keyring, owner)
    return typed(keyring, owner).create_key()


def mixed_seed(system: bytes, dice: bytes = DICE) -> bytes:
    """What the keyring's seed must be, by hashlib alone."""
    tag = hashlib.sha256(b"undercroft/1/seed").digest()
    return hashlib.sha256(tag + tag + system + dice).digest()


def bound_envelope(keyring: Keyring, owner: PassphraseOwner, quorum_id: bytes = QUORUM) -> Envelope:
    """An envelope of a new key, bound to the quorum; the keyring is locked afterwards."""
    draft = born(keyring, owner).envelope
    envelope = typed(keyring, owner).rebind(draft, quorum_id)
    keyring.wipe()
    return envelope


def stored(memory: GuardedMemory, data: bytes) -> Slot:
    slot = memory.take(len(data))
    slot.store_public(data)
    return slot


def sealing_key_of(envelope: Envelope, passphrase: bytes = PASSPHRASE) -> bytes:
    key: bytes = nacl.bindings.crypto_pwhash_alg(
        32,
        passphrase,
        envelope.salt,
        envelope.opslimit,
        envelope.memory_kib * 1024,
        nacl.bindings.crypto_pwhash_ALG_ARGON2ID13,
    )
    return key


def seed_of(envelope: Envelope, passphrase: bytes = PASSPHRASE) -> bytes:
    """The seed in the envelope, by PyNaCl alone."""
    seed: bytes = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
        envelope.ciphertext,
        envelope.associated_data(),
        envelope.nonce,
        sealing_key_of(envelope, passphrase),
    )
    return seed


@dataclass(frozen=True)
class OtherOpinion:
    """All keys that come from a seed, by embit, hashlib and PyNaCl."""

    master: bip32.HDKey
    account: bip32.HDKey
    identity: SigningKey

    def child_secret(self, branch: int, index: int) -> bytes:
        secret: bytes = self.account.derive([branch, index]).key.secret
        return secret


def other_opinion(seed: bytes, network: Network = Network.REGTEST) -> OtherOpinion:
    # embit's version bytes: xprv for mainnet, tprv for the others.
    version = bytes.fromhex("0488ade4" if network is Network.MAINNET else "04358394")
    master = bip32.HDKey.from_seed(seed, version=version)
    account = master.derive([HARDENED | 48, HARDENED | network.coin_type, HARDENED, HARDENED | 2])
    identity_seed = hmac.digest(b"undercroft/1/identity", seed, "sha512")[:32]
    return OtherOpinion(master, account, SigningKey(identity_seed))


def core_signature(secret: bytes, digest: bytes) -> bytes:
    """What Bitcoin Core's CKey::Sign gives: RFC 6979, and a counter as extra entropy until R is low."""
    key = PrivateKey(secret)
    signature: bytes = key.sign(digest, hasher=None)
    counter = 0
    while signature[3] == 33:
        counter += 1
        extra = secp_ffi.new("unsigned char[32]", counter.to_bytes(32, "little"))
        signature = key.sign(digest, hasher=None, custom_nonce=(secp_ffi.NULL, extra))
    return signature


def vm_flags(address: int) -> set[str]:
    """The kernel's flags of the map that begins at this address (proc(5), smaps)."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        if line.startswith(f"{address:x}-"):
            return set(next(rest for rest in lines if rest.startswith("VmFlags")).split()[1:])
    raise AssertionError("no such map")
