"""The envelope, sealed and opened: passphrase -> Argon2id (RFC 9106) -> XChaCha20-Poly1305 -> seed.

Everything an envelope says beside its ciphertext is associated data (`Envelope.associated_data`), so that the
cost, the quorum, the xpub and the identity cannot be swapped under the seal.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

from undercroft_appliance.errors import EnvelopeError, SelfTestError, WrongPassphraseError
from undercroft_protocol.messages.envelope import Envelope

from .argon2id import Argon2id
from .memory import GuardedMemory, Slot, stack_wipe
from .native import sodium, sodium_ffi

SEED_BYTES: Final = 32
SEALING_KEY_BYTES: Final = 32
NONCE_BYTES: Final = 24
TAG_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class KdfCost:
    """What one guess at a passphrase costs: passes over so many KiB of memory."""

    opslimit: int
    memory_kib: int


@dataclass(frozen=True, slots=True)
class KdfBounds:
    """The costs that an envelope may ask for, both ends included."""

    least: KdfCost
    most: KdfCost

    def check(self, cost: KdfCost) -> None:
        """Raises EnvelopeError unless both numbers lie within the bounds."""
        # Attack: a host hands over an envelope that takes all memory or hours, or one sealed so cheaply that
        # whoever has a copy of it guesses the passphrase.
        for name, value, least, most in (
            ("opslimit", cost.opslimit, self.least.opslimit, self.most.opslimit),
            ("memory_kib", cost.memory_kib, self.least.memory_kib, self.most.memory_kib),
        ):
            if not least <= value <= most:
                raise EnvelopeError(f"{name} {value} is not between {least} and {most}")


PRODUCTION_COST: Final = KdfCost(opslimit=3, memory_kib=256 * 1024)
"""Above RFC 9106's second recommendation (3 passes, 64 MiB), and fits a board with 1 GiB."""
PRODUCTION_BOUNDS: Final = KdfBounds(least=KdfCost(3, 64 * 1024), most=KdfCost(16, 1024 * 1024))

TEST_COST: Final = KdfCost(opslimit=1, memory_kib=1024)
"""For tests and the demo only: a guess costs a thousandth of a second."""
TEST_BOUNDS: Final = KdfBounds(least=KdfCost(1, 8), most=KdfCost(16, 1024 * 1024))


class Sealer:
    """Seals and opens envelopes, with slots of its own for the sealing key and for reading back."""

    def __init__(self, memory: GuardedMemory, bounds: KdfBounds) -> None:
        self._bounds = bounds
        self._argon2id = Argon2id()
        self._sealing_key = memory.take(SEALING_KEY_BYTES)
        self._read_back = memory.take(SEED_BYTES)

    def seal(self, blank: Envelope, passphrase: Slot, seed: Slot) -> Envelope:
        """The envelope `blank`, which has a fresh salt and nonce, with the seed (32 bytes) in its ciphertext.

        Raises EnvelopeError (cost out of bounds), MemoryUnavailableError, SelfTestError (it would not open).
        """
        try:
            self._derive_sealing_key(blank, passphrase)
            ciphertext = self._encrypt(blank, seed)
            sealed = dataclasses.replace(blank, ciphertext=ciphertext)
            self._decrypt(sealed, self._read_back)
            if sodium.sodium_memcmp(self._read_back.sodium, seed.sodium, SEED_BYTES) != 0:
                raise SelfTestError("an envelope does not give back the seed that was sealed")
        finally:
            self._forget()
        return sealed

    def open(self, envelope: Envelope, passphrase: Slot, seed: Slot) -> None:
        """Fills `seed` (32 bytes) from the envelope.

        Raises EnvelopeError (cost out of bounds), WrongPassphraseError, MemoryUnavailableError.
        """
        try:
            self._derive_sealing_key(envelope, passphrase)
            self._decrypt(envelope, seed)
        finally:
            self._forget()

    def _derive_sealing_key(self, envelope: Envelope, passphrase: Slot) -> None:
        self._bounds.check(KdfCost(envelope.opslimit, envelope.memory_kib))
        self._argon2id.derive(
            passphrase,
            envelope.salt,
            opslimit=envelope.opslimit,
            memory_kib=envelope.memory_kib,
            out=self._sealing_key,
        )

    def _encrypt(self, blank: Envelope, seed: Slot) -> bytes:
        if seed.size != SEED_BYTES:
            raise ValueError(f"a seed has {SEED_BYTES} bytes")
        ciphertext = sodium_ffi.new(f"unsigned char[{SEED_BYTES + TAG_BYTES}]")
        size = sodium_ffi.new("unsigned long long *")
        associated = blank.associated_data()
        sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
            ciphertext, size, seed.sodium, seed.size, associated, len(associated),
            sodium_ffi.NULL, blank.nonce, self._sealing_key.sodium,
        )  # fmt: skip
        return bytes(sodium_ffi.buffer(ciphertext))

    def _decrypt(self, envelope: Envelope, seed: Slot) -> None:
        if seed.size != SEED_BYTES or len(envelope.ciphertext) != SEED_BYTES + TAG_BYTES:
            raise ValueError(f"a seed has {SEED_BYTES} bytes")
        size = sodium_ffi.new("unsigned long long *")
        associated = envelope.associated_data()
        # Attack: any field of the envelope changed on its way through a hostile host.
        failed = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            seed.sodium, size, sodium_ffi.NULL, envelope.ciphertext, len(envelope.ciphertext),
            associated, len(associated), envelope.nonce, self._sealing_key.sodium,
        )  # fmt: skip
        if failed:
            raise WrongPassphraseError

    def _forget(self) -> None:
        self._sealing_key.wipe()
        self._read_back.wipe()
        stack_wipe()
