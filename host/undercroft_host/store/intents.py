"""Intents: written before an effect on the world, finished after it.

Whoever starts again after a crash finds the unfinished ones, looks at the world first, and finishes them.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..clock import Clock
from ..errors import IntegrityAlarm
from .tables import Intent


def start(session: Session, *, kind: str, subject: str, clock: Clock) -> Intent:
    """Say what is about to be done; an unfinished intent of this kind and subject is taken up again."""
    wanted = select(Intent).where(Intent.kind == kind, Intent.subject == subject, Intent.finished.is_(None))
    intent = session.scalars(wanted).first()
    if intent is None:
        intent = Intent(kind=kind, subject=subject, started=clock())
        session.add(intent)
        session.flush()
    return intent


def finish(session: Session, intent_id: int, *, outcome: str, clock: Clock) -> None:
    """Say what came of it. The first word stands: a second process that finished the same thing changes nothing."""
    intent = session.get(Intent, intent_id)
    if intent is None:
        raise IntegrityAlarm(f"intent {intent_id} is gone")
    if intent.finished is None:
        intent.finished, intent.outcome = clock(), outcome[:200]
        session.flush()


def unfinished(session: Session, kind: str) -> list[Intent]:
    """What was begun and, as far as is known, not done; oldest first."""
    wanted = select(Intent).where(Intent.kind == kind, Intent.finished.is_(None)).order_by(Intent.id)
    return list(session.scalars(wanted))
