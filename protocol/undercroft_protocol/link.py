"""What carries whole messages to the other side and back, whichever way: a serial line, QR codes, files."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the current message is, each way, in bytes; between messages the last one's numbers."""

    sent_bytes: int
    total_bytes: int
    received_bytes: int
    expected_bytes: int


class Link(Protocol):
    """What carries whole messages to the other side and back. Timeouts are in seconds."""

    def send(self, message: bytes, *, timeout: float) -> None:
        """Return when the other side has the whole message, or, where it cannot tell, when it is on its way.

        Raises LinkError.
        """

    def receive(self, *, timeout: float) -> bytes:
        """Return the next message. Raises LinkError, LinkTimeoutError if none came in time."""

    def cancel(self) -> None:
        """Give up what is being sent; it may have arrived all the same."""

    def progress(self) -> Progress:
        """How far the current message is, each way."""

    def close(self) -> None:
        """Let the carrier go."""


class ClosingLink(Link, Protocol):
    """A link that is closed at the end of a `with` block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
