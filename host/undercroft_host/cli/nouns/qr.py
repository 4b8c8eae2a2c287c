"""``undercroft qr``."""

from __future__ import annotations

import base64
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.errors import CameraError, QrError, ScreenError
from undercroft_protocol.fields import MAX_MESSAGE_BYTES
from undercroft_protocol.qr.camera import open_camera
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.eye import NAMES, best_eye, eye_by_name
from undercroft_protocol.qr.player import Player, QrSettings
from undercroft_protocol.qr.presets import preset
from undercroft_protocol.qr.scanner import Scanner
from undercroft_protocol.qr.screen import open_screen
from undercroft_protocol.qr.screen.files import MAX_FRAMES, MAX_PICTURES_PER_SECOND, write_gif, write_png
from undercroft_protocol.qr.stream import Format, Kind, Payload, SymbolSource

from ...codes import SHOWN_FORMATS, SHOWN_KINDS, WALLETS, shown
from ...errors import CameraAway, CodesMissing, Failure, ScreenAway, UsageProblem
from ..app import App, pass_app
from ..files import check_new, write_new
from ..options import SECONDS
from ..program import Noun

_TEXT_KINDS: Final = (Kind.TEXT, Kind.JSON)
_SCALE: Final = 4
"""Pixels of a module in a picture file."""
_HINT_FOR_A_WALLET: Final = "another --screen, or a picture file: --gif FILE, --png FILE"
_SCAN_SECONDS: Final = 120
_PICTURE_SECONDS: Final = 0.5
_MOST_BYTES: Final = 2 * MAX_MESSAGE_BYTES
"""A PSBT of the greatest size in base 64 is less."""


@click.group("qr", cls=Noun)
def command() -> None:
    """Show files as animated QR codes, and scan them: to and from appliances and other wallets."""


@command.command("show")
@click.argument("file", type=click.File("rb"))
@click.option("--format", "form", type=click.Choice([one.value for one in SHOWN_FORMATS]),
              help="fast: our appliances; ur, bbqr: other wallets.")  # fmt: skip
@click.option("--kind", type=click.Choice([one.value for one in SHOWN_KINDS]),
              help="What the file is; an output is a descriptor or, as an account, CBOR.")  # fmt: skip
@click.option("--wallet", type=click.Choice(WALLETS), help="As this wallet reads it best.")
@click.option("--version", type=click.IntRange(5, 40), help="The size of the codes; not with --wallet.")
@click.option("--codes", type=click.IntRange(1, 12), help="How many stand side by side.")
@click.option("--rate", type=click.IntRange(1, 60), help="Pictures a second; half of the camera's rate is best.")
@click.option("--screen", metavar="SCREEN", help="A terminal (/dev/…) or window; else [qr] screen, else /dev/tty.")
@click.option("--gif", type=click.Path(dir_okay=False, path_type=Path), help="Write a film instead of showing it.")
@click.option("--png", type=click.Path(dir_okay=False, path_type=Path), help="Write one code instead of showing it.")
@click.option("--seconds", type=SECONDS, help="Stop showing after that time; else with Ctrl-C.")
@pass_app
def show(
    app: App,
    *,
    file: BinaryIO,
    form: str | None,
    kind: str | None,
    wallet: str | None,
    version: int | None,
    codes: int | None,
    rate: int | None,
    screen: str | None,
    gif: Path | None,
    png: Path | None,
    seconds: int | None,
) -> None:
    """Show a file (- for standard input) as codes, until Ctrl-C: a PSBT, a message, a descriptor, any bytes."""
    if wallet is not None and version is not None:
        raise UsageProblem("--wallet says how large its codes are; leave --version out")
    if gif is not None and png is not None:
        raise UsageProblem("either --gif or --png")
    data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise UsageProblem(f"more than {_MOST_BYTES} bytes")
    desk = app.qr_desk
    settings = QrSettings(
        version or desk.version,
        codes or (desk.codes if wallet is None else 1),
        rate or (desk.pictures_per_second if wallet is None else preset(wallet).pictures_per_second),
    )
    found = shown(
        data,
        form=None if form is None else Format(form),
        kind=None if kind is None else Kind(kind),
        wallet=wallet,
        version=settings.version,
        entropy=app.entropy,
    )
    try:
        if gif is not None or png is not None:
            file_of_codes = _written(found.source, settings, gif, png)
        else:
            file_of_codes = None
            _play(found.source, settings, screen or desk.screen, seconds)
    except (ScreenError, QrError) as error:
        raise ScreenAway(error.detail or str(error), hint=_HINT_FOR_A_WALLET if wallet is not None else "") from error
    app.put({**_told(found.payload), "codes": found.source.count, "file": file_of_codes})


