"""What every format of animated codes is made of: a stream of symbol texts, and what puts them together again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Format(StrEnum):
    """How a payload is cut into codes."""

    FAST = "fast"
    UR = "ur"
    BBQR = "bbqr"
    PMOFN = "pmofn"
    PLAIN = "plain"


class Kind(StrEnum):
    """What a payload is. ``MESSAGE`` is one of ours (COSE); the others are what wallets exchange."""

    MESSAGE = "message"
    PSBT = "psbt"
    TRANSACTION = "transaction"
    ACCOUNT = "account"
    OUTPUT = "output"
    BYTES = "bytes"
    JSON = "json"
    CBOR = "cbor"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Payload:
    """One whole payload as it was carried. ``data`` is what was sent, unpacked: the PSBT, the message, the CBOR item
    of an account or an output, the bytes."""

    format: Format
    kind: Kind
    data: bytes


@dataclass(frozen=True, slots=True)
class Gathered:
    """How far a payload is: ``have`` of ``need`` independent symbols (0 of 0 before the first), ``bytes_total`` when
    it is known, else 0."""

    have: int
    need: int
    bytes_total: int = 0


class SymbolSource(Protocol):
    """A payload as codes without end: a reader may begin at any of them."""

    @property
    def count(self) -> int:
        """How many symbols are needed at least."""

    def next_symbol(self) -> str:
        """The text of the next code: digits only, or QR's alphanumeric set in capitals where the format allows it."""


class SymbolSink(Protocol):
    """Puts one payload of one format together."""

    @property
    def gathered(self) -> Gathered:
        """How far it is."""

    def take(self, text: str) -> Payload | None:
        """Take the text of a code; the payload when this made it whole.

        Raises QrSymbolError for a code that is no part of this payload, QrMessageError when what came together is
        not what its sender sent; after that the sink is of no more use.
        """
