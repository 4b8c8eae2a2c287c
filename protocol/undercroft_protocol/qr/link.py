"""A link of a screen and a camera: each side shows codes to the other, and nobody acknowledges."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.errors import CameraError, LinkError, LinkTimeoutError
from undercroft_protocol.fields import MAX_MESSAGE_BYTES
from undercroft_protocol.link import ClosingLink, Progress

from .camera import Camera
from .eye import Eye
from .player import Player, QrSettings
from .scanner import Scanner, Seen
from .screen import Screen
from .sources import source_of
from .stream import Format, Kind, Payload

__all__ = ["ECHO_SECONDS", "QrLink", "QrSettings", "Seen"]

ECHO_SECONDS: Final = 3.0
"""What was shown is known as ours for so long after it was taken off: a camera's pictures are behind."""


class QrLink(ClosingLink):
    """A `Link` of animated QR codes. Not for several threads at once. It owns camera and screen, and closes them.

    Blocking use: `send` and `receive`. In an event loop: wait until `fileno()` can be read or `wait_seconds()` are
    over, then call `pump()`; `show()` puts a payload on the screen without waiting, `blank()` takes it off.
    ``on_seen`` is called after every look through the camera, ``on_progress`` when the progress changed.
    """

    def __init__(
        self,
        camera: Camera,
        screen: Screen,
        eye: Eye,
        *,
        settings: QrSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
        entropy: Callable[[int], bytes] = os.urandom,
        limit: int = MAX_MESSAGE_BYTES,
        on_progress: Callable[[Progress], None] | None = None,
        on_seen: Callable[[Seen], None] | None = None,
    ) -> None:
        self._camera = camera
        self._screen = screen
        self._clock = clock
        self._entropy = entropy
        self._limit = limit
        self._on_progress = on_progress
        self._on_seen = on_seen
        self._reported = Progress(0, 0, 0, 0)
        self._player = Player(screen, settings=settings or QrSettings(), clock=clock)
        self._scanner = Scanner(camera, eye, limit=limit, clock=clock)
        self._ready: deque[bytes] = deque()
        self._shown_digest = b""
        self._shown_bytes = 0
        self._shown_before: dict[bytes, float] = {}

    def close(self) -> None:
        """Blank the screen, and let screen and camera go."""
        try:
            self._screen.close()
        finally:
            self._camera.close()

    def send(self, message: bytes, *, timeout: float) -> None:  # noqa: ARG002
        """Return once the message's codes are being shown; `receive` goes on showing them.

        Raises LinkError for a message that is too long, QrSizeError, ScreenError when its codes cannot be shown.
        """
        self.show(Payload(Format.FAST, Kind.MESSAGE, message))

    def receive(self, *, timeout: float) -> bytes:
        """Return the next message; meanwhile what was sent last is shown. Then the screen is blank.

        Raises LinkTimeoutError after ``timeout`` seconds, saying what is missing, CameraError when the camera is gone,
        ScreenError when the screen is.
        """
        deadline = self._clock() + timeout
        # After an answer to something else the question must be seen again.
        self._player.resume()
        while not self._ready:
            rest = deadline - self._clock()
            if rest <= 0:
                raise LinkTimeoutError(f"no message came within {timeout:g} s: {self.seen.missing}")
            due = self._player.wait_seconds()
            payloads = self._turn(rest if due is None else min(rest, due))
            self._ready.extend(one.data for one in payloads if one.kind is Kind.MESSAGE)
        self._player.pause()
        return self._ready.popleft()

    def cancel(self) -> None:
        """Take what is being sent off the screen; it may have been read all the same."""
        self.blank()

    def show(self, payload: Payload) -> None:
        """Show a payload in its format from now on; its first picture at once.

        Raises LinkError for one that is too long, QrSizeError for what no code of this version holds or the screen
        has no room for, ScreenError.
        """
        if not 0 < len(payload.data) <= self._limit:
            raise LinkError(f"a message of {len(payload.data)} bytes; the limit is {self._limit}")
        source = source_of(payload, version=self._player.settings.version, entropy=self._entropy)
        self._retire_shown()
        self._shown_digest, self._shown_bytes = sha256(payload.data), len(payload.data)
        self._player.play(source)

    def blank(self) -> None:
        """Show nothing any more."""
        self._retire_shown()
        self._player.stop()

    def forget(self) -> None:
        """Take what is shown from now on as new, also a payload that was read before."""
        self._scanner.forget()

    def pump(self) -> list[Payload]:
        """Show the next picture if it is time, look at what the camera has, never wait; the payloads that are whole.

        What is being shown goes on being shown. Raises CameraError, ScreenError.
        """
        return self._turn(0.0)

    def fileno(self) -> int:
        """The camera's file descriptor, for a selector. Raises CameraError for a camera that has none."""
        number = self._camera.fileno()
        if number is None:
            raise CameraError("this kind of camera cannot be waited for")
        return number

    def wait_seconds(self) -> float | None:
        """Seconds until `pump` must be called even if the camera has nothing; None if there is no such time."""
        return self._player.wait_seconds()

    @property
    def seen(self) -> Seen:
        """What came through the camera so far."""
        return self._scanner.seen

    def progress(self) -> Progress:
        """How far the current message is, each way, in bytes; sent is what was on the screen at least once."""
        source = self._player.source
        sent = total = 0
        if source is not None:
            total = self._shown_bytes
            sent = total * min(self._player.shown, source.count) // source.count
        gathered = self.seen.gathered
        expected = gathered.bytes_total
        received = expected * gathered.have // gathered.need if gathered.need else 0
        return Progress(sent, total, received, expected)

    def _turn(self, timeout: float) -> list[Payload]:
        self._player.turn()
        payloads = self._scanner.look(timeout=timeout)
        self._report()
        return [one for one in payloads if not self._is_ours(one)]

    def _retire_shown(self) -> None:
        now = self._clock()
        self._shown_before = {digest: until for digest, until in self._shown_before.items() if until > now}
        if self._shown_digest:
            self._shown_before[self._shown_digest] = now + ECHO_SECONDS
        self._shown_digest = b""

    def _is_ours(self, payload: Payload) -> bool:
        # Attack: a mirror, or a camera that sees its own screen: what is shown is not what the other side says.
        digest = sha256(payload.data)
        return digest == self._shown_digest or self._shown_before.get(digest, self._clock()) > self._clock()

    def _report(self) -> None:
        if self._on_seen is not None:
            self._on_seen(self.seen)
        if self._on_progress is not None and (progress := self.progress()) != self._reported:
            self._reported = progress
            self._on_progress(progress)
