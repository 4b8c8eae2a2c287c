"""What stops a keeper: a freeze, a lock, a time-out, ten refusals; also while a question is open."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from nacl.signing import SigningKey

from appliance.builders import (
    ALICE,
    BOB,
    POLICY,
    QUORUM,
    RISK,
    STRANGER,
    UTC,
    VAULT,
    Person,
    change,
    clearance,
    good_batch,
    only,
    stated,
    successor,
)
from appliance.keeper.keeper_support import PATIENCE_SECONDS, Bench
from undercroft_appliance.internal import Command, Outbound, Question, Withdrawn
from undercroft_appliance.keeper import activation, refusals
from undercroft_appliance.keeper.session import CEREMONY_SECONDS, MOST_REFUSALS
from undercroft_appliance.keeper.text import moment
from undercroft_protocol.messages import (
    Done,
    FreezeOrder,
    FreezeRequest,
    LockRequest,
    LogRequest,
    Message,
    PolicyOffer,
    QuorumOffer,
    RefusalReply,
    ReplyHeader,
    StatementReply,
    StatusReport,
    StatusRequest,
    open_reply,
)


def freeze_by(person: Person) -> FreezeRequest:
    return FreezeRequest(stated(FreezeOrder(QUORUM.id, "phone stolen", UTC), person.identity))


def answered(bench: Bench) -> Message[ReplyHeader]:
    """What the keeper sent to the line while a question was open."""
    outbound = bench.host.receive(PATIENCE_SECONDS)
    assert isinstance(outbound, Outbound)
    return open_reply(outbound.data, None)


# While a question is open.


def while_asking(bench: Bench, prompt: str, act: Callable[[], None]) -> None:
    def react(_: Question) -> None:
        act()

    bench.owner.answers[prompt] = react


def test_attack_a_new_message_while_an_approval_is_on_the_screen_has_to_wait(bench: Bench) -> None:
    bench.armed()
    replies: list[Message[ReplyHeader]] = []

    def another(question: Question) -> str:
        bench.send(bench.sealed(good_batch()))
        replies.append(answered(bench))
        bench.send(b"garbage")
        replies.append(answered(bench))
        bench.send(bench.sealed(StatusRequest()))
        replies.append(answered(bench))
        return "approve"

    bench.owner.answers["Do you approve every rule?"] = another
    assert isinstance(bench.ask(PolicyOffer(successor())).body, StatementReply)
    assert [reply.body.code for reply in replies[:2] if isinstance(reply.body, RefusalReply)] == [
        refusals.BUSY.coarse
    ] * 2
    assert isinstance(replies[2].body, StatusReport)


@pytest.mark.parametrize("sender", [VAULT, STRANGER])
def test_a_freeze_by_any_owner_acts_at_once_and_the_open_question_is_void(bench: Bench, sender: SigningKey) -> None:
    bench.armed()
    frozen = bench.sealed(freeze_by(BOB), sender, sequence=0, activation_id=bytes(16))
    while_asking(bench, "Do you approve every rule?", lambda: bench.send(frozen))
    exact = bench.refusal(PolicyOffer(successor()))
    assert exact.startswith(refusals.INTERRUPTED.name)
    reply = answered(bench)
    assert (reply.body, reply.sender) == (Done("empty"), ALICE.entry.identity)
    assert bench.keeper.session.state == "empty"
    assert not bench.keys.is_open
    assert any(isinstance(message, Withdrawn) for message in bench.owner.others)


def test_a_lock_by_the_host_acts_at_once_while_an_activation_is_asked(bench: Bench) -> None:
    before = bench.keeper.session.activation_id
    while_asking(bench, activation.PROMPT_SITE, lambda: bench.send(bench.sealed(LockRequest())))
    assert bench.refusal(bench.activation_request()).startswith(refusals.INTERRUPTED.name)
    assert answered(bench).body == Done("empty")
    assert bench.keeper.session.activation_id != before


def test_attack_a_bad_freeze_beside_an_open_question_leaves_it_open(bench: Bench) -> None:
    bad = FreezeRequest(stated(FreezeOrder(QUORUM.id, "x", UTC), STRANGER))

    def react(_: Question) -> str:
        bench.send(bench.sealed(bad, STRANGER))
        assert isinstance(answered(bench).body, RefusalReply)
        return ALICE.entry.site

    bench.owner.answers[activation.PROMPT_SITE] = react
    assert isinstance(bench.ask(bench.activation_request()).body, StatementReply)
    assert bench.keeper.session.state == "unlocked"


def test_the_owner_locks_instead_of_answering(bench: Bench) -> None:
    while_asking(bench, activation.PROMPT_SITE, lambda: bench.owner.send(Command("lock")))
    assert bench.refusal(bench.activation_request()).startswith(refusals.INTERRUPTED.name)


def test_a_life_that_ends_while_a_question_is_open_locks(bench: Bench) -> None:
    bench.armed()

    def wait_for_ever(_: Question) -> None:
        bench.clock.seconds += POLICY.activation_seconds

    bench.owner.answers["Do you approve every rule?"] = wait_for_ever
    exact = bench.refusal(PolicyOffer(successor()))
    assert exact.split(":")[0] in (refusals.INTERRUPTED.name, refusals.OWNER_TIMEOUT.name)
    bench.keeper.tick()
    assert bench.keeper.session.state == "empty"


# Freeze.


def test_after_a_freeze_only_a_fresh_activation_goes_on(bench: Bench) -> None:
    bench.armed()
    assert bench.ask(freeze_by(BOB)).body == Done("empty")
    for body in (good_batch(), QuorumOffer(QUORUM, ALICE.envelope(None)), LogRequest(0)):
        assert bench.refusal(body).startswith(refusals.FROZEN.name)
    bench.activated()
    warning = f"WARNING: this quorum was frozen: by bob, {moment(UTC)}: phone stolen"
    assert warning in bench.owner.questions[-2].lines
    bench.ask(bench.grant())
    assert [one.verdict for one in bench.verdicts(good_batch())] == ["signed"]
    assert bench.keeper.session.frozen == {}


def test_the_vault_may_freeze_too(bench: Bench) -> None:
    bench.armed()
    order = FreezeRequest(stated(FreezeOrder(QUORUM.id, "alarm", UTC), VAULT))
    assert bench.ask(order).body == Done("empty")


def test_attack_a_freeze_by_nobody_of_the_quorum(bench: Bench) -> None:
    bench.armed()
    order = FreezeOrder(QUORUM.id, "x", UTC)
    for key in (STRANGER, RISK):
        assert bench.refusal(FreezeRequest(stated(order, key))).startswith(refusals.FREEZE_UNTRUSTED.name)
    other = stated(dataclasses.replace(order, quorum_id=b"\x01" * 32), BOB.identity)
    assert bench.refusal(FreezeRequest(other)).startswith(refusals.OTHER_QUORUM.name)
    assert bench.keeper.session.state == "armed"


def test_a_freeze_without_a_quorum_has_nothing_to_stop(bench: Bench) -> None:
    assert bench.refusal(freeze_by(BOB)).startswith(refusals.NO_QUORUM.name)


def test_the_owner_freezes_at_the_panel(bench: Bench) -> None:
    bench.armed()
    bench.command("freeze")
    assert bench.keeper.session.state == "empty"
    assert bench.refusal(good_batch()).startswith(refusals.FROZEN.name)


# Back to empty.


def test_a_lock_wipes_and_changes_the_activation_id_and_its_answer_can_be_believed(bench: Bench) -> None:
    bench.armed()
    before = bench.keeper.session.activation_id
    reply = bench.ask(LockRequest())
    assert (reply.body, reply.sender) == (Done("empty"), ALICE.entry.identity)
    assert not bench.keys.is_open
    assert bench.keeper.session.activation_id != before


def test_a_lock_that_was_answered_is_answered_again(bench: Bench) -> None:
    bench.armed()
    data = bench.sealed(LockRequest())
    assert bench.keeper.handle(data) == bench.keeper.handle(data)


@pytest.mark.parametrize("command", ["lock", "freeze"])
def test_the_owner_stops_it_at_the_panel(bench: Bench, command: str) -> None:
    bench.armed()
    bench.command(command)
    assert bench.keeper.session.state == "empty"
    assert not bench.keys.is_open


def test_attack_ten_refused_batches_wipe(bench: Bench) -> None:
    bench.armed()
    for number in range(MOST_REFUSALS):
        assert bench.keeper.session.state == "armed"
        exact = bench.refusal(only(good_batch(batch_id=number.to_bytes(16, "big")), sequence=0))
        assert exact.startswith(refusals.SEQUENCE_NUMBER.name)
    assert bench.keeper.session.state == "empty"
    assert not bench.keys.is_open
    assert bench.last_notice("Locked").lines == ("10 refusals",)


def test_attack_ten_replays_forgeries_and_refused_verdicts_wipe(bench: Bench) -> None:
    bench.armed()
    late = only(good_batch(), outputs=(clearance(expires=UTC - 1), change()))
    for number in range(4):
        bench.verdicts(dataclasses.replace(late, batch_id=number.to_bytes(16, "big")))
        bench.refusal(good_batch(), STRANGER)
    bench.refusal(good_batch(), sequence=1)
    assert bench.keeper.session.state == "armed"
    bench.refusal_of(b"garbage")
    assert bench.keeper.session.state == "empty"


def test_the_same_refused_bytes_count_once(bench: Bench) -> None:
    bench.armed()
    data = bench.sealed(only(good_batch(), sequence=0))
    for _ in range(MOST_REFUSALS):
        bench.keeper.handle(data)
    assert bench.keeper.session.state == "armed"


def test_attack_garbage_to_an_unarmed_appliance_neither_wipes_nor_fills_the_log(bench: Bench) -> None:
    bench.activated()
    length = bench.keeper._log.length
    for _ in range(MOST_REFUSALS + 1):
        bench.refusal_of(b"garbage")
    assert (bench.keeper.session.state, bench.keeper._log.length) == ("unlocked", length)


def test_an_unused_appliance_locks_itself(bench: Bench) -> None:
    bench.armed()
    bench.clock.seconds += POLICY.idle_seconds - 1
    bench.verdicts(good_batch(), expires=UTC + 10_000)
    bench.clock.seconds += POLICY.idle_seconds - 1
    bench.keeper.tick()
    assert bench.keeper.session.state == "armed"
    bench.ask(StatusRequest())
    bench.clock.seconds += 1
    bench.keeper.tick()
    assert bench.keeper.session.state == "empty"
    assert bench.last_notice("Locked").lines == ("unused for 3600 s",)


def test_an_activation_that_nobody_arms_ends(bench: Bench) -> None:
    patient = dataclasses.replace(POLICY, idle_seconds=0)
    bench.activated(patient)
    bench.clock.seconds += POLICY.activation_seconds
    bench.keeper.tick()
    assert bench.keeper.session.state == "empty"


def test_a_key_unlocked_for_the_ceremony_does_not_stay_so(bench: Bench) -> None:
    bench.ask(QuorumOffer(QUORUM, ALICE.envelope(None)))
    bench.clock.seconds += CEREMONY_SECONDS
    bench.keeper.tick()
    assert (bench.keeper.session.state, bench.keys.is_open) == ("empty", False)
