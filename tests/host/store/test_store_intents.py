"""Intents outlive the process that wrote them."""

from __future__ import annotations

import pytest

from exchange import Ticking
from undercroft_host.errors import IntegrityAlarm
from undercroft_host.store import intents
from undercroft_host.store.engine import Store


def test_intent_is_open_until_it_is_finished(store: Store, clock: Ticking) -> None:
    with store.begin("test") as session:
        first = intents.start(session, kind="broadcast", subject="1", clock=clock).id
        intents.start(session, kind="broadcast", subject="2", clock=clock)
        intents.start(session, kind="other", subject="1", clock=clock)
    with store.begin("test") as session:
        assert [one.subject for one in intents.unfinished(session, "broadcast")] == ["1", "2"]
        intents.finish(session, first, outcome="done", clock=clock)
        assert [one.subject for one in intents.unfinished(session, "broadcast")] == ["2"]


def test_intent_begun_again_is_the_same_one_and_its_first_outcome_stands(store: Store, clock: Ticking) -> None:
    with store.begin("test") as session:
        first = intents.start(session, kind="broadcast", subject="1", clock=clock)
        assert intents.start(session, kind="broadcast", subject="1", clock=clock).id == first.id
        intents.finish(session, first.id, outcome="done", clock=clock)
        intents.finish(session, first.id, outcome="refused", clock=clock)
        assert first.outcome == "done"
        assert intents.start(session, kind="broadcast", subject="1", clock=clock).id != first.id


def test_outcome_of_an_intent_that_is_gone_is_an_alarm(store: Store, clock: Ticking) -> None:
    with store.begin("test") as session, pytest.raises(IntegrityAlarm):
        intents.finish(session, 99, outcome="done", clock=clock)
