"""Appliance logs: kept when they continue what was kept and end where their seal says; anything else is an alarm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from exchange import Ticking, open_store
from scripted_appliance import IDENTITY, QUORUM, ScriptedAppliance, altered, found, public, stated, talking
from undercroft_host.custody.appliances import get_appliance
from undercroft_host.custody.logs import kept_end, list_entries, store_log, verify_kept
from undercroft_host.desk.fetch import fetch_log
from undercroft_host.errors import IntegrityAlarm
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import ApplianceLogEntry, ApplianceLogSeal
from undercroft_protocol.messages import LogEntry, LogReply, LogRequest, LogSeal, Value

ALICE = public(IDENTITY["alice"])


@pytest.fixture
def alice() -> ScriptedAppliance:
    appliance = ScriptedAppliance("alice")
    for event in ("started", "activated", "armed"):
        appliance.note(event)
    return appliance


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = open_store(tmp_path)
    found(opened)
    return opened


def fetched(store: Store, clock: Ticking, alice: ScriptedAppliance) -> int:
    with talking(store, clock, alice) as talk:
        return fetch_log(store, "test", talk, QUORUM, clock=clock)


def keep(session: Session, entries: list[LogEntry], seal: bytes, clock: Ticking) -> None:
    store_log(session, get_appliance(session, "alice"), entries, seal, QUORUM.id, clock=clock)


def test_a_log_is_fetched_once_and_then_only_what_is_new(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    assert fetched(store, clock, alice) == 3
    assert fetched(store, clock, alice) == 0
    alice.note("signed")
    assert fetched(store, clock, alice) == 1
    with store.read() as session:
        assert [entry.event for entry in list_entries(session, ALICE)] == ["started", "activated", "armed", "signed"]
        assert kept_end(session, ALICE).head == alice.log_head
        assert verify_kept(session, get_appliance(session, "alice")) == 4
        assert session.get_one(ApplianceLogSeal, ALICE).length == 4


def test_a_long_log_comes_in_several_answers(store: Store, clock: Ticking, alice: ScriptedAppliance) -> None:
    def two_at_a_time(request: LogRequest) -> Value:
        seal = stated(LogSeal(QUORUM.id, len(alice.log), alice.log_head), alice.identity)
        return LogReply(tuple(alice.log[request.start : request.start + 2]), seal)

    alice.answers[LogRequest] = two_at_a_time
    assert fetched(store, clock, alice) == 3


def test_attack_an_appliance_that_keeps_entries_back_is_noticed(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    seal = stated(LogSeal(QUORUM.id, 3, alice.log_head), alice.identity)
    alice.answers[LogRequest] = lambda _: LogReply((), seal)
    with pytest.raises(IntegrityAlarm, match="3 log entries back"):
        fetched(store, clock, alice)


def _left_out(entries: list[LogEntry]) -> list[LogEntry]:
    return [entries[0], entries[2]]


def _changed(entries: list[LogEntry]) -> list[LogEntry]:
    return [entries[0], altered(entries[1], event="nothing"), entries[2]]


def _put_in(entries: list[LogEntry]) -> list[LogEntry]:
    return [entries[0], altered(entries[1], event="nothing"), *entries[1:]]


def _swapped(entries: list[LogEntry]) -> list[LogEntry]:
    return [entries[1], entries[0], entries[2]]


def _cut_at_the_start(entries: list[LogEntry]) -> list[LogEntry]:
    return entries[1:]


def _last_changed(entries: list[LogEntry]) -> list[LogEntry]:
    return [*entries[:2], altered(entries[2], event="nothing")]


@pytest.mark.parametrize(
    "mutation",
    [_left_out, _changed, _put_in, _swapped, _cut_at_the_start, _last_changed],
    ids=lambda mutation: mutation.__name__.strip("_"),
)
def test_attack_a_log_that_was_rewritten_on_the_way_is_not_kept(
    store: Store, clock: Ticking, alice: ScriptedAppliance, mutation: Callable[[list[LogEntry]], list[LogEntry]]
) -> None:
    seal = stated(LogSeal(QUORUM.id, 3, alice.log_head), alice.identity)
    with store.begin("test") as session:
        with pytest.raises(IntegrityAlarm) as raised:
            keep(session, mutation(alice.log), seal, clock)
        assert session.query(ApplianceLogEntry).count() == 0
    assert raised.value.exit_code == 8


def test_attack_a_log_that_became_shorter_or_ends_differently_is_noticed(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    fetched(store, clock, alice)
    with store.begin("test") as session:
        for seal in (LogSeal(QUORUM.id, 2, alice.log[2].previous), LogSeal(QUORUM.id, 3, bytes(32))):
            with pytest.raises(IntegrityAlarm, match="log seal of alice"):
                keep(session, [], stated(seal, alice.identity), clock)


def test_attack_a_seal_by_another_owner_or_for_another_quorum_is_not_kept(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    with store.begin("test") as session:
        for seal in (
            stated(LogSeal(QUORUM.id, 3, alice.log_head), IDENTITY["bob"]),
            stated(LogSeal(bytes(32), 3, alice.log_head), alice.identity),
        ):
            with pytest.raises(IntegrityAlarm):
                keep(session, alice.log, seal, clock)


def test_attack_a_kept_log_changed_in_the_database_is_noticed(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    fetched(store, clock, alice)
    with store.begin("test") as session:
        entry = session.get_one(ApplianceLogEntry, (ALICE, 1))
        entry.cbor = altered(LogEntry.from_bytes(entry.cbor), event="nothing").to_bytes()
    with store.read() as session, pytest.raises(IntegrityAlarm):
        verify_kept(session, get_appliance(session, "alice"))
    with store.begin("test") as session:
        session.delete(session.get_one(ApplianceLogEntry, (ALICE, 2)))
        entry = session.get_one(ApplianceLogEntry, (ALICE, 1))
        entry.cbor = alice.log[1].to_bytes()
    with store.read() as session, pytest.raises(IntegrityAlarm, match="does not end where"):
        verify_kept(session, get_appliance(session, "alice"))
