"""The PSBT door of an armed appliance: always the owner's word, counted once, and nothing stops a freeze."""

from __future__ import annotations

import dataclasses

from appliance.builders import (
    ALICE,
    BOB,
    DESCRIPTOR,
    FEE_SATS,
    HEIGHT,
    PAID_SATS,
    POLICY,
    QUORUM,
    UTC,
    good_batch,
    stated,
)
from appliance.coordinator import good_psbt
from appliance.keeper.keeper_support import Bench
from undercroft_appliance.internal import Question
from undercroft_appliance.keeper import psbts
from undercroft_appliance.keeper.bounds import MOST_PSBT_BYTES
from undercroft_appliance.keeper.session import MOST_REFUSALS
from undercroft_protocol.bitcoin.psbt import Psbt
from undercroft_protocol.bitcoin.psbt_records import MAGIC
from undercroft_protocol.messages import FreezeOrder, FreezeRequest, RefusalReply, open_reply

LEAVES = PAID_SATS + FEE_SATS
PSBT = good_psbt().serialize()


def approving(bench: Bench, answer: str = psbts.APPROVE) -> Bench:
    bench.owner.answers[psbts.PROMPT_PSBT] = answer
    return bench


def spent_sats(bench: Bench) -> int:
    armed = bench.keeper.session.armed
    assert armed is not None
    return sum(entry.amount_sats for entry in armed.ledger.entries)


def coarse(reply: bytes) -> str:
    body = open_reply(reply, None).body
    assert isinstance(body, RefusalReply), body
    return body.code


def asked(bench: Bench) -> list[Question]:
    return [question for question in bench.owner.questions if question.title == psbts.TITLE_PSBT]


def test_an_approved_psbt_comes_back_with_our_verified_signature_and_nothing_else_changed() -> None:
    with Bench() as bench:
        reply = approving(bench).armed().keeper.handle(PSBT)
        assert spent_sats(bench) == LEAVES
    signed, sent = Psbt.parse(reply), Psbt.parse(PSBT)
    own = ALICE.xpub.child(0).child_public_key(0)
    assert set(signed.verified_signatures()[0]) == {own}
    assert sent.with_signatures(0, signed.inputs[0].partial_signatures) == signed


def test_the_owner_sees_the_whole_transaction_what_the_rules_found_and_the_psbts_code() -> None:
    with Bench() as bench:
        approving(bench).armed().keeper.handle(PSBT)
        (question,) = asked(bench)
    text = "\n".join(question.lines)
    assert question.choices == ("approve", "decline")
    assert f"Code {psbts.short_code(PSBT)}" in question.lines
    assert len(psbts.short_code(PSBT)) == len("1a2b-3c4d")
    for part in (str(PAID_SATS), f"Fee: {FEE_SATS} sats", "hold uncleared-payee", DESCRIPTOR.address(1, 0)):
        assert part in text


def test_the_same_bytes_again_get_the_same_reply_are_asked_about_and_counted_once() -> None:
    with Bench() as bench:
        approving(bench).armed()
        first = bench.keeper.handle(PSBT)
        assert bench.keeper.handle(PSBT) == first
        assert len(asked(bench)) == 1
        assert spent_sats(bench) == LEAVES


def test_the_same_transaction_in_another_psbt_is_asked_about_again_and_counted_once() -> None:
    with Bench() as bench:
        approving(bench).armed()
        other = bench.keeper.handle(PSBT)
        assert bench.keeper.handle(other) == other
        first, again = asked(bench)
        assert "counted once" not in "\n".join(first.lines)
        assert "counted once" in "\n".join(again.lines)
        assert spent_sats(bench) == LEAVES


def test_a_declined_psbt_is_not_signed_and_not_asked_about_again() -> None:
    with Bench() as bench:
        approving(bench, psbts.DECLINE).armed()
        first = bench.keeper.handle(PSBT)
        assert coarse(first) == "owner"
        assert bench.keeper.handle(PSBT) == first
        assert len(asked(bench)) == 1
        assert spent_sats(bench) == 0
        assert bench.keeper.session.armed is not None
        assert bench.keeper.session.armed.refusals == 0


def test_a_psbt_that_nobody_answered_may_be_sent_again() -> None:
    with Bench() as bench:
        bench.armed()

        def away(question: Question) -> None:
            bench.clock.seconds += 601

        bench.owner.answers[psbts.PROMPT_PSBT] = away
        assert coarse(bench.keeper.handle(PSBT)) == "owner"
        assert approving(bench).keeper.handle(PSBT).startswith(MAGIC)


def test_attack_a_psbt_before_anything_is_armed_is_refused_and_nobody_is_asked() -> None:
    with Bench() as bench:
        assert coarse(bench.keeper.handle(PSBT)) == "state"
        assert coarse(bench.activated().keeper.handle(PSBT)) == "state"
        assert not asked(bench)