@command.command("scan")
@click.option("--camera", metavar="CAMERA", help="/dev/video0, video:FILE or y4m:PATH; else [qr] camera.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Where it goes (else stdout)."
)
@click.option("--base64", "in_base64", is_flag=True, help="In base 64, as PSBTs are often handed on.")
@click.option("--kind", type=click.Choice([one.value for one in Kind]), help="Only this kind; others are passed over.")
@click.option("--eye", type=click.Choice(NAMES), help="Another reader than the best one installed.")
@click.option("--timeout", type=SECONDS, default=_SCAN_SECONDS, show_default=True, help="Seconds to look.")
@pass_app
def scan(
    app: App,
    *,
    camera: str | None,
    out: Path | None,
    in_base64: bool,
    kind: str | None,
    eye: str | None,
    timeout: int,
) -> None:
    """Look through the camera until something is whole, and print it: what an appliance or another wallet shows."""
    wanted = None if kind is None else Kind(kind)
    _check_out(app, out, in_base64, wanted)
    payload = _scanned(app, camera or app.qr_desk.camera, eye, wanted, timeout)
    data = base64.b64encode(payload.data) + b"\n" if in_base64 else payload.data
    told: dict[str, Any] = _told(payload)
    if out is not None:
        write_new(out, data)
        app.put({**told, "file": str(out)})
    elif app.options.json:
        app.put({**told, "file": None, "base64": base64.b64encode(payload.data).decode("ascii")})
    else:
        if sys.stdout.isatty():
            _check_text(data)
        click.echo(data, nl=False)


def _play(source: SymbolSource, settings: QrSettings, screen: str, seconds: int | None) -> None:
    until = None if seconds is None else time.monotonic() + seconds
    # Closed also by Ctrl-C: the terminal is clear again, and its cursor there.
    with closing(open_screen(screen)) as opened:
        player = Player(opened, settings=settings, clock=time.monotonic)
        player.play(source)
        while until is None or time.monotonic() < until:
            time.sleep(player.wait_seconds() or 0)
            player.turn()


def _written(source: SymbolSource, settings: QrSettings, gif: Path | None, png: Path | None) -> str:
    if gif is not None:
        check_new(gif)
        number = min(settings.codes, source.count)
        # Twice round: a reader that misses one has another chance before it begins again.
        frames = min(MAX_FRAMES, -(-2 * source.count // number)) if source.count > 1 else 1
        rate = min(settings.pictures_per_second, MAX_PICTURES_PER_SECOND)
        write_gif(gif, source, frames=frames, pictures_per_second=rate, scale=_SCALE, codes=number)
        return str(gif)
    if source.count > 1:
        raise UsageProblem(f"one picture is not enough for {source.count} codes", hint="write a film: --gif FILE")
    if png is None:
        raise ValueError("neither a GIF nor a PNG")
    check_new(png)
    write_png(png, draw(source.next_symbol()), _SCALE)
    return str(png)


def _scanned(app: App, camera: str, eye: str | None, wanted: Kind | None, timeout: int) -> Payload:
    try:
        reader = best_eye() if eye is None else eye_by_name(eye)
    except QrError as error:
        raise Failure(error.detail) from error
    try:
        opened = open_camera(camera)
    except CameraError as error:
        raise CameraAway(error.detail) from error
    with app.line, closing(opened):
        scanner = Scanner(opened, reader, limit=MAX_MESSAGE_BYTES, clock=time.monotonic)
        try:
            return _whole(app, scanner, wanted, timeout)
        except CameraError as error:
            raise CameraAway(f"{error.detail}; {scanner.seen.missing}") from error


def _whole(app: App, scanner: Scanner, wanted: Kind | None, timeout: int) -> Payload:
    """The first payload of the kind that is wanted. Raises CameraError, CodesMissing."""
    until = time.monotonic() + timeout
    while (rest := until - time.monotonic()) > 0:
        for payload in scanner.look(timeout=min(rest, _PICTURE_SECONDS)):
            if wanted in (None, payload.kind):
                return payload
            app.note(f"passed over: {payload.kind.value}, {len(payload.data)} bytes, {payload.format.value}")
        app.line.say(scanner.seen)
    missing = f"{scanner.seen.missing} within {timeout} s"
    raise CodesMissing(missing) if scanner.seen.pictures else CameraAway(missing)


def _check_out(app: App, out: Path | None, in_base64: bool, wanted: Kind | None) -> None:
    """Before anybody holds a device before the camera in vain. Raises Conflict, Failure, UsageProblem."""
    if out is not None:
        check_new(out)
    elif sys.stdout is None:
        raise UsageProblem("there is no stdout to print it on", hint="add --out FILE")
    is_text = in_base64 or app.options.json or wanted in _TEXT_KINDS
    # Attack: a code whose bytes are commands to the terminal.
    if out is None and not is_text and sys.stdout.isatty():
        raise UsageProblem("bytes do not belong on a terminal", hint="add --base64, --out FILE or --json")


def _check_text(data: bytes) -> None:
    """Raises Failure for a text that is more than text."""
    # Attack: a text whose characters are commands to the terminal; what a line ends with and tabs are none.
    text = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    if not all(character.isprintable() or character in "\n\t" for character in text):
        raise Failure("the text holds characters that do not belong on a terminal", hint="add --out FILE or --base64")


def _told(payload: Payload) -> dict[str, Any]:
    return {
        "format": payload.format.value,
        "kind": payload.kind.value,
        "bytes": len(payload.data),
        "sha256": sha256(payload.data).hex(),
    }
