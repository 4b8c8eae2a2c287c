"""Everything that can go wrong on an appliance, each with a stable code.

A class per kind; its docstring is the message, the argument says which part. No message carries a secret.
"""

from __future__ import annotations

from typing import ClassVar


class ApplianceError(Exception):
    """The appliance cannot do this."""

    code: ClassVar[str] = "appliance"

    def __init__(self, detail: str = "") -> None:
        self.detail = detail
        message = (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(f"{message.rstrip('.')}: {detail}" if detail else message)


class MemoryUnavailableError(ApplianceError):
    """The memory that secrets need cannot be had."""

    code = "memory"


class PassphraseError(ApplianceError):
    """No passphrase could be read."""

    code = "passphrase"


class PassphraseLengthError(PassphraseError):
    """This passphrase is too short or too long."""

    code = "passphrase-length"


class PassphraseCharacterError(PassphraseError):
    """A passphrase holds no control characters."""

    code = "passphrase-character"


class PassphraseMismatchError(PassphraseError):
    """The two passphrases differ."""

    code = "passphrase-mismatch"


class OwnerEntropyError(ApplianceError):
    """What the owner typed is not enough for a key."""

    code = "owner-entropy"


class WrongPassphraseError(ApplianceError):
    """Wrong passphrase or damaged envelope."""

    code = "wrong-passphrase"


class EnvelopeError(ApplianceError):
    """This envelope is not one that this appliance opens."""

    code = "envelope"


class KeyringLockedError(ApplianceError):
    """The key that this needs is not unlocked."""

    code = "keyring-locked"


class LogFileError(ApplianceError):
    """This is not a whole log as an appliance wrote it."""

    code = "log-file"


class LogSealError(ApplianceError):
    """This part of a log was not sealed with this key for this entry."""

    code = "log-sealed"


class KeyDerivationError(ApplianceError):
    """This seed leads to a number that is no key (BIP 32); make another."""

    code = "key-derivation"


class SigningError(ApplianceError):
    """A signature was not made, or does not verify with its own public key."""

    code = "signing"


class SelfTestError(ApplianceError):
    """This machine computes something wrongly, or lacks a part that it must have."""

    code = "self-test"


class ChannelError(ApplianceError):
    """The channel between two processes of the appliance failed."""

    code = "channel"


class ConfigurationError(ApplianceError):
    """The appliance is set up wrongly."""

    code = "configuration"


class TerminalGoneError(ApplianceError):
    """The owner's terminal is gone."""

    code = "terminal-gone"


class BootError(ApplianceError):
    """The appliance's operating system does not start."""

    code = "boot"
