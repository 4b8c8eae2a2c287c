"""What the keeper needs of a keyring; ``secrets.Keyring`` is the one that ships."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.messages import Envelope

from .secrets import InputRequest, NewKey, PublicParts


class InputSigner(Protocol):
    """Signs inputs of Bitcoin transactions."""

    def sign_inputs(self, requests: Sequence[InputRequest]) -> tuple[bytes, ...]:
        """One DER signature per input, without the sighash byte, and not verified."""


class LogSealer(Protocol):
    """Seals what only the owner may read in the log."""

    @property
    def is_open(self) -> bool:
        """Whether there is a key to seal with."""

    def seal_log(self, data: bytes, associated: bytes) -> bytes:
        """Nonce, ciphertext and tag, bound to ``associated``."""


class Keys(InputSigner, LogSealer, Protocol):
    """One owner's key, from passphrase to wipe; see ``secrets.keyring.Keyring``."""

    def read_new_passphrase(self, tty_fd: int, announce: Callable[[str], None]) -> None:
        """Read a new passphrase twice."""

    def read_passphrase(self, tty_fd: int, announce: Callable[[str], None] | None = None) -> None:
        """Read the passphrase."""

    def draw_entropy(self) -> bytes:
        """Begin a new key with the system's randomness; returns the commitment to it (32 bytes)."""

    def read_entropy(self, tty_fd: int, announce: Callable[[str], None]) -> int:
        """Read the owner's dice; returns how many characters were taken."""

    def mix_entropy(self) -> PublicParts:
        """Make the new key of both."""

    def reveal_entropy(self) -> bytes:
        """Throw the new key away; returns the system's 32 bytes that were in it."""

    def create_key(self) -> NewKey:
        """Seal the mixed key in a draft envelope."""

    def rebind(self, envelope: Envelope, quorum_id: bytes) -> Envelope:
        """Open a draft and bind it to a quorum."""

    def unlock(self, envelope: Envelope, quorum_id: bytes) -> None:
        """Open a bound envelope."""

    def sign_identity(self, data: bytes) -> bytes:
        """Ed25519, 64 bytes."""

    @property
    def identity_public_key(self) -> bytes:
        """32 bytes."""

    @property
    def xpub(self) -> ExtendedPublicKey:
        """The account key."""

    @property
    def fingerprint(self) -> bytes:
        """4 bytes."""

    @property
    def touched(self) -> bool:
        """Whether a secret was ever in it, open or wiped."""

    @property
    def memory_kind(self) -> str:
        """What guards the secrets."""

    def wipe(self) -> None:
        """Overwrite every secret."""
