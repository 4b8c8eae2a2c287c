"""A new seed: the system's randomness mixed with what the owner typed (dice, or keys hit at random).

    commitment = tagged SHA-256 ("undercroft/1/seed-commitment") of the system's 32 bytes
    seed       = tagged SHA-256 ("undercroft/1/seed") of the system's 32 bytes and the owner's characters

The commitment is shown before the owner types, so that the system's bytes cannot be chosen to suit. One of the two
sources being good is enough. Tagged as in BIP 340: SHA-256(SHA-256(tag) || SHA-256(tag) || data).
"""

from __future__ import annotations

import termios
from collections.abc import Callable
from typing import Final

from undercroft_appliance.errors import OwnerEntropyError, PassphraseError, PassphraseLengthError
from undercroft_protocol.bitcoin.hashes import sha256

from .entropy import Entropy
from .memory import GuardedMemory, Slot
from .native import sodium
from .passphrase import no_echo, read_line

SYSTEM_BYTES: Final = 32
DIGEST_BYTES: Final = 32
LEAST_TYPED: Final = 50
"""Rolls of a die: 129 bits."""
MOST_TYPED: Final = 200
LEAST_DIFFERENT: Final = 5
"""Fifty rolls of an honest die show fewer different faces once in fifty million times."""
COMMITMENT_TAG: Final = b"undercroft/1/seed-commitment"
SEED_TAG: Final = b"undercroft/1/seed"
_PREFIX_BYTES = 2 * DIGEST_BYTES
_SPACE = 0x20
_DELETE = 0x7F


class SeedMixer:
    """Holds the system's bytes and the owner's characters, one after the other, behind room for the tag."""

    def __init__(self, memory: GuardedMemory, entropy: Entropy) -> None:
        self._entropy = entropy
        self._block = memory.take(_PREFIX_BYTES + SYSTEM_BYTES + MOST_TYPED + 1)
        self._system = self._block.part(_PREFIX_BYTES, SYSTEM_BYTES)
        self._typed = self._block.part(_PREFIX_BYTES + SYSTEM_BYTES, MOST_TYPED + 1)
        self._seen = memory.take(_DELETE)
        self._digest = memory.take(DIGEST_BYTES)
        self._taken = 0
        self._drawn = False

    def draw(self) -> bytes:
        """Draws new bytes from the system; returns the commitment to them (32 bytes, public)."""
        self.wipe()
        self._entropy.fill(self._system)
        self._drawn = True
        tagged_digest(COMMITMENT_TAG, self._block.part(0, _PREFIX_BYTES + SYSTEM_BYTES), self._digest)
        return self._digest.read_public()

    def read(self, tty_fd: int, announce: Callable[[str], None]) -> int:
        """Reads lines from the terminal until there are 50 characters; returns how many there are.

        `announce` gets a prompt before each line. Spaces do not count. A line with other characters than printable
        ASCII, or that does not fit, is thrown away. Raises OwnerEntropyError (fewer than 5 different characters, no
        terminal); then all that was typed is wiped.
        """
        self._require_drawn()
        self._forget_typed()
        try:
            with no_echo(tty_fd):
                self._read_lines(tty_fd, announce)
            self._check_variety()
        except PassphraseError as error:
            self._forget_typed()
            raise OwnerEntropyError(error.detail) from error
        except termios.error as error:
            self._forget_typed()
            raise OwnerEntropyError(str(error.args[-1])) from error
        except BaseException:
            self._forget_typed()
            raise
        return self._taken

    def mix(self, seed: Slot) -> None:
        """Fills `seed` (32 bytes); the owner's characters are then gone. Raises OwnerEntropyError before `read`."""
        self._require_drawn()
        if self._taken < LEAST_TYPED:
            raise OwnerEntropyError("it was not asked for")
        tagged_digest(SEED_TAG, self._block.part(0, _PREFIX_BYTES + SYSTEM_BYTES + self._taken), seed)
        self._forget_typed()

    def reveal(self, seed: Slot) -> bytes:
        """Wipes the seed, then gives up the system's bytes, which are no secret any more, and wipes them too."""
        seed.wipe()
        self._require_drawn()
        try:
            return self._system.read_public()
        finally:
            self.wipe()

    def wipe(self) -> None:
        """Overwrites everything; a new draw is needed."""
        self._drawn = False
        self._block.wipe()
        self._digest.wipe()
        self._forget_typed()

    def _read_lines(self, tty_fd: int, announce: Callable[[str], None]) -> None:
        trouble = ""
        while self._taken < LEAST_TYPED:
            announce(f"{trouble}{self._taken} of at least {LEAST_TYPED} characters taken: ")
            line = self._typed.part(self._taken, MOST_TYPED + 1 - self._taken)
            try:
                self._taken += _without_spaces(line, read_line(tty_fd, line))
                trouble = ""
            except (OwnerEntropyError, PassphraseLengthError) as error:
                line.wipe()
                trouble = f"That line does not count ({error.detail}). "

    def _check_variety(self) -> None:
        """A stuck key, or an owner who held one down: no test can tell more about characters that nobody may see."""
        typed, seen = self._typed.sodium, self._seen.sodium
        for position in range(self._taken):
            seen[typed[position]] = 1
        different = sum(seen[byte] for byte in range(self._seen.size))
        self._seen.wipe()
        if different < LEAST_DIFFERENT:
            raise OwnerEntropyError(f"fewer than {LEAST_DIFFERENT} different characters")

    def _require_drawn(self) -> None:
        # Attack: the owner's characters first, and then system bytes chosen so that the seed suits somebody.
        if not self._drawn:
            raise OwnerEntropyError("nothing was drawn from the system yet")

    def _forget_typed(self) -> None:
        self._taken = 0
        self._typed.wipe()
        self._seen.wipe()


def tagged_digest(tag: bytes, block: Slot, out: Slot) -> None:
    """Fills `out` (32 bytes) with the tagged hash of what stands in `block` behind its first 64 bytes.

    Those 64 are for the tag, which is written there; so everything is hashed where it stands.
    """
    if block.size < _PREFIX_BYTES or out.size != DIGEST_BYTES:
        raise ValueError("a tagged hash has 64 bytes before its data, and gives 32")
    block.part(0, _PREFIX_BYTES).store_public(sha256(tag) * 2)
    sodium.crypto_hash_sha256(out.sodium, block.sodium, block.size)


def _without_spaces(line: Slot, length: int) -> int:
    """Moves the line's characters together where spaces were; returns how many are left.

    A byte is a small integer that CPython keeps for ever: no object is made of what was typed.
    """
    kept, data = 0, line.sodium
    for position in range(length):
        if data[position] == _SPACE:
            continue
        # A stray key (an arrow, a tab, an accent) that nobody could write down and type again.
        if not _SPACE < data[position] < _DELETE:
            raise OwnerEntropyError(f"character {position + 1} is no letter, digit or sign")
        data[kept] = data[position]
        kept += 1
    line.part(kept, length - kept).wipe()
    return kept
