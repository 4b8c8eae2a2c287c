"""Uniform Resources, version 2 (BCR-2020-005): how most wallets carry PSBTs, accounts and descriptors by QR codes."""

from __future__ import annotations

from .part import Part, Whole, parse
from .sink import UrSink
from .source import UrSource

__all__ = ["UrSink", "UrSource", "ur_stream"]


def ur_stream(text: str) -> tuple[str, int, int, int]:
    """The stream that a text belongs to: type, number of fragments, bytes and CRC-32 of the message.

    A UR of a single part is its own stream: type, 1, 0, 0. Raises QrSymbolError for a text that is no UR.
    """
    found: Part | Whole = parse(text)
    if isinstance(found, Whole):
        return found.type, 1, 0, 0
    return found.type, found.fragments, found.length, found.checksum
