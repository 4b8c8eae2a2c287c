"""Three tries at a passphrase; what is typed goes from the terminal to the keyring and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from undercroft_appliance.errors import (
    ApplianceError,
    EnvelopeError,
    MemoryUnavailableError,
    PassphraseError,
    WrongPassphraseError,
)

from .owner import TURN_TITLE
from .parts import Parts
from .refusals import ENVELOPE_UNUSABLE, PASSPHRASE_FAILED, Refusal

TRIES: Final = 3
PROMPT_NEW: Final = "Choose a passphrase of at least 12 characters; you will type it twice."
PROMPT: Final = "Type your passphrase."
_Result = TypeVar("_Result")


def with_new_passphrase(parts: Parts, use: Callable[[], _Result]) -> _Result:
    """Let the owner choose a passphrase (typed twice), then ``use`` it. Raises Refusal."""
    return _try(parts, PROMPT_NEW, parts.keys.read_new_passphrase, use)


def with_passphrase(parts: Parts, use: Callable[[], _Result]) -> _Result:
    """Let the owner type the passphrase, then ``use`` it, up to three times while it is wrong. Raises Refusal."""
    return _try(parts, PROMPT, parts.keys.read_passphrase, use)


def _try(
    parts: Parts,
    prompt: str,
    read: Callable[[int, Callable[[str], None]], None],
    use: Callable[[], _Result],
) -> _Result:
    failure: ApplianceError | None = None
    for left in range(TRIES - 1, -1, -1):
        try:
            with parts.screen.passphrase_turn(prompt) as announce:
                read(parts.tty_fd, announce)
            return use()
        except (PassphraseError, WrongPassphraseError) as error:
            failure = error
            parts.screen.notice(TURN_TITLE, [str(error), f"{left} tries left"])
        # Attack: the host changes the envelope's cost to more memory than there is, so that the keeper ends.
        except (EnvelopeError, MemoryUnavailableError) as error:
            raise Refusal(ENVELOPE_UNUSABLE, str(error)) from error
    # Attack: someone with the appliance in hand tries one passphrase after the other; each costs an Argon2id run, and
    # after three the host must ask anew, which its operators see.
    raise Refusal(PASSPHRASE_FAILED, str(failure))
