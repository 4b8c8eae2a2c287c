"""Fuzz targets of Uniform Resources: texts, the parts inside them, what they carry."""

from __future__ import annotations

from typing import Final

from fuzz.ur_corpus import MESSAGE, good_texts
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import CborError, ProtocolError, QrError, QrSymbolError
from undercroft_protocol.qr.ur import UrSink, bytewords
from undercroft_protocol.qr.ur.part import Part, parse
from undercroft_protocol.qr.ur.registry import AccountDescriptor, OutputDescriptor
from undercroft_protocol.qr.ur.registry_cbor import decode, encode

_LIMIT: Final = 20_000
_TEXTS: Final = tuple(good_texts())


def fuzz_ur_text(data: bytes) -> None:
    """Only QrError from texts, a line each, into one sink; a text that is read is written again letter for letter."""
    sink = UrSink(limit=_LIMIT)
    for text in data.decode("utf-8", "replace").split("\n"):
        try:
            payload = sink.take(text)
            found = parse(text)
        except QrError:
            continue
        if payload is not None and len(payload.data) > _LIMIT:
            raise AssertionError("more than the limit")
        if isinstance(found, Part) and found.text() != text.upper():
            raise AssertionError("two texts of one part")


def fuzz_ur_part(data: bytes) -> None:
    """Only QrError from a part whose letters are right and whose content is any; the true message or none comes out."""
    sink = UrSink(limit=_LIMIT)
    forged = f"UR:BYTES/{int.from_bytes(data[:1], 'big')}-9/{bytewords.encode(data[1:])}"
    for text in (*_TEXTS[:4], forged, *_TEXTS[4:]):
        try:
            payload = sink.take(text)
        except QrError:
            continue
        if payload is not None and payload.data != MESSAGE:
            raise AssertionError("another message than was sent")


def fuzz_bytewords(data: bytes) -> None:
    """Only QrSymbolError; one text of any bytes."""
    text = data.decode("utf-8", "replace")
    try:
        found = bytewords.decode(text)
    except QrSymbolError:
        return
    if bytewords.encode(found) != text.upper():
        raise AssertionError("two texts of the same bytes")


def fuzz_registry(data: bytes) -> None:
    """Only ProtocolError; an item that is read is written again byte for byte, a quorum survives the way back."""
    try:
        if encode(decode(data)) != data:
            raise AssertionError("two encodings of one item")
    except CborError:
        return
    for network in (Network.MAINNET, Network.REGTEST):
        try:
            output = OutputDescriptor.from_item(data, network)
        except ProtocolError:
            pass
        else:
            if OutputDescriptor.from_item(output.to_item(), network) != output:
                raise AssertionError("a quorum that does not survive")
        try:
            account = AccountDescriptor.from_item(data, network)
        except ProtocolError:
            pass
        else:
            if AccountDescriptor.from_item(account.to_item(), network) != account:
                raise AssertionError("an account that does not survive")
