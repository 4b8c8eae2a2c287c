"""``undercroft audit``."""

from __future__ import annotations

import click
from sqlalchemy import select

from ...store import audit
from ...store.tables import AuditRecord
from ..app import App, pass_app
from ..options import ROW_NUMBER
from ..output import moment
from ..program import Noun


@click.group("audit", cls=Noun)
def command() -> None:
    """The record of every act, in a hash chain."""


@command.command("verify")
@pass_app
def verify(app: App) -> None:
    """Walk the whole chain; exit code 8 when it was changed."""
    with app.store.read() as session:
        app.put({"records": audit.verify(session), "intact": True})


@command.command("list")
@click.option("--last", type=ROW_NUMBER, default=50, show_default=True, help="How many records.")
@pass_app
def list_records(app: App, last: int) -> None:
    """The newest records, oldest first."""
    with app.store.read() as session:
        records = session.scalars(select(AuditRecord).order_by(AuditRecord.number.desc()).limit(last)).all()
        app.put(
            [
                {
                    "number": record.number,
                    "time": moment(record.time),
                    "actor": record.actor,
                    "action": record.action,
                    "subject": record.subject,
                    "facts": record.facts,
                }
                for record in reversed(records)
            ]
        )
