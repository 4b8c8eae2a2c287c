"""The good Uniform Resources that fuzzing begins with."""

from __future__ import annotations

from typing import Final

from appliance.builders import DESCRIPTOR
from undercroft_protocol.qr.stream import Kind
from undercroft_protocol.qr.ur import UrSource, bytewords
from undercroft_protocol.qr.ur.part import Part, parse
from undercroft_protocol.qr.ur.registry import AccountDescriptor, OutputDescriptor

MESSAGE: Final = b"\x5a\x3c" * 100
_FRAGMENT_BYTES: Final = 25


def good_texts() -> list[str]:
    """All parts of one message (nine), and two mixed ones."""
    source = UrSource(Kind.BYTES, MESSAGE, fragment_bytes=_FRAGMENT_BYTES)
    return [source.part(number).text() for number in range(1, source.count + 3)]


def ur_corpus(target: str) -> list[bytes]:
    """Good inputs of one target."""
    output = OutputDescriptor(DESCRIPTOR).to_item()
    account = AccountDescriptor(DESCRIPTOR.network, DESCRIPTOR.cosigners[0]).to_item()
    if target == "ur-registry":
        return [output, account]
    if target == "ur-bytewords":
        return [bytewords.encode(MESSAGE).encode(), bytewords.encode(b"x").lower().encode()]
    if target == "ur-part":
        return [bytes([one.sequence]) + bytewords.decode(one.text().rpartition("/")[2]) for one in _parts()[-3:]]
    single = [
        UrSource(kind, item, fragment_bytes=1000).next_symbol()
        for kind, item in ((Kind.OUTPUT, output), (Kind.ACCOUNT, account), (Kind.PSBT, MESSAGE))
    ]
    return ["\n".join(good_texts()[-2:]).encode(), *(text.encode() for text in single)]


def _parts() -> list[Part]:
    found = [parse(text) for text in good_texts()]
    return [one for one in found if isinstance(one, Part)]
