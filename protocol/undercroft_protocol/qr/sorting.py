"""Tells from one code's text which format it has and which stream of codes it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from undercroft_protocol.errors import QrSymbolError

from .bbqr import MAGIC, BbqrSink, parse_header
from .capacity import MOST_DIGITS
from .fast import FastSink, fast_session
from .stream import Format, SymbolSink
from .texts import PlainSink, PmofnSink, is_pmofn, plain_psbt, pmofn_part
from .ur import UrSink, ur_stream


@dataclass(frozen=True, slots=True)
class StreamName:
    """Format and what all codes of one payload have in common; ``own`` if no other payload has it: a session, or the
    checksum of the whole message."""

    format: Format
    common: tuple[str | int | bytes, ...]
    own: bool


def sort_symbol(text: str, *, limit: int) -> StreamName:
    """The stream of a code. Raises QrError for what is in none of the formats."""
    # Attack: a reader's output of any length, to keep the parsers busy.
    if len(text) > MOST_DIGITS:
        raise QrSymbolError("longer than any code")
    if text.isascii() and text.isdigit():
        return StreamName(Format.FAST, (fast_session(text),), own=True)
    if text[:3].lower() == "ur:":
        stream = ur_stream(text)
        return StreamName(Format.UR, stream, own=stream[1] > 1)
    if is_pmofn(text):
        return StreamName(Format.PMOFN, (pmofn_part(text)[1],), own=False)
    if text.startswith(MAGIC):
        try:
            header = parse_header(text)
        except QrSymbolError as problem:
            try:
                # A PSBT in base43 may begin with these two characters as well as with any others.
                plain_psbt(text, limit=limit)
            except QrSymbolError:
                raise problem from None
        else:
            return StreamName(Format.BBQR, (header.encoding, header.file_type, header.total), own=False)
    return StreamName(Format.PLAIN, (), own=False)


def sink_of(name: StreamName, *, limit: int) -> SymbolSink:
    """What puts a stream's payload, of at most ``limit`` bytes, together."""
    match name.format:
        case Format.FAST:
            return FastSink(limit=limit)
        case Format.UR:
            return UrSink(limit=limit)
        case Format.BBQR:
            return BbqrSink(limit=limit)
        case Format.PMOFN:
            return PmofnSink(limit=limit)
        case Format.PLAIN:
            return PlainSink(limit=limit)
