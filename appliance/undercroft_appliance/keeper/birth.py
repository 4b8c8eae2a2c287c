"""A key is born: of the system's randomness and the owner's dice, so that neither is trusted alone.

The appliance commits itself to its own bytes before the owner rolls, and shows the key's public parts before the owner
says whether this key will be used or checked. A key that is checked is thrown away: its system bytes are shown, and
`tools/recompute_key.py` computes on another machine what the screen showed (docs/ceremony-entropy.md).
"""

from __future__ import annotations

from typing import Final

from undercroft_appliance.errors import OwnerEntropyError

from .parts import Parts
from .passphrase import TRIES, with_new_passphrase
from .refusals import ENTROPY_FAILED, OWNER_DECLINED, Refusal
from .secrets import NewKey, PublicParts

TITLE_DICE: Final = "Dice"
TITLE_KEY: Final = "Key"
TITLE_CHECK: Final = "Check"
PROMPT_DICE: Final = "Roll a die at least 50 times and type what it shows (1 to 6), or hit 50 keys at random."
PROMPT_USE: Final = "Use this key, or check how it was made and throw it away?"
PROMPT_NEXT: Final = "Go on with the next key when you have written this down."
CHOICES_USE: Final = ("use", "check", "decline")
CHOICES_NEXT: Final = ("next", "decline")
_GROUP = 4
_GROUPS_A_LINE = 8


def new_key(parts: Parts) -> NewKey:
    """The key that the owner chose to use, sealed; before it, the owner checked as many as they liked.

    Raises Refusal (declined, timed out, locked, passphrase or dice no good three times).
    """
    while True:
        commitment = parts.keys.draw_entropy()
        typed = _roll(parts, commitment)
        # Attack: the appliance waits for "use" before it cheats. The key is fixed before it knows.
        shown = _shown(parts.keys.mix_entropy())
        lines = [f"{typed} characters taken", *shown]
        match parts.screen.ask(TITLE_KEY, lines, PROMPT_USE, CHOICES_USE):
            case "use":
                return with_new_passphrase(parts, parts.keys.create_key)
            case "check":
                _reveal(parts, commitment, shown)
            case _:
                raise Refusal(OWNER_DECLINED, TITLE_KEY)


def grouped(data: bytes) -> tuple[str, ...]:
    """The bytes in hex, in groups of four digits and lines of eight groups, for people to write down."""
    text = data.hex()
    groups = [text[at : at + _GROUP] for at in range(0, len(text), _GROUP)]
    return tuple("-".join(groups[at : at + _GROUPS_A_LINE]) for at in range(0, len(groups), _GROUPS_A_LINE))


def _roll(parts: Parts, commitment: bytes) -> int:
    failure: OwnerEntropyError | None = None
    for left in range(TRIES - 1, -1, -1):
        told = ("If you may check this key, write down the commitment first:", *grouped(commitment))
        parts.screen.notice(TITLE_DICE, told)
        try:
            with parts.screen.passphrase_turn(PROMPT_DICE, TITLE_DICE) as announce:
                return parts.keys.read_entropy(parts.tty_fd, announce)
        except OwnerEntropyError as error:
            failure = error
            parts.screen.notice(TITLE_DICE, [str(error), f"{left} tries left"])
    raise Refusal(ENTROPY_FAILED, str(failure))


def _shown(public: PublicParts) -> tuple[str, ...]:
    return (f"Fingerprint {public.fingerprint.hex()}", f"Account key {public.xpub.text()}")


def _reveal(parts: Parts, commitment: bytes, shown: tuple[str, ...]) -> None:
    lines = [
        "This key is thrown away. It was made of what you typed and of these bytes of the system:",
        *grouped(parts.keys.reveal_entropy()),
        "The commitment to them was:",
        *grouped(commitment),
        *shown,
        "Compare on another machine: tools/recompute_key.py",
    ]
    parts.log.append("key-checked", (shown[0],))
    if parts.screen.ask(TITLE_CHECK, lines, PROMPT_NEXT, CHOICES_NEXT) != CHOICES_NEXT[0]:
        raise Refusal(OWNER_DECLINED, TITLE_CHECK)
