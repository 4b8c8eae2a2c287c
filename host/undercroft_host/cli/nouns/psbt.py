"""``undercroft psbt``."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import BinaryIO

import click

from undercroft_protocol.bitcoin.transaction import txid_to_hex

from ...desk.fetch import fetch_log
from ...desk.psbts import read_psbt, short_code, sign_psbt
from ...errors import BackendUnreachable, Failure
from ...psbt_text import MAX_PSBT_FILE_BYTES, decoded_psbt, encoded_psbt
from ..app import App, pass_app
from ..ceremony import timeout_option
from ..options import link_option
from ..program import Noun


@click.group("psbt", cls=Noun)
def command() -> None:
    """Transactions that another wallet (Sparrow, Core, Specter) built: have owners sign them."""


@command.command("sign")
@click.argument("file", type=click.File("rb"))
@click.option("--to", "name", required=True, metavar="NAME", help="An armed appliance.")
@click.option(
    "--out", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Where it goes (else to stdout)."
)
@timeout_option
@link_option
@pass_app
def sign(app: App, file: BinaryIO, name: str, out: Path | None, timeout: int) -> None:
    """Have an owner look at a PSBT (binary or base64; - for standard input) and sign it; base64 on stdout."""
    psbt, is_base64 = decoded_psbt(file.read(MAX_PSBT_FILE_BYTES + 1))
    txid = txid_to_hex(read_psbt(psbt).transaction.txid)
    quorum = app.quorum()
    with app.talk(name, quorum.id) as talk:
        app.note(f"waiting for {name}'s owner to look at PSBT {short_code(psbt)} (up to {timeout} s)")
        signed = sign_psbt(app.store, app.actor, talk, psbt, quorum, clock=app.clock, timeout=timeout)
        try:
            fetch_log(app.store, app.actor, talk, quorum, clock=app.clock)
        except BackendUnreachable as error:
            # The signatures are here; the log is fetched with the next batch or before the lock.
            app.note(f"{name}: its log was not fetched: {error}")
    text = base64.b64encode(signed).decode("ascii")
    data = {"appliance": name, "txid": txid, "code": short_code(psbt)}
    if out is None:
        app.put({**data, "psbt": text}, text=text)
        return
    try:
        out.write_bytes(encoded_psbt(signed, in_base64=is_base64))
    except OSError as error:
        # The same bytes get the same answer: nothing is lost and nobody is asked again.
        raise Failure(f"{out} cannot be written: {error.strerror}", hint="send the same PSBT again") from error
    app.put({**data, "out": str(out)})
