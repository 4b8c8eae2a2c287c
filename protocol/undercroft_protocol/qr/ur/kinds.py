"""The types of Uniform Resources that are read and written here (BCR-2020-006), and the CBOR items they carry."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from undercroft_protocol import cbor
from undercroft_protocol.errors import CborError, QrMessageError, QrSymbolError

from ..stream import Kind
from .registry_cbor import check_item

ITEM_OVERHEAD_BYTES: Final = 16
"""A message may be this much longer than the bytes in it: the head of a CBOR byte string has at most 9."""

WRITTEN: Final = MappingProxyType(
    {
        Kind.PSBT: "crypto-psbt",
        Kind.BYTES: "bytes",
        Kind.MESSAGE: "bytes",
        Kind.ACCOUNT: "crypto-account",
        Kind.OUTPUT: "crypto-output",
    }
)
"""The type that each kind is written as: the old names, which existing wallets read."""

READ: Final = MappingProxyType(
    {
        "crypto-psbt": Kind.PSBT,
        "psbt": Kind.PSBT,
        "bytes": Kind.BYTES,
        "crypto-account": Kind.ACCOUNT,
        "account-descriptor": Kind.ACCOUNT,
        "crypto-output": Kind.OUTPUT,
        "output-descriptor": Kind.OUTPUT,
    }
)
_BYTE_STRINGS: Final = (Kind.PSBT, Kind.BYTES, Kind.MESSAGE)


def kind_of(type_: str) -> Kind:
    """The kind behind a type. Raises QrSymbolError for types that are not read here."""
    kind = READ.get(type_)
    if kind is None:
        raise QrSymbolError(f"a uniform resource of the type {type_!r} is not read here")
    return kind


def wrap(kind: Kind, data: bytes) -> bytes:
    """The message (a CBOR item) for ``data``; an account or an output is one already."""
    return cbor.encode(data) if kind in _BYTE_STRINGS else data


def unwrap(kind: Kind, message: bytes, *, limit: int) -> bytes:
    """What ``wrap`` was given. Raises QrMessageError."""
    if kind in _BYTE_STRINGS:
        try:
            data = cbor.decode(message, most_bytes=limit + ITEM_OVERHEAD_BYTES)
        except CborError as error:
            raise QrMessageError(f"not one byte string in CBOR ({error.detail})") from None
        if not isinstance(data, bytes):
            raise QrMessageError("not one byte string in CBOR")
    else:
        try:
            check_item(message)
        except CborError as error:
            raise QrMessageError(f"not one item of CBOR ({error.detail})") from None
        data = message
    if len(data) > limit:
        raise QrMessageError(f"{len(data)} bytes; {limit} is the most")
    return data