def test_attack_a_freeze_while_the_owner_looks_voids_the_question_and_nothing_is_signed() -> None:
    with Bench() as bench:
        bench.armed()

        def freeze(question: Question) -> str:
            order = stated(FreezeOrder(QUORUM.id, "stop", UTC), BOB.identity)
            bench.send(bench.sealed(FreezeRequest(order)))
            bench.host.receive(5)
            return psbts.APPROVE

        bench.owner.answers[psbts.PROMPT_PSBT] = freeze
        assert coarse(bench.keeper.handle(PSBT)) == "state"
        assert bench.keeper.session.state == "empty"


def test_attack_another_psbt_or_batch_beside_an_open_question_gets_busy() -> None:
    seen = []
    with Bench() as bench:
        bench.armed()

        def interrupt(question: Question) -> str:
            for data in (good_psbt(1).serialize(), bench.sealed(good_batch())):
                bench.send(data)
                answer = bench.host.receive(5)
                seen.append(coarse(answer.data))  # type: ignore[union-attr]
            return psbts.APPROVE

        bench.owner.answers[psbts.PROMPT_PSBT] = interrupt
        assert bench.keeper.handle(PSBT).startswith(MAGIC)
        assert seen == ["busy", "busy"]
        assert len(asked(bench)) == 1
        assert spent_sats(bench) == LEAVES


def test_attack_ten_psbts_that_cannot_be_proved_lock_the_appliance() -> None:
    forged = dataclasses.replace(good_psbt(), inputs=(dataclasses.replace(good_psbt().inputs[0], derivations=()),))
    with Bench() as bench:
        bench.armed()
        for _ in range(MOST_REFUSALS):
            assert bench.keeper.session.state == "armed"
            assert coarse(bench.keeper.handle(forged.serialize())) == "unproven"
        assert bench.keeper.session.state == "empty"
        assert not asked(bench)


def test_what_the_policy_refuses_is_refused_without_asking_counted_and_judged_anew_when_it_comes_again() -> None:
    policy = dataclasses.replace(POLICY, hold_above_sats=1_000_000, refuse_above_sats=1_000_000)
    with Bench() as bench:
        approving(bench).armed(policy=policy)
        assert coarse(bench.keeper.handle(PSBT)) == "policy"
        assert coarse(bench.keeper.handle(PSBT)) == "policy"
        assert bench.keeper.session.armed is not None
        assert bench.keeper.session.armed.refusals == 2
        assert not asked(bench)
        assert any("transaction-limit" in line for line in bench.last_notice("Refused").lines)


def test_attack_a_coin_that_a_batch_was_signed_for_is_not_signed_away_by_a_psbt() -> None:
    with Bench() as bench:
        approving(bench).armed()
        (verdict,) = bench.verdicts(good_batch())
        assert verdict.verdict == "signed"
        other = good_psbt(paid_sats=PAID_SATS - 1000).serialize()
        assert coarse(bench.keeper.handle(other)) == "policy"
        assert not asked(bench)


def test_the_transaction_of_a_batch_that_waits_is_decided_by_the_psbt_that_is_approved() -> None:
    policy = dataclasses.replace(POLICY, hold_above_sats=1_000_000)
    with Bench() as bench:
        approving(bench).armed(policy=policy)
        batch = dataclasses.replace(good_batch(), policy_hash=policy.hash)
        request = bench.sealed(batch)
        held = open_reply(bench.keeper.handle(request), None).body
        assert held.verdicts[0].verdict == "held"  # type: ignore[attr-defined]
        bench.keeper.handle(PSBT)
        now = open_reply(bench.keeper.handle(request), None).body
        assert now.verdicts[0].verdict == "signed"  # type: ignore[attr-defined]
        assert bench.keeper.session.armed is not None
        assert not bench.keeper.session.armed.held
        assert spent_sats(bench) == LEAVES


def test_attack_a_psbt_too_large_to_be_answered_is_refused_before_it_is_read() -> None:
    with Bench() as bench:
        assert coarse(bench.armed().keeper.handle(MAGIC + bytes(MOST_PSBT_BYTES))) == "unproven"


def test_change_that_a_psbt_went_to_lifts_the_bound_for_the_next_one() -> None:
    with Bench() as bench:
        approving(bench).armed()
        bench.keeper.handle(good_psbt(change_index=POLICY.change_gap).serialize())
        assert bench.keeper.handle(good_psbt(1, change_index=2 * POLICY.change_gap).serialize()).startswith(MAGIC)


def test_a_psbts_height_is_bounded_once_a_batch_has_told_the_height() -> None:
    late = dataclasses.replace(good_psbt(1).transaction, locktime=HEIGHT + 2)
    psbt = dataclasses.replace(good_psbt(1), transaction=late).serialize()
    with Bench() as bench:
        approving(bench).armed()
        bench.verdicts(good_batch())
        assert coarse(bench.keeper.handle(psbt)) == "unproven"
