"""A link of files in a folder that somebody carries to the other side and back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from .errors import LinkError, LinkTimeoutError
from .fields import MAX_MESSAGE_BYTES
from .link import ClosingLink, Progress
from .link_folder import LinkFolder, Name

_LOOK_SECONDS: Final = 0.5


class FileLink(ClosingLink):
    """A `Link` whose messages are files (see `link_folder`): this side asks, the folder brings the reply.

    Each request has one reply. The folder may be away while it is carried. A request that nobody answered is taken
    back when the link is closed; it may have been delivered all the same.
    """

    def __init__(
        self,
        folder: LinkFolder,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._sleep = sleep
        self._request: tuple[Name, bytes] | None = None
        self._sent = self._received = 0

    @classmethod
    def open(cls, path: Path) -> Self:
        """The link of a folder; raises FolderError unless it is an absolute path of a safe directory."""
        folder = LinkFolder(path)
        folder.check()
        return cls(folder)

    def send(self, message: bytes, *, timeout: float) -> None:  # noqa: ARG002
        """Write the message into the folder, on the disk when this returns. Raises LinkError, FolderError."""
        if not 0 < len(message) <= MAX_MESSAGE_BYTES:
            raise LinkError(f"a message of {len(message)} bytes; the limit is {MAX_MESSAGE_BYTES}")
        self.cancel()
        self._sent, self._received = len(message), 0
        self._request = (self._folder.write_request(message), message)

    def receive(self, *, timeout: float) -> bytes:
        """Return the reply to what was sent last.

        Raises LinkTimeoutError when it did not come within ``timeout`` seconds, LinkError when nothing waits for a
        reply, FolderFileError for a file in the reply's place that is none.
        """
        if self._request is None:
            raise LinkError("no request waits for a reply")
        name, request = self._request
        deadline = self._clock() + timeout
        while (reply := self._folder.read_reply(name, request)) is None:
            rest = deadline - self._clock()
            if rest <= 0:
                raise LinkTimeoutError(f"no whole {name.reply} came into {self._folder.path} within {timeout:.1f} s")
            self._sleep(min(_LOOK_SECONDS, rest))
        self._request = None
        self._received = len(reply)
        return reply

    def cancel(self) -> None:
        """Take the request back that has no reply; it may have been delivered all the same."""
        if self._request is not None:
            self._folder.withdraw(self._request[0])
            self._request = None

    def progress(self) -> Progress:
        """The last request and its reply, in bytes."""
        return Progress(self._sent, self._sent, self._received, self._received)

    def close(self) -> None:
        """Take back what nobody answered."""
        self.cancel()
