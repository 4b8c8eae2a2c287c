"""What the keeper needs of a keyring; ``secrets.Keyring`` is the one that ships."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.messages import Envelope

from .secrets import InputRequest, NewKey


class InputSigner(Protocol):
    """Signs inputs of Bitcoin transactions."""

    def sign_inputs(self, requests: Sequence[InputRequest]) -> tuple[bytes, ...]:
        """One DER signature per input, without the sighash byte."""


class Keys(InputSigner, Protocol):
    """One owner's key, from passphrase to wipe; see ``secrets.keyring.Keyring``."""

    def read_new_passphrase(self, tty_fd: int, announce: Callable[[str], None]) -> None:
        """Read a new passphrase twice."""

    def read_passphrase(self, tty_fd: int, announce: Callable[[str], None] | None = None) -> None:
        """Read the passphrase."""

    def create_key(self) -> NewKey:
        """Make a key, sealed in a draft envelope."""

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
    def is_open(self) -> bool:
        """Whether the identity can sign."""

    @property
    def memory_kind(self) -> str:
        """What guards the secrets."""

    def wipe(self) -> None:
        """Overwrite every secret."""
