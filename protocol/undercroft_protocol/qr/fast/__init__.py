"""The fast format: our own messages as codes of digits, any K of which suffice (docs/qr.md, "The fast format")."""

from .sink import FastSink
from .source import FastSource
from .symbol import fast_session

__all__ = ["FastSink", "FastSource", "fast_session"]
