"""A host with every key of its own, one dishonest owner, and a machine that is stopped: what each might still try."""

from __future__ import annotations

import dataclasses
import signal
import time

import pytest

from appliance.builders import (
    ALICE,
    BOB,
    DESCRIPTOR,
    FEE_SATS,
    PAID_SATS,
    POLICY,
    QUORUM,
    STRANGER,
    UTC,
    FakeClock,
    PlainKeys,
    approved,
    change,
    clearance,
    good_batch,
    only,
    stated,
    successor,
)
from appliance.keeper.keeper_support import PATIENCE_SECONDS, Bench
from undercroft_appliance.errors import MemoryUnavailableError
from undercroft_appliance.internal import Outbound, Question
from undercroft_appliance.keeper import __main__ as keeper_main
from undercroft_appliance.keeper import batches, refusals
from undercroft_appliance.keeper.clock import since_boot
from undercroft_appliance.keeper.wires import Event, FromPort
from undercroft_protocol.messages import (
    BatchReply,
    BatchRequest,
    Coin,
    DeclareRequest,
    Done,
    FreezeOrder,
    FreezeRequest,
    Policy,
    PolicyOffer,
    RefusalReply,
    Spent,
    StatementReply,
    Window,
    open_reply,
)

LATE = UTC + 10 * 86_400
HOUR = 3600


def tight(**changes: object) -> Policy:
    """Rules whose only window, of an hour, is full after one good transaction."""
    window = Window(HOUR, PAID_SATS * 2, PAID_SATS * 2)
    good = dataclasses.replace(POLICY, windows=(window,), idle_seconds=0)
    return dataclasses.replace(good, **changes)  # type: ignore[arg-type]


def lasting(batch: BatchRequest, withdrawal_id: str = "w-0", paid_sats: int = PAID_SATS) -> BatchRequest:
    """The batch with a clearance that does not run out during the test."""
    return only(batch, outputs=(clearance(withdrawal_id, paid_sats, expires=LATE), change()))


def words(bench: Bench, batch: BatchRequest) -> list[str]:
    return [one.verdict for one in bench.verdicts(batch, expires=LATE)]


def words_of(data: bytes) -> list[str]:
    body = open_reply(data, None).body
    assert isinstance(body, BatchReply), body
    return [one.verdict for one in body.verdicts]


# Windows.


def test_attack_one_owner_belittles_in_a_grant_what_the_other_has_signed(bench: Bench) -> None:
    rules = tight()
    bench.armed((), rules)
    (verdict,) = bench.verdicts(good_batch(policy_hash=rules.hash))
    bench.lock()
    bench.clock.seconds += 10
    bench.armed((Spent(0, 1, verdict.txid),), rules)
    assert words(bench, good_batch(policy_hash=rules.hash, first=1)) == ["refused"]


def test_attack_short_windows_for_an_hour_so_that_the_long_ones_find_nothing(bench: Bench) -> None:
    """Both policies have their approvals; the host chooses which is in force while it spends."""
    short = tight()
    bench.armed((), short)
    assert words(bench, lasting(good_batch(policy_hash=short.hash))) == ["signed"]
    bench.clock.seconds += HOUR
    assert words(bench, lasting(good_batch(policy_hash=short.hash, first=1), "w-1")) == ["signed"]
    bench.clock.seconds += HOUR
    bench.lock(expires=LATE)
    long = successor(short, windows=(*short.windows, Window(86_400, PAID_SATS * 2, PAID_SATS * 2)))
    bench.armed((), long, lineage=(approved(short, ALICE, BOB),))
    assert words(bench, lasting(good_batch(policy_hash=long.hash, first=2), "w-2")) == ["refused"]
    assert refusals.WINDOW_UNKNOWN.name in "\n".join(bench.last_notice("Batch: 1 refused").lines)


def test_attack_a_window_opens_between_two_looks_at_what_is_held(bench: Bench) -> None:
    """The rules refuse it at the first look and would only hold it at the second: the owner was never asked."""
    rules = tight(hold_above_sats=PAID_SATS)
    bench.armed((), rules)
    held = bench.sealed(lasting(good_batch(policy_hash=rules.hash)), expires=LATE)
    assert words_of(bench.keeper.handle(held)) == ["held"]
    smaller = good_batch(policy_hash=rules.hash, first=1, paid_sats=PAID_SATS - FEE_SATS)
    assert words(bench, smaller) == ["signed"]
    bench.clock.seconds += HOUR - 1

    class Running(FakeClock):
        def __call__(self) -> float:
            self.seconds += 0.4
            return self.seconds

    bench.keeper.session.clock._monotonic = Running(bench.clock.seconds)
    bench.owner.answers[batches.PROMPT_HELD] = batches.LATER
    asked = len(bench.owner.questions)
    bench.command("held")
    assert len(bench.owner.questions) == asked
    assert words_of(bench.keeper.handle(held)) == ["refused"]


