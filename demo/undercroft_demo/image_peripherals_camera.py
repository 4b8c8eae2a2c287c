"""The camera: the appliance's own V4L2 code on a real driver of the kernel, vivid, which captures what it is shown."""

from __future__ import annotations

import os
import time
from typing import Final

from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.qr.collector import Collector
from undercroft_protocol.qr.eye.zxing import ZxingEye
from undercroft_protocol.qr.sources import source_of
from undercroft_protocol.qr.stream import Format, Kind, Payload

from .image_peripherals_bench import NO_LINE, READY, START_SECONDS, Bench
from .image_peripherals_guest import BARS, CAMERA, DONE, FEED, FORMATS, TEXT
from .image_peripherals_machine import Machine, until
from .played_host import PlayedHost
from .qmp import EmulatorError

# White, yellow, cyan, green, magenta, red, blue, black at 75 % (191 of 255).
_FROM_THE_LEFT: Final = tuple(
    (191 * red, 191 * green, 191 * blue) for green in (1, 0) for red in (1, 0) for blue in (1, 0)
)
_REC_601: Final = 0.299, 0.587, 0.114
_REC_709: Final = 0.2126, 0.7152, 0.0722
"""How much of a brightness is red's, green's and blue's."""
_ROUNDED: Final = 2
"""Steps of grey between what is computed here and what a driver rounds."""
_LIMIT: Final = 1 << 20
_VERSION: Final = 20
_SHOWN_SECONDS: Final = 3.0


def expected_bars(format_: str) -> list[float]:
    """The grey of the test pattern's bars from the left, as a camera of this format gives it."""
    if format_ == "GREY":
        return [_brightness(colour, _REC_709) for colour in _FROM_THE_LEFT]
    if format_ in ("YUYV", "NV12"):
        # A computer's picture (sRGB): brightness by ITU-R BT.601, from 16 to 235.
        return [16 + 219 * _brightness(colour, _REC_601) / 255 for colour in _FROM_THE_LEFT]
    # Of a raw sensor we take the green, and white is one step less by its halves.
    return [float(green) for _, green, _ in _FROM_THE_LEFT]


def _brightness(colour: tuple[int, int, int], parts: tuple[float, float, float]) -> float:
    return sum(one * part for one, part in zip(colour, parts, strict=True))


def camera(bench: Bench) -> None:
    """Use the camera's driver in every format that the appliance reads. Raises EmulatorError."""
    tell = bench.telling
    tell.chapter("Camera: the appliance's own V4L2 code on a driver of the kernel, without OpenCV")
    with bench.test(CAMERA, *NO_LINE, camera=True) as machine:
        lines = _said(machine, DONE)
    told = {tuple(line.split()[:2]): line.split()[2:] for line in lines if line.startswith(("bars ", "code "))}
    for format_ in FORMATS:
        try:
            width, height, *greys = map(int, told["bars", format_])
            seconds, _, *words = told["code", format_]
        except (KeyError, ValueError):
            raise EmulatorError("\n".join(lines)) from None
        wanted = expected_bars(format_)
        if len(greys) != BARS or any(abs(one - other) > _ROUNDED for one, other in zip(greys, wanted, strict=True)):
            raise EmulatorError(f"the bars of {format_} are {greys}, not {wanted}")
        if " ".join(words) != TEXT + format_:
            raise EmulatorError(f"the code in {format_} was read as {' '.join(words)!r}")
        tell.shown(f"{format_}, {width} x {height}: bars {greys} as expected; a code read after {seconds} s")


def codes(bench: Bench) -> None:
    """Bring a request to the whole appliance by its camera, and read the reply off its screen. Raises EmulatorError."""
    tell = bench.telling
    tell.chapter("Codes: a request before the camera, the reply on the second screen")
    with bench.test(FEED, *NO_LINE, camera=True) as machine:
        machine.wait_for_text(READY, START_SECONDS)
        machine.press("alt", "f2")
        start = time.monotonic()
        report = PlayedHost(lambda request: _carried(machine, request)).meet()
        tell.shown(
            f"a status request, as codes, was answered by codes on /dev/tty2 in {time.monotonic() - start:.0f} s"
        )
        bench.tell_status(report, Network.REGTEST)
        machine.press("alt", "f1")
        machine.wait_for_text(READY, START_SECONDS)
        tell.shown("Alt and F1 bring the owner's screen back")


def _carried(machine: Machine, request: bytes) -> bytes:
    """What is answered to this request; both go as codes."""
    shown = source_of(Payload(Format.FAST, Kind.MESSAGE, request), version=_VERSION, entropy=os.urandom)
    eye, collector = ZxingEye(), Collector(limit=_LIMIT)
    due = 0.0

    def look() -> bytes | None:
        nonlocal due
        if time.monotonic() > due:
            machine.talk.sendall(shown.next_symbol().encode() + b"\n")
            due = time.monotonic() + _SHOWN_SECONDS
        texts = [sight.text for sight in eye.look(machine.screen().grey())]
        return next((payload.data for payload in collector.take_picture(texts)), None)

    try:
        return until(look, START_SECONDS)
    except TimeoutError:
        raise EmulatorError("no reply is on the second screen") from None


def _said(machine: Machine, end: str) -> list[str]:
    machine.talk.settimeout(START_SECONDS)
    received = b""
    try:
        while f"\n{end}\n".encode() not in received:
            data = machine.talk.recv(1 << 16)
            if not data:
                break
            received += data
    except TimeoutError:
        raise EmulatorError(f"the machine says no more:\n{received.decode(errors='replace')}") from None
    return received.decode(errors="replace").splitlines()
