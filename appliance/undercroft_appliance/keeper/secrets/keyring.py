"""The keyring: everything the keeper may do with its owner's key, and nothing that hands one out.

It knows a passphrase until it is used, and an opened key until `wipe`. What stays while open is the identity
key, the key that seals the log, and the private keys of the two branches (m/48h/coin/0h/2h/0 and /1); seed, account
key and chain code go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self

from undercroft_appliance.errors import (
    EnvelopeError,
    KeyringLockedError,
    OwnerEntropyError,
    PassphraseError,
    SelfTestError,
)
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages.envelope import ENVELOPE_VERSION, Envelope
from undercroft_protocol.messages.statements import possession_digest

from .account import Account, InputRequest
from .argon2id import SALT_BYTES
from .entropy import Entropy
from .envelope import NONCE_BYTES, SEED_BYTES, TAG_BYTES, KdfBounds, KdfCost, Sealer
from .hmac512 import HmacSha512
from .log_key import LogKey
from .memory import KINDS, GuardedMemory, Kind, Slot, stack_wipe
from .passphrase import compare, read_passphrase
from .seedmix import SeedMixer
from .selftest import self_test
from .signing import IdentityKey

PASSPHRASE_SLOT_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: sealed, and the account key's DER signature that proves its possession."""

    envelope: Envelope
    possession: bytes


@dataclass(frozen=True, slots=True)
class PublicParts:
    """What everybody may know of a key: master fingerprint (4 bytes), account xpub, Ed25519 identity (32 bytes)."""

    fingerprint: bytes
    xpub: ExtendedPublicKey
    identity: bytes


