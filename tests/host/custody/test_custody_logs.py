"""Appliance logs: kept when they continue what was kept and end where their seal says; anything else is an alarm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from exchange import NOW, Ticking, open_store
from scripted_appliance import (
    IDENTITY,
    QUORUM,
    ScriptedAppliance,
    altered,
    batch_of,
    cleared_payment,
    found,
    public,
    sent,
    stated,
    talking,
)
from undercroft_host.custody.appliances import get_appliance
from undercroft_host.custody.log_proof import prove_log, prove_logs
from undercroft_host.custody.logs import kept_end, list_entries, log_file, newest_seal, store_log
from undercroft_host.desk.fetch import fetch_log
from undercroft_host.errors import IntegrityAlarm
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import ApplianceLogEntry, ApplianceLogSeal, BatchSend, PaymentVerdict
from undercroft_protocol.messages import (
    LogEntry,
    LogFile,
    LogGap,
    LogReply,
    LogRequest,
    LogSeal,
    Value,
    open_statement,
)

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
        assert [entry.event for entry in list_entries(session, "alice", ALICE)] == [
            "started",
            "activated",
            "armed",
            "signed",
        ]
        assert kept_end(session, ALICE).head == alice.log_head
        proof = prove_log(session, get_appliance(session, "alice"))
        assert (proof.entries, proof.is_whole, proof.not_fetched) == (4, True, 0)
        # One seal over all of it is enough.
        assert [seal.length for seal in session.query(ApplianceLogSeal)] == [4]


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


def _cut_at_the_end(entries: list[LogEntry]) -> list[LogEntry]:
    return entries[:2]


def _last_changed(entries: list[LogEntry]) -> list[LogEntry]:
    return [*entries[:2], altered(entries[2], event="nothing")]


@pytest.mark.parametrize(
    "mutation",
    [_left_out, _changed, _put_in, _swapped, _cut_at_the_end, _last_changed],
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


# What was kept is proved again.


def test_an_appliance_that_forgot_its_oldest_entries_leaves_a_gap_that_is_named(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    fetched(store, clock, alice)
    for _ in range(4):
        alice.note("signed")

    def newest_two(_: LogRequest) -> Value:
        return LogReply(tuple(alice.log[5:]), stated(LogSeal(QUORUM.id, 7, alice.log_head), alice.identity))

    alice.answers[LogRequest] = newest_two
    with pytest.raises(IntegrityAlarm, match="entries 3 to 4 are missing; what came after them was kept"):
        fetched(store, clock, alice)
    del alice.answers[LogRequest]
    alice.note("locked")
    assert fetched(store, clock, alice) == 1
    with store.read() as session:
        proof = prove_log(session, get_appliance(session, "alice"))
        assert proof.gaps == (LogGap(3, 4, NOW, NOW),)
        # What came before the gap still has its own seal.
        assert sorted(seal.length for seal in session.query(ApplianceLogSeal)) == [3, 8]
    with store.begin("test") as session:
        session.delete(session.get_one(ApplianceLogSeal, (ALICE, 3)))
    with store.read() as session, pytest.raises(IntegrityAlarm, match="no seal says"):
        prove_log(session, get_appliance(session, "alice"))


def test_a_log_that_was_never_fetched_is_whole_and_empty(store: Store) -> None:
    with store.read() as session:
        assert [(proof.entries, proof.is_whole) for proof in prove_logs(session)] == [(0, True)] * 3


def _flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("field", ["number", "head", "identity", "cbor"])
def test_attack_any_field_of_a_kept_entry_is_changed(
    store: Store, clock: Ticking, alice: ScriptedAppliance, number: int, field: str
) -> None:
    fetched(store, clock, alice)
    with store.begin("test") as session:
        row = session.get_one(ApplianceLogEntry, (ALICE, number))
        before = getattr(row, field)
        setattr(row, field, 9 if field == "number" else _flipped(before, 3))
    with store.read() as session, pytest.raises(IntegrityAlarm):
        prove_logs(session)


@pytest.mark.parametrize("field", ["previous", "time", "event", "facts", "sealed"])
def test_attack_any_part_of_an_entry_is_changed_and_its_head_beside_it(
    store: Store, clock: Ticking, alice: ScriptedAppliance, field: str
) -> None:
    other = {"previous": bytes(32), "time": 1, "event": "nothing", "facts": (), "sealed": None}
    for number in range(3):
        fetched(store, clock, alice)
        changed = altered(alice.log[number], **{field: other[field]})
        if changed == alice.log[number]:
            continue
        with store.begin("test") as session:
            row = session.get_one(ApplianceLogEntry, (ALICE, number))
            row.cbor, row.head = changed.to_bytes(), changed.head
        with store.read() as session, pytest.raises(IntegrityAlarm):
            prove_logs(session)
        with store.begin("test") as session:
            row = session.get_one(ApplianceLogEntry, (ALICE, number))
            row.cbor, row.head = alice.log[number].to_bytes(), alice.log[number].head


@pytest.mark.parametrize("field", ["identity", "length", "raw"])
def test_attack_any_field_of_a_kept_seal_is_changed(
    store: Store, clock: Ticking, alice: ScriptedAppliance, field: str
) -> None:
    fetched(store, clock, alice)
    with store.begin("test") as session:
        row = newest_seal(session, ALICE)
        assert row is not None
        before = getattr(row, field)
        setattr(row, field, 2 if field == "length" else _flipped(before, -1))
    with store.read() as session, pytest.raises(IntegrityAlarm):
        prove_logs(session)


def test_attack_entries_are_cut_off_put_on_or_their_seal_is_taken_away(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    fetched(store, clock, alice)
    with store.begin("test") as session:
        last = session.get_one(ApplianceLogEntry, (ALICE, 2))
        session.delete(last)
    with store.read() as session, pytest.raises(IntegrityAlarm, match="does not end where"):
        prove_logs(session)
    extra = LogEntry(3, alice.log_head, NOW, "signed", ())
    with store.begin("test") as session:
        for entry in (alice.log[2], extra):
            row = ApplianceLogEntry(identity=ALICE, number=entry.number, head=entry.head, cbor=entry.to_bytes())
            session.add(row)
    with store.read() as session, pytest.raises(IntegrityAlarm, match="does not end where"):
        prove_logs(session)
    with store.begin("test") as session:
        session.delete(session.get_one(ApplianceLogEntry, (ALICE, 3)))
        session.delete(session.get_one(ApplianceLogSeal, (ALICE, 3)))
    with store.read() as session, pytest.raises(IntegrityAlarm, match="does not end where"):
        prove_logs(session)


@pytest.mark.parametrize("length", [0, 3])
def test_attack_a_log_is_put_back_with_its_seal_to_what_it_was(
    store: Store, clock: Ticking, alice: ScriptedAppliance, length: int
) -> None:
    fetched(store, clock, alice)
    with store.read() as session:
        seal = newest_seal(session, ALICE)
        assert seal is not None
        before = {"identity": ALICE, "length": seal.length, "raw": seal.raw, "kept": seal.kept}
    clock.now += 1
    answered(store, clock, alice, "a")
    fetched(store, clock, alice)
    with store.begin("test") as session:
        for entry in session.query(ApplianceLogEntry).filter(ApplianceLogEntry.number >= length):
            session.delete(entry)
        for newer in session.query(ApplianceLogSeal):
            session.delete(newer)
        session.flush()
        if length:
            session.add(ApplianceLogSeal(**before))
    with store.read() as session, pytest.raises(IntegrityAlarm, match=f"has {length} entries, and it had 4"):
        prove_logs(session)


def test_attack_a_log_without_an_end_is_not_read_until_the_memory_is_full(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    asked = []

    def endless(request: LogRequest) -> Value:
        asked.append(request.start)
        for _ in range(1000):
            alice.log.append(LogEntry(len(alice.log), alice.log_head, NOW, "signed", ()))
        seal = stated(LogSeal(QUORUM.id, 0xFFFFFFFF, alice.log_head), alice.identity)
        return LogReply(tuple(alice.log[request.start :]), seal)

    alice.answers[LogRequest] = endless
    with pytest.raises(IntegrityAlarm, match="more than 4000 log entries at once"):
        fetched(store, clock, alice)
    assert len(asked) == 4
    with store.read() as session:
        assert list_entries(session, "alice", ALICE) == []


# The heads in kept answers.


def answered(store: Store, clock: Ticking, alice: ScriptedAppliance, prefix: str) -> bytes:
    """A batch that alice signs, after an entry in her log; its id."""
    batch = batch_of(store, clock, cleared_payment(store, clock, prefix=prefix))
    alice.note("signed")
    sent(store, clock, alice, batch.batch_id)
    return batch.batch_id


def test_the_answers_rest_on_entries_of_the_log_and_newer_ones_are_counted(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    answered(store, clock, alice, "a")
    with store.read() as session:
        assert prove_logs(session)[0].not_fetched == 2
    fetched(store, clock, alice)
    clock.now += 1
    answered(store, clock, alice, "b")
    with store.read() as session:
        proof = prove_logs(session)[0]
        assert (proof.is_whole, proof.not_fetched) == (True, 2)
    fetched(store, clock, alice)
    with store.read() as session:
        proof = prove_logs(session)[0]
        assert (proof.is_whole, proof.not_fetched) == (True, 0)


def test_an_appliance_that_was_switched_off_before_its_log_was_fetched_lacks_what_its_answers_rest_on(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    fetched(store, clock, alice)
    clock.now += 1
    batch_id = answered(store, clock, alice, "a")
    # Switched off and on: the chain goes on from the newest seal that the host has.
    del alice.log[3:]
    alice.note("log-continued")
    clock.now += 1
    fetched(store, clock, alice)
    with store.read() as session:
        proof = prove_logs(session)[0]
    assert not proof.is_whole
    assert {one.what.split(" ")[1] for one in proof.lost} == {"answer", "verdict"}
    assert any(batch_id.hex() in one.what for one in proof.lost)
    assert {one.after for one in proof.lost} == {None}


def test_attack_a_kept_answer_or_the_head_in_a_verdict_is_changed(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    batch_id = answered(store, clock, alice, "a")
    fetched(store, clock, alice)
    with store.begin("test") as session:
        verdict = session.scalars(select(PaymentVerdict)).one()
        whole = verdict.log_head
        verdict.log_head, verdict.time = _flipped(whole, 0), verdict.time - 1
    with store.read() as session:
        assert not prove_logs(session)[0].is_whole
    with store.begin("test") as session:
        session.scalars(select(PaymentVerdict)).one().log_head = whole
        send = session.get_one(BatchSend, (batch_id, alice.activation_id))
        send.reply = _flipped(send.reply or b"", -1)
    with store.read() as session, pytest.raises(IntegrityAlarm, match="kept answer of alice"):
        prove_logs(session)


# Out to the owner.


def test_a_kept_log_goes_out_as_a_file_with_its_seals(store: Store, clock: Ticking, alice: ScriptedAppliance) -> None:
    fetched(store, clock, alice)
    with store.read() as session:
        file = log_file(session, get_appliance(session, "alice"))
    again = LogFile.from_bytes(file.to_bytes())
    assert again == file
    assert again.entries == tuple(alice.log)
    assert open_statement(LogSeal, again.seals[0], (again.identity,))[0].head == alice.log_head
