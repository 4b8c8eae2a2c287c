"""``undercroft audit``."""

from __future__ import annotations

import click
from sqlalchemy import select

from ...custody.log_proof import LogProof, prove_logs
from ...custody.logs import told
from ...errors import LogIncomplete
from ...store import audit
from ...store.tables import AuditRecord
from ..app import App, pass_app
from ..options import ROW_NUMBER
from ..output import moment
from ..program import Noun


@click.group("audit", cls=Noun)
def command() -> None:
    """The record of every act, in hash chains: the host's own, and the logs of the appliances."""


@command.command("verify")
@pass_app
def verify(app: App) -> None:
    """Walk the host's whole chain and the kept logs of all appliances; exit code 8 when anything was changed or lacks.

    A log is whole when its entries follow each other from the first on, end where the appliance's seals say, and hold
    every place after which an appliance gave a kept answer. Answers newer than the log was fetched are counted.
    """
    with app.store.read() as session:
        records = audit.verify(session)
        proofs = prove_logs(session)
    missing = [words for proof in proofs for words in missing_words(proof)]
    app.put(
        {
            "records": records,
            "intact": not missing,
            "logs": [
                {
                    "appliance": proof.appliance,
                    "entries": proof.entries,
                    "whole": proof.is_whole,
                    "answers_newer_than_log": proof.not_fetched,
                }
                for proof in proofs
            ],
        }
    )
    if missing:
        raise LogIncomplete("; ".join(missing))


def missing_words(proof: LogProof) -> list[str]:
    """What is missing in an appliance's log, with entry numbers and times; nothing for a whole log."""
    words = [
        f"{proof.appliance}: {told(gap)} (after {_when(gap.after)}, before {_when(gap.before)})" for gap in proof.gaps
    ]
    for one in proof.lost:
        place = "the first entry" if one.after is None else f"an entry after number {one.after}"
        words.append(f"{proof.appliance}: {place} is missing: what {one.what} rests on, of {_when(one.time)}")
    return words


def _when(time: int) -> str:
    return moment(time or None) or "an unknown time"


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
