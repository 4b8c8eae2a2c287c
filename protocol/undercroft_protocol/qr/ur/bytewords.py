"""Bytewords, minimal style (BCR-2020-012): a byte is the first and the last letter of its word; a CRC-32 ends them."""

from __future__ import annotations

import zlib
from types import MappingProxyType
from typing import Final

from undercroft_protocol.errors import QrSymbolError

CHECKSUM_BYTES: Final = 4

_WORDS: Final = """
    able acid also apex aqua arch atom aunt away axis back bald barn belt beta bias
    blue body brag brew bulb buzz calm cash cats chef city claw code cola cook cost
    crux curl cusp cyan dark data days deli dice diet door down draw drop drum dull
    duty each easy echo edge epic even exam exit eyes fact fair fern figs film fish
    fizz flap flew flux foxy free frog fuel fund gala game gear gems gift girl glow
    good gray grim guru gush gyro half hang hard hawk heat help high hill holy hope
    horn huts iced idea idle inch inky into iris iron item jade jazz join jolt jowl
    judo jugs jump junk jury keep keno kept keys kick kiln king kite kiwi knob lamb
    lava lazy leaf legs liar limp lion list logo loud love luau luck lung main many
    math maze memo menu meow mild mint miss monk nail navy need news next noon note
    numb obey oboe omit onyx open oval owls paid part peck play plus poem pool pose
    puff puma purr quad quiz race ramp real redo rich road rock roof ruby ruin runs
    rust safe saga scar sets silk skew slot soap solo song stub surf swan taco task
    taxi tent tied time tiny toil tomb toys trip tuna twin ugly undo unit urge user
    vast very veto vial vibe view visa void vows wall wand warm wasp wave waxy webs
    what when whiz wolf work yank yawn yell yoga yurt zaps zero zest zinc zone zoom
""".upper().split()
_PAIRS: Final = tuple(word[0] + word[-1] for word in _WORDS)


def _as_number(pair: str) -> int:
    return ord(pair[0]) | ord(pair[1]) << 8


_BYTES: Final = MappingProxyType({_as_number(pair): value for value, pair in enumerate(_PAIRS)})


def encode(data: bytes) -> str:
    """``data`` and its CRC-32, two capital letters for each byte."""
    return "".join(map(_PAIRS.__getitem__, data + zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "big")))


def decode(text: str) -> bytes:
    """The bytes behind ``text``, without their CRC-32; capitals and small letters are the same.

    Raises QrSymbolError for an odd number of letters, pairs that are no word's, a wrong CRC-32. The caller bounds the
    length.
    """
    # Attack: letters outside ASCII whose capitals are in it (the long s, the dotless i) give one code two texts.
    if not text.isascii() or len(text) % 2:
        raise QrSymbolError("not bytewords")
    letters = text.upper().encode("ascii")
    try:
        data = bytes(_BYTES[low | high << 8] for low, high in zip(letters[::2], letters[1::2], strict=True))
    except KeyError:
        raise QrSymbolError("not bytewords") from None
    if len(data) <= CHECKSUM_BYTES:
        raise QrSymbolError("bytewords without content")
    body = data[:-CHECKSUM_BYTES]
    # Attack: a letter misread or changed on the way.
    if zlib.crc32(body).to_bytes(CHECKSUM_BYTES, "big") != data[-CHECKSUM_BYTES:]:
        raise QrSymbolError("the checksum of the bytewords is wrong")
    return body
