"""Messages as QR codes: a camera reads those of the other side, and a terminal beside the owner's shows ours.

All that reads a hostile picture, zxing-cpp's native code first, is in this process, behind its walls.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from typing import Final, Self

from undercroft_protocol.bitcoin.psbt_records import MAGIC as PSBT_MAGIC
from undercroft_protocol.errors import LinkError, ScreenError
from undercroft_protocol.qr.camera import camera_over
from undercroft_protocol.qr.collector import Collector
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.eye.zxing import ZxingEye
from undercroft_protocol.qr.link import QrLink, QrSettings
from undercroft_protocol.qr.screen.cells import CellScreen
from undercroft_protocol.qr.screen.terminal import TerminalScreen
from undercroft_protocol.qr.sheet import largest_version, tight_picture
from undercroft_protocol.qr.sources import source_of
from undercroft_protocol.qr.stream import Format, Kind, Payload

from ..errors import ConfigurationError
from ..internal import Inbound, Way
from .carriers import MAX_CARRIED_BYTES, Say
from .patience import PatientEye

VERSION: Final = 20
"""Of our codes, where the terminal has room for it: what a plain camera reads at arm's length."""
SHOWN_SECONDS: Final = 600.0
"""How long a reply stands on the screen, unless a new message, a lock or another reply takes it off before."""
QUIET_SECONDS: Final = 20.0
"""When the camera saw no code for so long, what it sees next counts as new, also if it was read before."""

_LEAST_VERSION: Final = 5
_WAY_OF: Final = {Format.FAST: Way.FAST, Format.BBQR: Way.BBQR}
"""The formats that are only read are answered in UR."""


class Codes:
    """A `Carrier` of codes. ``clock``: monotonic seconds."""

    ways: Collection[int] = (Way.FAST, Way.UR, Way.BBQR)

    def __init__(self, link: QrLink, say: Say, *, clock: Callable[[], float]) -> None:
        self._link = link
        self._say = say
        self._clock = clock
        self._shown_until: float | None = None
        self._seen_codes = 0
        self._seen_at: float | None = None

    @classmethod
    @contextlib.contextmanager
    def over(cls, camera: int, codes: int, say: Say) -> Iterator[Self]:
        """Start with the camera and with the terminal or the cells of a console behind these descriptors, which are
        closed at the end; draw and read once, so that nothing is left to load behind the walls. Raises CameraError,
        ScreenError, ConfigurationError.
        """
        _try_out()
        with contextlib.ExitStack() as stack:
            screen = TerminalScreen(codes, close_fd=True) if os.isatty(codes) else CellScreen(codes)
            stack.callback(screen.close)
            settings = QrSettings(version=_version_for(*screen.room()))
            eye = PatientEye(ZxingEye(), clock=time.monotonic, effort=time.thread_time)
            link = QrLink(
                camera_over(camera), screen, eye, settings=settings, clock=time.monotonic, entropy=os.urandom,
                limit=MAX_CARRIED_BYTES,
            )  # fmt: skip
            stack.pop_all()
            with link:
                yield cls(link, say, clock=time.monotonic)

    def fileno(self) -> int:
        """See Carrier."""
        return self._link.fileno()

    @property
    def wants_write(self) -> bool:
        """See Carrier; a picture goes out whole."""
        return False

    def wait_seconds(self) -> float | None:
        """See Carrier; what is shown needs its next picture long before its time is over."""
        return self._link.wait_seconds()

    def pump(self) -> list[Inbound]:
        """See Carrier."""
        if self._shown_until is not None and self._clock() >= self._shown_until:
            self._take_off()
        try:
            payloads = self._link.pump()
        except ScreenError as error:
            self._not_shown(error)
            return []
        self._note_quiet()
        messages = [Inbound(one.data, _WAY_OF.get(one.format, Way.UR)) for one in payloads if _is_for_the_keeper(one)]
        if messages:
            self._take_off()
        return messages

    def post(self, data: bytes, way: int) -> None:
        """See Carrier. What is no PSBT but answers one is shown as ur:bytes, which the host's command reads."""
        try:
            self._link.show(_payload(data, way))
        except LinkError as error:
            self._not_shown(error)
            return
        self._shown_until = self._clock() + SHOWN_SECONDS

    def clear(self) -> None:
        """See Carrier."""
        if self._shown_until is None:
            return
        # The same PSBT may be brought again for another answer. Attack: were it so whenever a reply vanishes, one that
        # is refused and stays in sight would be refused again and again, until the keeper locks.
        self._link.forget()
        self._take_off()

    def _take_off(self) -> None:
        if self._shown_until is None:
            return
        self._shown_until = None
        try:
            self._link.blank()
        except ScreenError as error:
            self._not_shown(error)

    def _not_shown(self, error: LinkError) -> None:
        """A terminal that is stopped or too small loses one reply; raises LinkError when it is gone."""
        if isinstance(error.__cause__, OSError):
            raise error
        self._say(f"a reply was not shown [{error.code}]: {error.detail}")
        self._shown_until = None
        # It may take nothing at all now.
        with contextlib.suppress(ScreenError):
            self._link.blank()

    def _note_quiet(self) -> None:
        now, codes = self._clock(), self._link.seen.codes
        if codes != self._seen_codes:
            self._seen_codes, self._seen_at = codes, now
        elif self._seen_at is not None and now - self._seen_at >= QUIET_SECONDS:
            self._seen_at = None
            self._link.forget()


def _is_for_the_keeper(payload: Payload) -> bool:
    # Attack: a message without content is none for the channel, and would end this process.
    if not payload.data:
        return False
    # Attack: codes of others in sight (a poster, a wallet's export), each of which would count as a refusal. What is
    # announced as a PSBT may be anything.
    is_psbt = payload.kind is Kind.PSBT and payload.data.startswith(PSBT_MAGIC)
    return is_psbt or payload.kind is Kind.MESSAGE


def _payload(data: bytes, way: int) -> Payload:
    if way == Way.FAST:
        return Payload(Format.FAST, Kind.MESSAGE, data)
    if not data.startswith(PSBT_MAGIC):
        return Payload(Format.UR, Kind.BYTES, data)
    return Payload(Format.BBQR if way == Way.BBQR else Format.UR, Kind.PSBT, data)


def _version_for(columns: int, rows: int) -> int:
    """The version of codes for this room. Raises ConfigurationError where it is too small for any."""
    largest = largest_version(1, columns, 2 * rows) or 0
    if largest < _LEAST_VERSION:
        raise ConfigurationError(
            f"the terminal for codes has {columns} columns and {rows} rows, too few; 105 and 53 are enough"
        )
    return min(VERSION, largest)


def _try_out() -> None:
    """Draw a payload in each format and read it back. Raises ConfigurationError when what comes back is another."""
    eye = ZxingEye()
    for payload in (_payload(b"try-out", Way.FAST), _payload(PSBT_MAGIC, Way.UR), _payload(PSBT_MAGIC, Way.BBQR)):
        text = source_of(payload, version=VERSION, entropy=os.urandom).next_symbol()
        sights = eye.look(tight_picture([draw(text)], scale=4, columns=1))
        if [Collector(limit=MAX_CARRIED_BYTES).take(one.text) for one in sights] != [payload]:
            raise ConfigurationError(f"codes cannot be drawn and read here ({payload.format})")