def test_a_held_transaction_that_a_later_batch_has_signed_is_signed_in_both_replies(bench: Bench) -> None:
    rules = dataclasses.replace(tight(), windows=(Window(HOUR, PAID_SATS + FEE_SATS, PAID_SATS * 3),))
    bench.armed((), rules)
    assert words(bench, lasting(good_batch(policy_hash=rules.hash, first=1), "w-1")) == ["signed"]
    held = lasting(good_batch(policy_hash=rules.hash))
    first = bench.sealed(held, expires=LATE)
    assert words_of(bench.keeper.handle(first)) == ["held"]
    bench.clock.seconds += HOUR
    assert words(bench, dataclasses.replace(held, batch_id=b"\x0c" * 16)) == ["signed"]
    assert words_of(bench.keeper.handle(first)) == ["signed"]
    bench.command("held")
    assert bench.last_notice(batches.TITLE_HELD).lines == ("Nothing is held.",)


# Freeze.


def test_attack_a_freeze_that_came_too_early_is_answered_from_memory_when_it_comes_again(bench: Bench) -> None:
    order = FreezeRequest(stated(FreezeOrder(QUORUM.id, "phone stolen", UTC), BOB.identity))
    data = bench.sealed(order)
    assert bench.refusal_of(data).startswith(refusals.NO_QUORUM.name)
    bench.armed()
    assert open_reply(bench.keeper.handle(data), None).body == Done("empty")
    assert bench.keeper.session.state == "empty"


def test_attack_a_second_freeze_by_the_same_bytes_is_answered_from_memory(bench: Bench) -> None:
    data = bench.sealed(FreezeRequest(stated(FreezeOrder(QUORUM.id, "phone stolen", UTC), BOB.identity)))
    for _ in range(2):
        bench.armed()
        reply = bench.keeper.handle(data)
        assert bench.keeper.session.state == "empty"
        assert not bench.keys.is_open
        # Its answer was lost on the line: nothing is open, so it may come from memory.
        assert bench.keeper.handle(data) == reply
        assert open_reply(reply, (ALICE.entry.identity,)).body == Done("empty")


# A machine that is stopped, or put to sleep.


def test_attack_a_stopped_keeper_goes_on_with_a_batch_after_its_life_is_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.armed()
    data = bench.sealed(lasting(good_batch()), expires=LATE)

    def wakes_up(_timeout: float, *, terminal: bool = False) -> Event:
        assert not terminal
        bench.clock.seconds += POLICY.activation_seconds
        return FromPort(data)

    monkeypatch.setattr(bench.wires, "next", wakes_up)
    bench.keeper.run()
    assert bench.keeper.session.state == "empty"
    reply = bench.host.receive(PATIENCE_SECONDS)
    assert isinstance(reply, Outbound)
    body = open_reply(reply.data, None).body
    assert isinstance(body, RefusalReply)
    assert body.code == refusals.COARSE_REPLAY


def test_attack_an_answer_that_comes_after_the_life_is_over_counts_for_nothing() -> None:
    with Bench(ask_seconds=10**6) as bench:
        bench.armed()

        def after_a_night(_: Question) -> str:
            bench.clock.seconds += POLICY.activation_seconds
            return "approve"

        bench.owner.answers["Do you approve every rule?"] = after_a_night
        exact = bench.refusal(PolicyOffer(successor()))
        assert exact == refusals.INTERRUPTED.name
        assert bench.keeper.session.state == "empty"


def test_attack_a_machine_that_is_put_to_sleep_does_not_stop_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = {time.CLOCK_BOOTTIME: 90_000.5, time.CLOCK_MONOTONIC: 7.0}
    monkeypatch.setattr(time, "clock_gettime", clocks.__getitem__)
    assert since_boot() == 90_000.5


def test_attack_a_second_signal_does_not_interrupt_the_wiping(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: dict[int, object] = {}
    monkeypatch.setattr(signal, "signal", set_to.__setitem__)
    with pytest.raises(SystemExit):
        keeper_main._end(signal.SIGINT, None)
    assert set_to == dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), signal.SIG_IGN)


# Denial.


def test_attack_coins_without_end_are_refused_before_a_key_is_derived_for_any(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.armed()
    most = POLICY.most_transactions * POLICY.most_inputs
    derived: list[tuple[int, int]] = []
    batch = only(good_batch(), inputs=tuple(Coin(0, 0, 0, index) for index in range(most + 1)))
    monkeypatch.setattr(type(DESCRIPTOR), "witness_script", lambda _, *place: derived.append(place))
    assert bench.refusal(batch).startswith(refusals.TOO_MANY_INPUTS.name)
    assert derived == []


def test_attack_an_envelope_that_asks_for_more_memory_than_there_is_does_not_end_the_keeper() -> None:
    with Bench(PlainKeys(ALICE, [MemoryUnavailableError("1048576 KiB for Argon2id")])) as bench:
        assert bench.refusal(bench.activation_request()).startswith(refusals.ENVELOPE_UNUSABLE.name)
        assert bench.keeper.session.state == "empty"
        bench.ask(bench.activation_request(), sequence=2)
        assert bench.keeper.session.state == "unlocked"


def test_attack_a_stranger_uses_up_the_sequence_numbers_of_an_empty_appliance(bench: Bench) -> None:
    exact = bench.refusal(DeclareRequest("signet"), STRANGER, sequence=2**32 - 1, quorum_id=None)
    assert exact.startswith(refusals.OTHER_NETWORK.name)
    assert isinstance(bench.ask(DeclareRequest("regtest"), sequence=1, quorum_id=None).body, StatementReply)
