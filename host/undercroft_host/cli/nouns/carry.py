"""``undercroft carry``."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.link_folder import LinkFolder

from ...desk.carry import Carried, Courier
from ...errors import Conflict, Failure, HostError, LinkInvalid
from ...link_text import parse_link
from ..app import App, pass_app
from ..options import SECONDS
from ..program import Verb

_OWNER_SECONDS = 600
_LOOK_SECONDS = 1.0


@click.command("carry", cls=Verb)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--to", "link", required=True, metavar="LINK",
    help="The appliance: serial:PATH[,BAUDRATE], qr or qr:CAMERA,SCREEN.",
)  # fmt: skip
@click.option("--timeout", type=SECONDS, default=_OWNER_SECONDS, show_default=True, help="Seconds for each answer.")
@click.option("--wait", type=SECONDS, help="Go on delivering what comes into the folder for so many seconds.")
@pass_app
def command(app: App, folder: Path, link: str, timeout: int, wait: int | None) -> None:
    """Deliver the requests in a folder to the appliance beside this desk, and put its answers beside them.

    The folder is that of a link file:FOLDER, brought on a stick or synced; files NAME.psbt in it are delivered too, and
    come back as NAME.signed.psbt. It needs no home and no key, and can be stopped and run again at any time.
    """
    meant = parse_link(link)
    if meant.is_carried:
        raise LinkInvalid(
            f"{link}: this brings a folder to an appliance, not to another folder",
            hint="--to serial:PATH, qr or qr:CAMERA,SCREEN",
        )
    done: dict[str, Carried] = {}
    failure: HostError | ProtocolError | None = None
    with _alone(folder.absolute()), app.line, closing(app.open_link(link)) as opened:
        courier = Courier(LinkFolder(folder.absolute()), opened, timeout=timeout + meant.patience_seconds, say=app.note)
        try:
            for one in _rounds(courier, wait or 0):
                # In several rounds the same file may have the same trouble: it is told once.
                if one.problem is not None and done.get(one.request) != one:
                    app.note(f"{one.request}: {one.problem}")
                done[one.request] = one
        except (HostError, ProtocolError) as error:
            # What was delivered before is told all the same, also when the folder was pulled out.
            failure = error
    app.put([{"request": one.request, "reply": one.reply, "problem": one.problem} for one in done.values()])
    if failure is not None:
        raise failure
    left = sum(one.problem is not None for one in done.values())
    if left:
        raise Failure(
            f"{left} of {len(done)} files {'was' if left == 1 else 'were'} not delivered",
            hint="what is wrong with each stands above; mend or remove it, and carry again",
        )


def _rounds(courier: Courier, wait: int) -> Iterator[Carried]:
    until = time.monotonic() + wait
    while True:
        yield from courier.run()
        rest = until - time.monotonic()
        if rest <= 0:
            return
        time.sleep(min(_LOOK_SECONDS, rest))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder: two at once would deliver everything twice."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Failure(
            f"{folder} cannot be opened ({error.strerror})", hint="give the folder of a link file:FOLDER"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise Conflict(f"another undercroft carry works on {folder}") from error
    try:
        yield
    finally:
        os.close(descriptor)
