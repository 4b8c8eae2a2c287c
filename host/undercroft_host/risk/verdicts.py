"""Verdicts as they are kept: every finding of every rule, so that each decision can be explained afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..clock import Clock
from ..store import audit
from ..store.tables import RiskVerdict
from .findings import Finding, reason, strictest

DEPOSIT: Final = "deposit"
WITHDRAWAL: Final = "withdrawal"


def keep_verdict(
    session: Session, kind: str, subject: str, findings: Sequence[Finding], ruleset_hash: bytes, *, clock: Clock
) -> str:
    """Store the verdict that these findings make, unless the newest one says the very same; returns its outcome."""
    outcome = strictest(findings)
    records = [finding.record() for finding in findings]
    newest = next(iter(verdicts_on(session, subject)), None)
    said = None if newest is None else (newest.kind, newest.outcome, newest.ruleset_hash, newest.findings)
    if said != (kind, outcome, ruleset_hash, records):
        session.add(
            RiskVerdict(
                kind=kind,
                subject=subject,
                outcome=outcome,
                ruleset_hash=ruleset_hash,
                findings=records,
                time=clock(),
            )
        )
        session.flush()
    if newest is None or newest.outcome != outcome:
        facts: dict[str, int | str | None] = {"outcome": outcome, "reason": reason(findings)}
        audit.record(session, clock=clock, action=f"judge-{kind}", subject=f"{kind}:{subject}", facts=facts)
    return outcome


def verdicts_on(session: Session, subject: str) -> list[RiskVerdict]:
    """All verdicts on a deposit (``txid:vout``) or withdrawal (its id), the newest first."""
    query = select(RiskVerdict).where(RiskVerdict.subject == subject).order_by(RiskVerdict.id.desc())
    return list(session.scalars(query))