class Keyring:
    """The secrets of one owner in one guarded memory.

    A method that fails wipes them all; only a passphrase that could not be read, and a request that a locked
    keyring cannot serve, leave an open key as it was. Raises MemoryUnavailableError, SelfTestError when made.
    """

    def __init__(
        self,
        *,
        network: Network,
        entropy: Entropy,
        kdf_bounds: KdfBounds,
        kdf_cost: KdfCost,
        kinds: Sequence[Kind] = KINDS,
    ) -> None:
        kdf_bounds.check(kdf_cost)
        self_test(kinds, entropy)
        self._entropy = entropy
        self._cost = kdf_cost
        self._memory = memory = GuardedMemory(kinds=kinds)
        hmac = HmacSha512(memory)
        self._account = Account(memory, hmac, network)
        self._identity = IdentityKey(memory, hmac)
        self._log_key = LogKey(memory, hmac)
        self._sealer = Sealer(memory, kdf_bounds)
        self._passphrase = memory.take(PASSPHRASE_SLOT_BYTES)
        self._repeated = memory.take(PASSPHRASE_SLOT_BYTES)
        self._passphrase_length = 0
        self._mixer = SeedMixer(memory, entropy)
        self._seed = memory.take(SEED_BYTES)
        self._mixed: PublicParts | None = None
        self._public: PublicParts | None = None
        self._touched = False
        memory.shut()

    @property
    def memory_kind(self) -> Kind:
        """What guards the secrets; `mlock` is to be shown to the owner as a warning."""
        return self._memory.kind

    def read_passphrase(self, tty_fd: int, announce: Callable[[str], None] | None = None) -> None:
        """Reads the owner's passphrase. Raises PassphraseError (a subclass for each reason).

        `announce` gets the prompt when the terminal is ready for it; what is typed before is thrown away.
        """
        with self._asking():
            self._passphrase_length = _ask(tty_fd, self._passphrase, "Passphrase: ", announce)

    def read_new_passphrase(self, tty_fd: int, announce: Callable[[str], None]) -> None:
        """Reads a new passphrase twice. Raises PassphraseError (a subclass for each reason)."""
        with self._asking():
            length = _ask(tty_fd, self._passphrase, "New passphrase: ", announce)
            again = _ask(tty_fd, self._repeated, "The same passphrase again: ", announce)
            compare(self._passphrase, length, self._repeated, again)
            self._repeated.wipe()
            self._passphrase_length = length

    def draw_entropy(self) -> bytes:
        """Begins a new key: draws 32 bytes from the system; returns the commitment to them (32 bytes, public)."""
        self._require_memory()
        self._touched = True
        with self._all_or_nothing():
            self._forget_keys()
            self._forget_seed()
            return self._mixer.draw()

    def read_entropy(self, tty_fd: int, announce: Callable[[str], None]) -> int:
        """Reads the owner's dice, or keys hit at random; returns how many characters. Raises OwnerEntropyError."""
        self._require_memory()
        with self._memory.used():
            return self._mixer.read(tty_fd, announce)

    def mix_entropy(self) -> PublicParts:
        """Makes the new key of both. Its public parts are known before anybody knows whether it will be checked.

        Raises OwnerEntropyError.
        """
        self._require_memory()
        with self._all_or_nothing():
            self._mixer.mix(self._seed)
            self._mixed = self._derive_public()
            self._account.forget_account()
            self._identity.wipe()
            self._log_key.wipe()
        return self._mixed

    def reveal_entropy(self) -> bytes:
        """Throws the new key away and gives up the system's 32 bytes that were in it. Raises OwnerEntropyError."""
        self._require_memory()
        with self._all_or_nothing():
            self._mixed = None
            return self._mixer.reveal(self._seed)

    def create_key(self) -> NewKey:
        """Seals the key that was mixed under the passphrase, in a draft that is bound to no quorum yet.

        Afterwards only the identity key is open, to sign the owner's declaration. Raises PassphraseError,
        OwnerEntropyError (nothing was mixed), SelfTestError (it is not the key that was mixed).
        """
        with self._opening():
            if self._mixed is None:
                raise OwnerEntropyError("no key was mixed")
            public = self._derive_public()
            # Attack: a flipped bit since the owner was shown the key's public parts.
            if public != self._mixed:
                raise SelfTestError("the new key changed before it was sealed")
            digest = possession_digest(public.identity, public.xpub.serialize())
            possession = self._account.sign_as_account(digest, public.xpub)
            envelope = self._seal(public, quorum_id=None)
            self._public = public
        return NewKey(envelope, possession)

    def rebind(self, envelope: Envelope, quorum_id: bytes) -> Envelope:
        """Opens a draft and seals its key again with the quorum (32 bytes) bound; the keyring is then open.

        Raises EnvelopeError, WrongPassphraseError, PassphraseError.
        """
        with self._opening():
            # Attack: a key that already serves one quorum is bound to another, of a thief's choosing.
            if envelope.quorum_id is not None:
                raise EnvelopeError("it is bound to a quorum already")
            public = self._open(envelope)
            bound = self._seal(public, quorum_id)
            self._account.keep_branches(public.xpub)
            self._public = public
        return bound

    def unlock(self, envelope: Envelope, quorum_id: bytes) -> None:
        """Opens an envelope of this quorum (32 bytes).

        Raises EnvelopeError, WrongPassphraseError, PassphraseError.
        """
        with self._opening():
            # Attack: the owner's envelope of another quorum (an old one, a draft), to escape its rules.
            if envelope.quorum_id is None:
                raise EnvelopeError("it is a draft, bound to no quorum")
            if envelope.quorum_id != quorum_id:
                raise EnvelopeError("it belongs to another quorum")
            public = self._open(envelope)
            self._account.keep_branches(public.xpub)
            self._public = public

    @property
    def touched(self) -> bool:
        """Whether a secret was ever in it, open or wiped: then the process that holds it ends with it."""
        return self._touched

    @property
    def is_open(self) -> bool:
        """Whether the identity can sign."""
        return self._public is not None

    @property
    def identity_public_key(self) -> bytes:
        """The Ed25519 public key, 32 bytes. Raises KeyringLockedError."""
        return self._opened().identity

    @property
    def xpub(self) -> ExtendedPublicKey:
        """The account's extended public key, m/48h/coin/0h/2h. Raises KeyringLockedError."""
        return self._opened().xpub

    @property
    def fingerprint(self) -> bytes:
        """The master key's fingerprint, 4 bytes. Raises KeyringLockedError."""
        return self._opened().fingerprint

    def sign_identity(self, data: bytes) -> bytes:
        """The identity's Ed25519 signature (64 bytes). Raises KeyringLockedError, SigningError."""
        public = self._opened()
        with self._all_or_nothing():
            return self._identity.sign(data, public.identity)

    def seal_log(self, data: bytes, associated: bytes) -> bytes:
        """Nonce (24 bytes, random), ciphertext and tag (16 bytes) of a log entry's exact facts, bound to the entry.

        Raises KeyringLockedError.
        """
        self._opened()
        with self._memory.used():
            return self._log_key.seal(data, associated, self._entropy.public(NONCE_BYTES))

    def sign_inputs(self, requests: Sequence[InputRequest]) -> tuple[bytes, ...]:
        """One DER signature per input, without the sighash byte, and not verified: that is the keeper's next stage.

        Raises KeyringLockedError (also when only the identity is open), SigningError.
        """
        self._account.require_branches()
        with self._all_or_nothing():
            return self._account.sign_inputs(requests)

    def wipe(self) -> None:
        """Overwrites every secret; the keyring is locked and can be used again."""
        if self._memory.closed:
            return
        self._memory.wipe()
        with self._memory.used():
            self._forget_keys()
            self._forget_seed()
            self._forget_passphrase()
        stack_wipe()

    def close(self) -> None:
        """Wipes and gives the memory back; the keyring cannot be used again."""
        self.wipe()
        self._memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Keyring({'open' if self.is_open else 'locked'}, {self._memory.kind})"

    def _opened(self) -> PublicParts:
        if self._public is None:
            raise KeyringLockedError
        return self._public

    def _require_memory(self) -> None:
        if self._memory.closed:
            raise KeyringLockedError("it is closed for good")

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        try:
            with self._memory.used():
                yield
        except BaseException:
            self.wipe()
            raise
        finally:
            stack_wipe()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        self._require_memory()
        self._touched = True
        with self._memory.used():
            self._forget_passphrase()
            try:
                yield
            except BaseException:
                self._forget_passphrase()
                raise

    @contextmanager
    def _opening(self) -> Iterator[None]:
        """A passphrase goes in; afterwards neither it nor the seed nor the account key is left."""
        self._require_memory()
        with self._all_or_nothing():
            if not self._passphrase_length:
                raise PassphraseError("it was not asked for")
            self._forget_keys()
            try:
                yield
            finally:
                self._forget_passphrase()
                self._forget_seed()
                self._account.forget_account()

    def _forget_keys(self) -> None:
        self._public = None
        self._account.wipe()
        self._identity.wipe()
        self._log_key.wipe()

    def _forget_seed(self) -> None:
        self._mixed = None
        self._mixer.wipe()
        self._seed.wipe()

    def _forget_passphrase(self) -> None:
        self._passphrase_length = 0
        self._passphrase.wipe()
        self._repeated.wipe()

    def _derive_public(self) -> PublicParts:
        identity = self._identity.load(self._seed)
        self._log_key.load(self._seed)
        fingerprint, xpub = self._account.derive(self._seed)
        return PublicParts(fingerprint, xpub, identity)

    def _open(self, envelope: Envelope) -> PublicParts:
        self._sealer.open(envelope, self._typed_passphrase(), self._seed)
        public = self._derive_public()
        # Attack: an envelope sealed by someone who knows the passphrase, naming keys that are not the seed's.
        if (envelope.fingerprint, envelope.xpub, envelope.identity) != (
            public.fingerprint,
            public.xpub.serialize(),
            public.identity,
        ):
            raise EnvelopeError("its public keys are not those of its seed on this network")
        return public

    def _seal(self, public: PublicParts, quorum_id: bytes | None) -> Envelope:
        blank = Envelope(
            version=ENVELOPE_VERSION,
            opslimit=self._cost.opslimit,
            memory_kib=self._cost.memory_kib,
            salt=self._entropy.public(SALT_BYTES),
            nonce=self._entropy.public(NONCE_BYTES),
            quorum_id=quorum_id,
            fingerprint=public.fingerprint,
            xpub=public.xpub.serialize(),
            identity=public.identity,
            ciphertext=bytes(SEED_BYTES + TAG_BYTES),
        )
        return self._sealer.seal(blank, self._typed_passphrase(), self._seed)

    def _typed_passphrase(self) -> Slot:
        return self._passphrase.part(0, self._passphrase_length)


def _ask(tty_fd: int, slot: Slot, prompt: str, announce: Callable[[str], None] | None) -> int:
    return read_passphrase(tty_fd, slot, None if announce is None else lambda: announce(prompt))
