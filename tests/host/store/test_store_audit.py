"""The audit log shows every change made to it afterwards."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from exchange import Ticking
from undercroft_host.errors import AuditBroken
from undercroft_host.store import audit
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import AuditRecord


@pytest.fixture
def logged(store: Store, clock: Ticking) -> Store:
    """A store with five acts in its log."""
    with store.begin("test") as session:
        for number in range(5):
            facts: dict[str, int | str | None] = {"number": number, "word": "ä", "nothing": None}
            audit.record(session, clock=clock, action="act", subject=f"thing {number}", facts=facts)
            clock.now += 1
    return store


def test_untouched_log_verifies_and_is_counted(logged: Store) -> None:
    with logged.read() as session:
        assert audit.verify(session) == 5


def test_log_goes_on_where_it_ended(logged: Store, clock: Ticking) -> None:
    with logged.begin("second") as session:
        entry = audit.record(session, clock=clock, action="act", subject="more", facts={}, actor="third")
        assert (entry.number, entry.actor) == (6, "third")
        assert audit.verify(session) == 6


def test_act_of_an_undone_transaction_is_not_in_the_log(logged: Store, clock: Ticking) -> None:
    with pytest.raises(RuntimeError), logged.begin("test") as session:
        audit.record(session, clock=clock, action="act", subject="undone", facts={})
        raise RuntimeError
    with logged.read() as session:
        assert audit.verify(session) == 5


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET actor = 'somebody' WHERE number = 3",
        "UPDATE audit SET action = 'other' WHERE number = 3",
        "UPDATE audit SET subject = 'thing 9' WHERE number = 3",
        "UPDATE audit SET time = time + 1 WHERE number = 3",
        """UPDATE audit SET facts = '{"number": 9, "word": "ä", "nothing": null}' WHERE number = 3""",
        "UPDATE audit SET previous = head WHERE number = 3",
        "DELETE FROM audit WHERE number = 3",
        "DELETE FROM audit WHERE number = 1",
    ],
)
def test_attack_changed_record_breaks_the_chain(logged: Store, change: str) -> None:
    with logged.begin("intruder") as session:
        session.execute(text(change))
    with pytest.raises(AuditBroken), logged.read() as session:
        audit.verify(session)


def test_attack_changed_record_with_a_new_head_breaks_the_next(logged: Store) -> None:
    with logged.begin("intruder") as session:
        entry = session.get_one(AuditRecord, 3)
        entry.subject = "thing 9"
        entry.head = audit.head_of(entry)
    with pytest.raises(AuditBroken, match="record 4"), logged.read() as session:
        audit.verify(session)
