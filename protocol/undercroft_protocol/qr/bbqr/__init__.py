"""BBQr: payloads of wallets as plain alphanumeric codes, one after the other (github.com/coinkite/BBQr)."""

from .header import HEADER_CHARACTERS, MAGIC, MAX_PARTS, Encoding, Header, parse_header
from .sink import BbqrSink
from .source import BbqrSource

__all__ = [
    "HEADER_CHARACTERS",
    "MAGIC",
    "MAX_PARTS",
    "BbqrSink",
    "BbqrSource",
    "Encoding",
    "Header",
    "parse_header",
]
