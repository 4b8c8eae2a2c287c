"""One keeper for one unlock: when it ends, what it leaves to the next, and what it does not."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator

import pytest

from appliance.builders import (
    ALICE,
    BOB,
    FEE_SATS,
    FIRMWARE,
    PAID_SATS,
    POLICY,
    QUORUM,
    UTC,
    good_batch,
    stated,
    successor,
)
from appliance.keeper.keeper_support import PATIENCE_SECONDS, Bench
from undercroft_appliance.errors import ChannelError, WrongPassphraseError
from undercroft_appliance.internal import Answer, Command, Outbound
from undercroft_appliance.keeper import activation, handover, refusals
from undercroft_appliance.keeper.handover import Handover, LedgerMemory, QuorumMemory
from undercroft_appliance.keeper.history import History
from undercroft_appliance.keeper.ledger import Entry, Ledger
from undercroft_appliance.keeper.log import LogSnapshot
from undercroft_appliance.keeper.session import Session
from undercroft_appliance.keeper.signed import HistorySnapshot
from undercroft_appliance.keeper.wires import FromPanel, FromPort
from undercroft_protocol.messages import (
    EMPTY,
    ActivateRequest,
    DeclareRequest,
    Done,
    FreezeOrder,
    FreezeRequest,
    LockRequest,
    LogReply,
    LogRequest,
    RefusalReply,
    StatementReply,
    StatusRequest,
    open_reply,
)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench() as one:
        yield one


@pytest.fixture
def memory_file() -> Iterator[int]:
    descriptor = os.memfd_create("handover")
    yield descriptor
    os.close(descriptor)


def sending(send: Callable[[bytes], None], messages: Iterable[bytes]) -> threading.Thread:
    """More than a socket holds: a thread that waits until somebody reads."""

    def send_all() -> None:
        for data in messages:
            send(data)

    thread = threading.Thread(target=send_all, daemon=True)
    thread.start()
    return thread


class Running:
    """The keeper of a bench in a thread of its own, as its process would run."""

    def __init__(self, bench: Bench) -> None:
        self.left: list[Handover] = []
        self._keeper = bench.keeper
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # A test that ends before its keeper takes the channels away.
        with contextlib.suppress(ChannelError, ValueError):
            self.left.append(self._keeper.run())

    def ended(self) -> Handover:
        self._thread.join(PATIENCE_SECONDS)
        (left,) = self.left
        return left

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()


def passes(bench: Bench, seconds: float) -> None:
    bench.clock.seconds += seconds


def reply_on_the_line(bench: Bench) -> bytes:
    answer = bench.host.receive(PATIENCE_SECONDS)
    assert isinstance(answer, Outbound)
    return answer.data


# When it ends.


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (lambda bench: bench.send(bench.sealed(LockRequest())), "by the host"),
        (lambda bench: bench.owner.send(Command("lock")), "by the owner"),
        (lambda bench: bench.owner.send(Command("freeze")), "frozen by the owner"),
        (
            lambda bench: bench.send(
                bench.sealed(FreezeRequest(stated(FreezeOrder(QUORUM.id, "alarm", UTC), BOB.identity)))
            ),
            "frozen by bob",
        ),
        (lambda bench: passes(bench, POLICY.idle_seconds), "unused"),
        (lambda bench: passes(bench, POLICY.activation_seconds), "the activation's life is over"),
    ],
    ids=["lock by the host", "lock by the owner", "freeze by the owner", "freeze by another", "idle", "end of life"],
)
def test_whatever_wipes_an_open_key_ends_its_keeper(bench: Bench, stop: Callable[[Bench], None], reason: str) -> None:
    bench.armed()
    running = Running(bench)
    stop(bench)
    running.ended()
    assert not bench.keys.is_open
    assert bench.last_notice("Locked")
    assert reason in bench.told()


def test_ten_refusals_end_the_keeper_after_the_last_one_is_answered(bench: Bench) -> None:
    bench.armed()
    requests = [bench.sealed(dataclasses.replace(good_batch(), policy_hash=bytes([n]) * 32)) for n in range(10)]
    running = Running(bench)
    for data in requests:
        bench.send(data)
        assert isinstance(open_reply(reply_on_the_line(bench), None).body, RefusalReply)
    running.ended()
    assert bench.last_notice("Locked").lines == ("10 refusals",)


@pytest.mark.parametrize(
    "begin",
    [
        lambda bench: DeclareRequest("regtest"),
        lambda bench: failing(bench).activation_request(),
    ],
    ids=["a key was declared", "three wrong passphrases"],
)
def test_a_step_that_touched_a_secret_and_left_nothing_open_ends_the_keeper_once_it_is_answered(
    bench: Bench, begin: Callable[[Bench], DeclareRequest | ActivateRequest]
) -> None:
    body = begin(bench)
    running = Running(bench)
    data = bench.sealed(body)
    bench.send(data)
    given = reply_on_the_line(bench)
    running.ended()
    assert not bench.keys.is_open
    # Sent again, because the answer was lost on the line: no second key is made, no second passphrase is asked for.
    assert bench.renewed().keeper.handle(data) == given


def failing(bench: Bench) -> Bench:
    bench.keys._troubles = [WrongPassphraseError(), WrongPassphraseError(), WrongPassphraseError()]  # type: ignore[attr-defined]
    return bench


def test_a_keeper_that_never_touched_a_secret_goes_on(bench: Bench) -> None:
    running = Running(bench)
    bench.owner.answers[activation.PROMPT_TIME] = "wrong"
    for body in (StatusRequest(), bench.activation_request(), LockRequest(), StatusRequest()):
        bench.send(bench.sealed(body))
        reply_on_the_line(bench)
    assert not running.is_over


def test_a_lock_that_comes_beside_a_question_ends_the_keeper_after_both_are_answered(bench: Bench) -> None:
    bench.activated()
    request = bench.grant()
    bench.owner.answers[activation.PROMPT_ARM] = lambda _: bench.send(bench.sealed(LockRequest()))
    running = Running(bench)
    bench.send(bench.sealed(request))
    locked, refused = (open_reply(reply_on_the_line(bench), None) for _ in range(2))
    running.ended()
    assert (locked.body, locked.sender) == (Done(EMPTY), ALICE.entry.identity)
    assert isinstance(refused.body, RefusalReply)


# What it leaves.


def test_the_next_keeper_has_another_activation_and_another_boot_key(bench: Bench) -> None:
    seen = []
    for _ in range(3):
        reply = bench.ask(StatusRequest())
        seen.append((reply.header.activation_id, reply.sender))
        bench.activated().lock()
    assert len({activation_id for activation_id, _ in seen}) == len({sender for _, sender in seen}) == 3


def test_attack_a_request_recorded_before_the_change_is_refused_after_it(bench: Bench) -> None:
    bench.armed()
    old = bench.sealed(good_batch())
    bench.keeper.handle(old)
    bench.lock().armed()
    assert bench.refusal_of(old).startswith(refusals.OTHER_ACTIVATION.name)


def test_the_lock_is_answered_again_by_the_next_keeper(bench: Bench) -> None:
    bench.armed()
    data = bench.sealed(LockRequest())
    given = bench.keeper.handle(data)
    assert bench.renewed().keeper.handle(data) == given


def remembered(bench: Bench) -> tuple[Ledger, HistorySnapshot]:
    ledger = bench.keeper.session.ledger(QUORUM.id)
    assert ledger is not None
    # What was debited since arming begins anew with the next grant.
    return dataclasses.replace(ledger, armed_sats=0), bench.keeper.session.history(QUORUM.id).snapshot()


def test_spending_and_what_was_signed_outlive_any_number_of_keepers(bench: Bench) -> None:
    bench.armed()
    (verdict,) = bench.verdicts(good_batch())
    known = bench.keeper.session.ledger(QUORUM.id)
    assert known is not None
    before = (known.disarmed(), bench.keeper.session.history(QUORUM.id).snapshot())
    for _ in range(3):
        bench.lock()
        assert (bench.keeper.session.ledger(QUORUM.id), bench.keeper.session.history(QUORUM.id).snapshot()) == before
        bench.armed()
    assert bench.keeper.session.history(QUORUM.id).has_signed(verdict.txid)
    ledger = bench.keeper.session.ledger(QUORUM.id)
    assert ledger is not None
    assert [entry.amount_sats for entry in ledger.entries] == [PAID_SATS + FEE_SATS]


def test_a_freeze_outlives_the_keeper_that_took_it(bench: Bench) -> None:
    bench.armed().command("freeze")
    assert bench.renewed().refusal(good_batch()).startswith(refusals.FROZEN.name)
    bench.activated()
    assert any("was frozen" in line for question in bench.owner.questions for line in question.lines)


def test_attack_an_older_policy_is_brought_back_after_a_lock(bench: Bench) -> None:
    bench.keeper.session.knows_policy(successor(POLICY, idle_seconds=POLICY.idle_seconds // 2))
    bench.renewed()
    assert bench.refusal(bench.activation_request()).startswith(refusals.POLICY_OLDER.name)


def test_the_log_goes_on_over_the_change(bench: Bench) -> None:
    bench.activated().lock().activated()
    log = bench.ask(LogRequest(0)).body
    assert isinstance(log, LogReply)
    events = [entry.event for entry in log.entries]
    assert events[0] == "started"
    assert events.index("locked") < events.index("renewed") < len(events) - events[::-1].index("activated")
    for before, entry in zip(log.entries, log.entries[1:], strict=False):
        assert entry.previous == before.head


def test_attack_an_answer_for_the_keeper_before_counts_for_nothing(bench: Bench) -> None:
    """It was typed for a question of the keeper before, and comes when the next one asks for the first time."""
    bench.activated()
    last = bench.owner.questions[-1].number
    bench.lock()
    for number in range(last + 1):
        bench.owner.send(Answer(number, "decline"))
    bench.activated()
    assert bench.owner.questions[-1].number > last


def test_what_has_arrived_in_part_or_whole_is_answered_by_the_next_keeper(bench: Bench) -> None:
    """More than a socket holds, so that the change comes in the middle of a message."""
    bench.armed()
    whole = bench.sealed(good_batch())
    lock = bench.sealed(LockRequest())
    running = Running(bench)
    sender = sending(bench.send, (lock, whole, b"\x01" * 1_000_000, whole))
    locked = open_reply(reply_on_the_line(bench), None)
    assert locked.body == Done(EMPTY)
    running.ended()
    running = Running(bench.renewed())
    for _ in range(3):
        assert isinstance(open_reply(reply_on_the_line(bench), None).body, RefusalReply)
    sender.join(PATIENCE_SECONDS)
    bench.send(bench.sealed(StatusRequest(), quorum_id=None))
    reply_on_the_line(bench)
    assert not running.is_over


def test_a_channel_that_goes_on_with_the_rest_of_another_loses_nothing(bench: Bench) -> None:
    messages = [bytes([number]) * (1 + number * 7919 % 300_000) for number in range(30)]
    sender = sending(bench.send, messages)
    taken: list[bytes] = []
    while len(taken) < len(messages):
        event = bench.wires.next(PATIENCE_SECONDS)
        if isinstance(event, FromPort):
            taken.append(event.data)
        bench.renewed()
    sender.join(PATIENCE_SECONDS)
    assert taken == messages


def test_attack_a_flood_from_the_line_does_not_keep_the_owners_lock_waiting(bench: Bench) -> None:
    sender = sending(bench.send, [b"flood"] * 20_000)
    assert isinstance(bench.wires.next(PATIENCE_SECONDS), FromPort)
    bench.owner.send(Command("lock"))
    assert bench.wires.next(PATIENCE_SECONDS) == FromPanel(Command("lock"))
    while sender.is_alive():
        bench.wires.next(PATIENCE_SECONDS)


def test_a_ledger_comes_through_exactly() -> None:
    for ledger in (
        Ledger(-math.inf),
        Ledger(0.1 + 0.2, (Entry(1e9 + 1 / 3, 21, b"\x01" * 32), Entry(-5.5, 0, b"\x02" * 32)), 1e-9),
    ):
        assert LedgerMemory.from_bytes(LedgerMemory.of(ledger).to_bytes()).ledger() == ledger


# What it is made of: whoever adds to it must decide whether it is handed over.


def names(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def test_every_part_of_a_ledger_is_handed_over() -> None:
    # What left in an activation ends with it.
    assert names(Ledger) - {"armed_sats"} == names(LedgerMemory)
    assert names(Entry) == names(handover.LedgerEntry)


def test_every_memory_of_a_session_is_handed_over_or_ends_with_the_lock(bench: Bench) -> None:
    ends = {"activation_id", "last_sequence", "last_used", "_sealed", "_unlocked"}
    given = {"clock", "_random"}
    handed = {"_holders", "freeze_orders", "frozen", "marks", "_remembered", "_histories"}
    assert set(vars(bench.keeper.session)) == ends | given | handed
    assert isinstance(bench.keeper.session, Session)


def test_freeze_orders_stay_in_the_order_in_which_they_came(bench: Bench) -> None:
    for number in (2, 1, 3):
        bench.keeper.session.freeze(bytes([number]) * 32, "why", bytes([number]) * 100)
    orders = list(bench.keeper.session.freeze_orders.items())
    bench.renewed()
    assert list(bench.keeper.session.freeze_orders.items()) == orders


def test_the_owner_is_told_at_each_start_who_the_keeper_is_and_what_this_machine_lacks(bench: Bench) -> None:
    walls, warning = "Keeper: own user 60803; seccomp; Landlock 7", "WARNING: this machine swaps."
    bench._setup = dataclasses.replace(bench._setup, walls=(walls,), warnings=(warning,))
    for _ in range(2):
        since = len(bench.owner.notices)
        running = Running(bench.renewed())
        assert {walls, warning} <= set(bench.last_notice("Ready", since).lines)
        bench.owner.send(Command("status"))
        assert walls in bench.last_notice("Status", since).lines
        bench.send(bench.sealed(bench.activation_request()))
        reply_on_the_line(bench)
        assert warning in next(one for one in bench.owner.questions if one.prompt == activation.PROMPT_SITE).lines
        bench.owner.send(Command("lock"))
        running.ended()


def test_a_fresh_appliance_leaves_next_to_nothing(bench: Bench) -> None:
    left = bench.keeper.handover()
    assert (left.quorums, left.replies, left.question, left.port_rest, left.panel_rest) == ((), (), 0, b"", b"")
    assert LogSnapshot.from_bytes(left.log).length == 1


def test_attack_no_secret_and_no_activation_is_in_a_handover(bench: Bench) -> None:
    bench.armed()
    bench.verdicts(good_batch())
    ended = bench.keeper.session.activation_id
    bench.ask(LockRequest())
    left = dataclasses.replace(bench.keeper.handover(), replies=(), log=b"")
    assert ended not in left.to_bytes()
    for secret in (ALICE.identity.encode(), ALICE.account.key.secret, FIRMWARE):
        assert secret not in bench.keeper.handover().to_bytes()


# The file.


def test_a_handover_is_found_as_it_was_left_and_takes_the_place_of_the_one_before(memory_file: int) -> None:
    assert handover.found(memory_file) is None
    history = History().snapshot().to_bytes()
    first = Handover(
        (QuorumMemory(b"\x01" * 32, "why", 1, b"\x02" * 32, b"", history),), bytes(5_000_000), 7, b"a", b"b", ()
    )
    for left in (first, dataclasses.replace(first, log=b"", quorums=())):
        handover.leave(memory_file, left)
        assert handover.found(memory_file) == left


def test_attack_a_handover_that_is_none_ends_the_appliance(memory_file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    os.write(memory_file, b"\xa0")
    with pytest.raises(ChannelError):
        handover.found(memory_file)
    handover.leave(memory_file, Handover((), b"", 0, b"", b"", ()))
    monkeypatch.setattr(handover, "MOST_HANDOVER_BYTES", 3)
    with pytest.raises(ChannelError, match="a handover of"):
        handover.found(memory_file)


def test_statements_made_before_the_lock_stay_good_after_it(bench: Bench) -> None:
    statement = bench.activated().ask(LogRequest(0)).body
    assert isinstance(statement, LogReply)
    bench.lock()
    request = bench.activation_request(log_seal=statement.seal)
    assert isinstance(bench.ask(request).body, StatementReply)
