"""The keyring with what only development needs: drafts opened for signing, a known seed, a passphrase from a pipe.

No image has this module, so that an appliance has no way to sign with a key that is bound to no quorum.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from undercroft_appliance.errors import ConfigurationError, EnvelopeError, PassphraseError, PassphraseLengthError
from undercroft_appliance.keeper.secrets import (
    PRODUCTION_BOUNDS,
    PRODUCTION_COST,
    TEST_BOUNDS,
    TEST_COST,
    KernelEntropy,
    Keyring,
)
from undercroft_appliance.keeper.secrets.memory import Slot
from undercroft_appliance.keeper.secrets.native import libc
from undercroft_appliance.keeper.secrets.passphrase import MIN_PASSPHRASE_BYTES
from undercroft_appliance.sandbox.process import harden_process
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import Envelope

KDF: Final = {"production": (PRODUCTION_BOUNDS, PRODUCTION_COST), "demo": (TEST_BOUNDS, TEST_COST)}
KDF_HELP: Final = "how hard the passphrase is to guess; demo is quick and weak, for tests (default: production)"
_TERMINAL: Final = Path("/dev/tty")
_NEWLINE: Final = 0x0A


class DevelopmentKeyring(Keyring):
    """A keyring in guarded memory like the appliance's own, for the tools beside this module."""

    def make_draft(self, fill: Callable[[Slot], None]) -> Envelope:
        """A key of the 32 bytes that ``fill`` puts into guarded memory, sealed in a draft. Raises as `unlock`."""
        with self._opening():
            fill(self._seed)
            public = self._derive_public()
            envelope = self._seal(public, quorum_id=None)
            self._public = public
        return envelope

    def open_draft(self, envelope: Envelope) -> None:
        """Opens an envelope that is bound to no quorum. Raises EnvelopeError, WrongPassphraseError, PassphraseError."""
        with self._opening():
            if envelope.quorum_id is not None:
                raise EnvelopeError("it is bound to a quorum; give the quorum's file")
            public = self._open(envelope)
            self._account.keep_branches(public.xpub)
            self._public = public

    def open_log(self, sealed: bytes, associated: bytes) -> bytes:
        """What `seal_log` was given. Raises KeyringLockedError, LogSealError."""
        self._opened()
        with self._memory.used():
            return self._log_key.open(sealed, associated)

    def take_passphrase(self, descriptor: int | None, *, new: bool) -> None:
        """From a file descriptor, one line or all of it; without one from the terminal, a new one typed twice.

        Raises PassphraseError, ConfigurationError (no terminal).
        """
        if descriptor is not None:
            with self._asking():
                self._passphrase_length = _read_line(descriptor, self._passphrase)
            return
        with _terminal() as terminal:
            if new:
                self.read_new_passphrase(terminal, lambda prompt: _show(terminal, prompt))
            else:
                self.read_passphrase(terminal, lambda prompt: _show(terminal, prompt))


def opened_keyring(network: Network, kdf: str) -> DevelopmentKeyring:
    """A locked keyring in a process that is closed to others. Raises ConfigurationError, MemoryUnavailableError."""
    # Attack: a mainnet envelope sealed with parameters that a graphics card goes through in days.
    if kdf == "demo" and network is Network.MAINNET:
        raise ConfigurationError("demo key strength is refused on mainnet")
    harden_process()
    bounds, cost = KDF[kdf]
    return DevelopmentKeyring(network=network, entropy=KernelEntropy(), kdf_bounds=bounds, kdf_cost=cost)


def read_exactly(descriptor: int, slot: Slot) -> None:
    """Fills the slot from a file descriptor by read(2); raises ConfigurationError unless it holds exactly that much."""
    filled = 0
    while filled < slot.size:
        count = _read(descriptor, slot.part(filled, slot.size - filled))
        if count == 0:
            break
        filled += count
    spare = ctypes.create_string_buffer(1)
    if filled != slot.size or libc.read(descriptor, ctypes.addressof(spare), 1) != 0:
        raise ConfigurationError(f"descriptor {descriptor} does not hold exactly {slot.size} bytes")


def _read_line(descriptor: int, slot: Slot) -> int:
    """One line, byte by byte, so that nothing behind it is taken; its length in bytes without the newline."""
    length = 0
    while _read(descriptor, slot.part(length, 1)) and slot.sodium[length] != _NEWLINE:
        length += 1
        if length == slot.size:
            raise PassphraseLengthError(f"more than {slot.size - 1} bytes")
    slot.part(length, 1).wipe()
    if length < MIN_PASSPHRASE_BYTES:
        raise PassphraseLengthError(f"fewer than {MIN_PASSPHRASE_BYTES} bytes")
    return length


def _read(descriptor: int, slot: Slot) -> int:
    while True:
        count: int = libc.read(descriptor, slot.address, slot.size)
        if count >= 0:
            return count
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise PassphraseError(f"descriptor {descriptor}: {os.strerror(number)}")


@contextlib.contextmanager
def _terminal() -> Iterator[int]:
    try:
        terminal = os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY)
    except OSError as error:
        raise ConfigurationError(f"no terminal for the passphrase ({error.strerror}); use --passphrase-fd") from error
    try:
        yield terminal
    finally:
        os.close(terminal)


def _show(terminal: int, prompt: str) -> None:
    os.write(terminal, prompt.encode())
