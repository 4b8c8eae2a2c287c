"""How each wallet wants its codes: format, how much in one, at which size and pace."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from undercroft_protocol.errors import QrError

from .bbqr import BbqrSource
from .stream import Format, Kind, SymbolSource
from .ur import UrSource


@dataclass(frozen=True, slots=True)
class Preset:
    """What a wallet reads well.

    ``portion`` is how much is in one code: bytes of a UR fragment, or characters of a BBQr code. ``version`` is the
    size of its codes (1 to 40, level L), ``pictures_per_second`` half of what its camera takes.
    """

    name: str
    title: str
    format: Format
    portion: int
    version: int
    pictures_per_second: int


PRESETS: Final = MappingProxyType(
    {
        one.name: one
        for one in (
            Preset("coldcard-q", "Coldcard Q", Format.BBQR, 1853, 25, 4),
            Preset("jade", "Blockstream Jade", Format.UR, 200, 12, 4),
            Preset("keystone", "Keystone 3", Format.UR, 200, 12, 5),
            Preset("krux", "Krux", Format.UR, 200, 12, 3),
            Preset("passport", "Foundation Passport", Format.UR, 200, 12, 3),
            Preset("seedsigner", "SeedSigner", Format.UR, 120, 9, 3),
            Preset("sparrow", "Sparrow", Format.BBQR, 2000, 27, 5),
            Preset("sparrow-ur", "Sparrow, by UR", Format.UR, 400, 18, 5),
            Preset("specter", "Specter DIY", Format.UR, 140, 10, 2),
        )
    }
)
"""Each preset by its name."""

_AS_BYTES: Final = frozenset({Kind.TEXT, Kind.JSON, Kind.CBOR, Kind.TRANSACTION})


def preset(name: str) -> Preset:
    """The preset of this name. Raises QrError, which lists those that there are."""
    found = PRESETS.get(name)
    if found is None:
        raise QrError(f"no preset for {name!r}; there are {', '.join(PRESETS)}")
    return found


def source_for(chosen: Preset, kind: Kind, data: bytes) -> SymbolSource:
    """The codes of a payload as this wallet reads them.

    UR has no type of its own for texts and raw transactions: they travel as ``bytes``, in which wallets look for the
    files that they know. Raises QrError for a kind that the format cannot carry and for nothing at all, QrSizeError for
    what is too large for it.
    """
    if not data:
        raise QrError("there is nothing to send")
    if chosen.format is Format.BBQR:
        return BbqrSource(kind, data, characters=chosen.portion)
    return UrSource(Kind.BYTES if kind in _AS_BYTES else kind, data, fragment_bytes=chosen.portion)
