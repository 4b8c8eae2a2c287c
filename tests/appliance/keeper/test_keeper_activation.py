"""Activation, grant, arm: who may let an appliance sign, and on what terms."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from appliance.builders import (
    ALICE,
    BOB,
    CAROL,
    FEE_SATS,
    FIRMWARE,
    PAID_SATS,
    POLICY,
    QUORUM,
    STRANGER,
    UTC,
    approvals,
    approved,
    change,
    clearance,
    good_batch,
    good_request_of,
    only,
    stated,
    successor,
)
from appliance.keeper.keeper_support import Bench
from undercroft_appliance.keeper import activation, refusals
from undercroft_protocol.messages import (
    ActivationGrant,
    ActivationRequest,
    ArmRequest,
    Done,
    GrantRequest,
    LogReply,
    LogRequest,
    LogSeal,
    PolicyApproval,
    QuorumOffer,
    Spent,
    StatementReply,
    open_statement,
)

BOBS_ACTIVATION = b"\x0e" * 16
DAY = POLICY.windows[-1].seconds


def grant_request(**changes: object) -> GrantRequest:
    asked = dataclasses.replace(good_request_of(BOB, BOBS_ACTIVATION), **changes)  # type: ignore[arg-type]
    return GrantRequest(stated(asked, BOB.identity))


def granted(bench: Bench, request: GrantRequest | None = None) -> ActivationGrant:
    reply = bench.ask(request or grant_request()).body
    assert isinstance(reply, StatementReply), bench.told()
    return open_statement(ActivationGrant, reply.statement, (ALICE.entry.identity,))[0]


# Activation.


def test_an_activation_asks_for_a_grant_with_all_that_it_is_bound_to(bench: Bench) -> None:
    reply = bench.ask(bench.activation_request()).body
    assert isinstance(reply, StatementReply)
    asked, _ = open_statement(ActivationRequest, reply.statement, (ALICE.entry.identity,))
    assert asked == ActivationRequest(
        QUORUM.id,
        bench.keeper.session.activation_id,
        POLICY.hash,
        FIRMWARE,
        "Zurich vault",
        POLICY.activation_seconds,
        UTC,
    )
    assert "The host says it is 2026-09-21 14:13:20 UTC. Right?" in bench.owner.questions[1].lines


def test_time_goes_on_from_when_the_owner_was_asked(bench: Bench) -> None:
    def slowly(_: object) -> str:
        bench.clock.seconds += 40
        return "right"

    bench.owner.answers[activation.PROMPT_TIME] = slowly
    bench.activated()
    assert bench.keeper.session.clock.utc == UTC + 40


def test_attack_a_false_clock(bench: Bench) -> None:
    bench.owner.answers[activation.PROMPT_TIME] = "wrong"
    assert bench.refusal(bench.activation_request()).startswith(refusals.TIME_DENIED.name)
    assert bench.keeper.session.state == "empty"
    assert bench.keeper.session.clock.utc is None


def test_attack_an_activation_that_was_held_back(bench: Bench) -> None:
    request = bench.activation_request()
    assert bench.refusal(request, expires=UTC - 1).startswith(refusals.REQUEST_EXPIRED.name)


def test_an_owner_declines_to_activate(bench: Bench) -> None:
    bench.owner.answers[activation.PROMPT_SITE] = activation.DECLINE
    assert bench.refusal(bench.activation_request()).startswith(refusals.OWNER_DECLINED.name)


def test_attack_a_quorum_signed_by_a_stranger(bench: Bench) -> None:
    assert bench.refusal(bench.activation_request(), STRANGER).startswith(refusals.UNTRUSTED_SIGNER.name)
    assert bench.owner.questions == []


def test_attack_a_quorum_of_another_network(bench: Bench) -> None:
    signet = dataclasses.replace(QUORUM, network="signet")
    request = bench.activation_request(quorum=signet)
    assert bench.refusal(request, quorum_id=signet.id).startswith(refusals.OTHER_NETWORK.name)


@pytest.mark.parametrize("quorum_id", [None, b"\x09" * 32])
def test_attack_an_envelope_of_another_quorum(bench: Bench, quorum_id: bytes | None) -> None:
    request = bench.activation_request(envelope=ALICE.envelope(quorum_id))
    assert bench.refusal(request).startswith(refusals.ENVELOPE_UNUSABLE.name)


def test_attack_a_policy_of_another_quorum(bench: Bench) -> None:
    policy = dataclasses.replace(POLICY, quorum_id=b"\x01" * 32)
    request = bench.activation_request(policy=policy, approvals=approvals(policy, ALICE, BOB))
    assert bench.refusal(request).startswith(refusals.POLICY_OTHER_QUORUM.name)


@pytest.mark.parametrize(
    "given",
    [
        approvals(POLICY, ALICE, ALICE),
        approvals(dataclasses.replace(POLICY, refuse_above_sats=10**9), ALICE, BOB),
        approvals(dataclasses.replace(POLICY, quorum_id=b"\x01" * 32), ALICE, BOB),
        (*approvals(POLICY, ALICE), stated(PolicyApproval(QUORUM.id, POLICY.hash, 1, 0), STRANGER)),
        (*approvals(POLICY, ALICE), stated(PolicyApproval(QUORUM.id, POLICY.hash, 2, 0), BOB.identity)),
        (*approvals(POLICY, ALICE), bytes(100)),
    ],
    ids=["one-owner-twice", "other-rules", "other-quorum", "stranger", "other-version", "garbage"],
)
def test_attack_a_policy_that_two_owners_did_not_approve(bench: Bench, given: tuple[bytes, ...]) -> None:
    assert bench.refusal(bench.activation_request(approvals=given)).startswith(refusals.APPROVALS_INSUFFICIENT.name)


@pytest.mark.parametrize(
    "seal",
    [
        stated(LogSeal(QUORUM.id, 7, b"\x07" * 32), BOB.identity),
        stated(LogSeal(b"\x01" * 32, 7, b"\x07" * 32), ALICE.identity),
        bytes(100),
    ],
)
def test_attack_a_log_that_ended_elsewhere(bench: Bench, seal: bytes) -> None:
    assert bench.refusal(bench.activation_request(log_seal=seal)).startswith(refusals.LOG_SEAL.name)


def test_the_log_goes_on_from_its_seal_and_a_shorter_one_does_not_cut_it(bench: Bench) -> None:
    seal = stated(LogSeal(QUORUM.id, 7, b"\x07" * 32), ALICE.identity)
    bench.ask(bench.activation_request(log_seal=seal))
    reply = bench.ask(LogRequest(0)).body
    assert isinstance(reply, LogReply)
    assert reply.entries[0].number == 7
    assert reply.entries[0].previous == b"\x07" * 32
    newer, _ = open_statement(LogSeal, reply.seal, (ALICE.entry.identity,))
    assert newer.length == reply.entries[-1].number + 1
    bench.lock()
    bench.ask(bench.activation_request(log_seal=seal))
    again = bench.ask(LogRequest(newer.length)).body
    assert isinstance(again, LogReply)
    assert again.entries[0].previous == newer.head


def test_the_seal_brings_back_how_far_change_went_and_an_older_one_only_makes_it_stricter(bench: Bench) -> None:
    for index in (500, 3):
        seal = stated(LogSeal(QUORUM.id, 7, b"\x07" * 32, index), ALICE.identity)
        bench.ask(bench.activation_request(log_seal=seal))
        reply = bench.ask(LogRequest(0)).body
        assert isinstance(reply, LogReply)
        assert open_statement(LogSeal, reply.seal, (ALICE.entry.identity,))[0].highest_change == 500
        bench.lock()


def test_an_unlocked_appliance_is_not_activated_again(bench: Bench) -> None:
    bench.activated()
    assert bench.refusal(bench.activation_request()).startswith(refusals.ALREADY_UNLOCKED.name)


def test_an_unlocked_appliance_signs_nothing(bench: Bench) -> None:
    bench.activated()
    assert bench.refusal(good_batch()).startswith(refusals.NOT_ARMED.name)


def test_attack_a_batch_to_an_empty_appliance(bench: Bench) -> None:
    assert bench.refusal(good_batch()).startswith(refusals.NOT_ARMED.name)


# Grant.


def test_a_grant_names_exactly_what_was_asked(bench: Bench) -> None:
    bench.activated()
    assert granted(bench) == ActivationGrant(
        QUORUM.id,
        BOBS_ACTIVATION,
        BOB.entry.identity,
        POLICY.hash,
        FIRMWARE,
        "Zurich vault",
        POLICY.activation_seconds,
        (),
    )


def test_a_grant_without_the_owners_word_carries_no_ledger(bench: Bench) -> None:
    bench.activated()
    bench.owner.answers[activation.PROMPT_EMPTY] = "empty"
    assert granted(bench).ledger is None


def test_an_armed_appliance_grants_with_its_own_ledger_and_is_not_asked(bench: Bench) -> None:
    bench.armed((Spent(DAY - 50, 77, b"\x01" * 32),))
    (verdict,) = bench.verdicts(good_batch())
    bench.clock.seconds += 40
    asked = len(bench.owner.questions)
    assert granted(bench).ledger == (
        Spent(DAY - 10, 77, b"\x01" * 32),
        Spent(40, PAID_SATS + FEE_SATS, verdict.txid),
    )
    assert len(bench.owner.questions) == asked + 1


def test_attack_who_has_signed_cannot_attest_that_nothing_was_signed(bench: Bench) -> None:
    hour = dataclasses.replace(POLICY, windows=POLICY.windows[:1], idle_seconds=0)
    bench.armed(None, hour)
    bench.clock.seconds += 3600
    batch = only(good_batch(policy_hash=hour.hash), outputs=(clearance(expires=UTC + 86_400), change()))
    assert [one.verdict for one in bench.verdicts(batch, expires=UTC + 86_400)] == ["signed"]
    bench.lock(expires=UTC + 86_400)
    longer = successor(hour, windows=POLICY.windows)
    bench.activated(longer, lineage=(approved(hour, ALICE, BOB),))
    assert granted(bench, grant_request(policy_hash=longer.hash)).ledger is None


def test_a_locked_appliance_still_knows_what_it_signed(bench: Bench) -> None:
    bench.armed()
    (verdict,) = bench.verdicts(good_batch())
    bench.lock()
    bench.clock.seconds += 100
    bench.activated()
    assert granted(bench).ledger == (Spent(100, PAID_SATS + FEE_SATS, verdict.txid),)


def test_an_owner_declines_to_grant(bench: Bench) -> None:
    bench.activated()
    bench.owner.answers[activation.PROMPT_GRANT] = activation.DECLINE
    assert bench.refusal(grant_request()).startswith(refusals.OWNER_DECLINED.name)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"site": "Zurich vault"}, refusals.GRANT_SAME_SITE),
        ({"policy_hash": b"\x01" * 32}, refusals.GRANT_OTHER_POLICY),
        ({"firmware_hash": b"\x01" * 32}, refusals.GRANT_OTHER_FIRMWARE),
        ({"quorum_id": b"\x01" * 32}, refusals.OTHER_QUORUM),
        ({"life_seconds": POLICY.activation_seconds + 1}, refusals.GRANT_LIFE),
        ({"life_seconds": 0}, refusals.GRANT_LIFE),
    ],
)
def test_attack_a_request_for_a_grant_on_other_terms(
    bench: Bench, changes: dict[str, Any], code: refusals.RefusalCode
) -> None:
    bench.activated()
    asked = len(bench.owner.questions)
    assert bench.refusal(grant_request(**changes)).startswith(code.name)
    assert len(bench.owner.questions) == asked


def test_attack_an_owner_grants_to_a_second_appliance_of_the_same_owner(bench: Bench) -> None:
    bench.activated()
    own = dataclasses.replace(good_request_of(ALICE, BOBS_ACTIVATION), site="Denver vault")
    request = GrantRequest(stated(own, ALICE.identity))
    assert bench.refusal(request).startswith(refusals.GRANT_SAME_OWNER.name)


def test_attack_a_stranger_asks_for_a_grant(bench: Bench) -> None:
    bench.activated()
    for data in (stated(good_request_of(BOB, BOBS_ACTIVATION), STRANGER), bytes(100)):
        assert bench.refusal(GrantRequest(data)).startswith(refusals.GRANT_UNTRUSTED.name)


def test_attack_a_key_unlocked_for_the_ceremony_grants_and_arms_nothing(bench: Bench) -> None:
    bench.ask(QuorumOffer(QUORUM, ALICE.envelope(None)))
    assert bench.refusal(grant_request()).startswith(refusals.NOT_ACTIVATED.name)
    assert bench.refusal(bench.grant()).startswith(refusals.NOT_ACTIVATED.name)


# Arm.


def test_a_grant_arms_for_as_long_as_it_says(bench: Bench) -> None:
    bench.activated()
    reply = bench.ask(bench.grant(life_seconds=600)).body
    assert reply == Done("armed")
    bench.clock.seconds += 599
    bench.keeper.tick()
    assert bench.keeper.session.state == "armed"
    bench.clock.seconds += 1
    bench.keeper.tick()
    assert bench.keeper.session.state == "empty"
    assert not bench.keys.is_open


def test_the_owner_is_told_how_the_windows_start(bench: Bench) -> None:
    bench.activated()
    bench.ask(bench.grant((Spent(10, 123_456, b"\x01" * 32),)))
    lines = "\n".join(bench.owner.questions[-1].lines)
    assert "In the last 1 h: 123456 sats" in lines


def test_the_owner_is_told_that_what_is_unknown_counts_as_spent(bench: Bench) -> None:
    bench.activated()
    bench.ask(bench.grant(None))
    assert "unknown, so all of it counts as spent for 1 d" in "\n".join(bench.owner.questions[-1].lines)


def test_an_owner_declines_to_arm(bench: Bench) -> None:
    bench.activated()
    bench.owner.answers[activation.PROMPT_ARM] = activation.DECLINE
    assert bench.refusal(bench.grant()).startswith(refusals.OWNER_DECLINED.name)
    assert bench.keeper.session.state == "unlocked"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"site": "Zurich vault"}, refusals.GRANT_SAME_SITE),
        ({"policy_hash": b"\x01" * 32}, refusals.GRANT_OTHER_POLICY),
        ({"firmware_hash": b"\x01" * 32}, refusals.GRANT_OTHER_FIRMWARE),
        ({"quorum_id": b"\x01" * 32}, refusals.OTHER_QUORUM),
        ({"grantee": CAROL.entry.identity}, refusals.GRANT_OTHER_GRANTEE),
        ({"activation_id": b"\x01" * 16}, refusals.GRANT_OTHER_ACTIVATION),
        ({"life_seconds": POLICY.activation_seconds + 1}, refusals.GRANT_LIFE),
    ],
)
def test_attack_a_grant_on_other_terms(bench: Bench, changes: dict[str, Any], code: refusals.RefusalCode) -> None:
    bench.activated()
    assert bench.refusal(bench.grant(**changes)).startswith(code.name)
    assert bench.keeper.session.state == "unlocked"


def test_attack_an_owner_arms_the_own_appliance(bench: Bench) -> None:
    bench.activated()
    own = bench.grant(granter=ALICE, site="Denver vault")
    assert bench.refusal(own).startswith(refusals.GRANT_SAME_OWNER.name)


def test_attack_a_grant_by_a_stranger_or_by_the_vault(bench: Bench) -> None:
    bench.activated()
    good = open_statement(ActivationGrant, bench.grant().grant, (BOB.entry.identity,))[0]
    for data in (stated(good, STRANGER), bytes(100)):
        assert bench.refusal(ArmRequest(data)).startswith(refusals.GRANT_UNTRUSTED.name)


def test_attack_a_grant_is_used_again_after_a_lock(bench: Bench) -> None:
    bench.activated()
    old = bench.grant()
    bench.ask(old)
    bench.lock()
    bench.activated()
    assert bench.refusal(old).startswith(refusals.GRANT_OTHER_ACTIVATION.name)


def test_an_armed_appliance_is_not_armed_again(bench: Bench) -> None:
    bench.armed()
    assert bench.refusal(bench.grant()).startswith(refusals.ALREADY_ARMED.name)
