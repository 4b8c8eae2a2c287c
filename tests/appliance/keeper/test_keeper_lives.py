"""What a keeper remembers from one life to the next: whose key it held, heights, totals, amounts."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from appliance.builders import ALICE, BOB, FEE_SATS, HEIGHT, PAID_SATS, POLICY, QUORUM, UTC, good_batch, stated
from appliance.keeper.keeper_support import Bench
from undercroft_appliance.keeper import refusals
from undercroft_appliance.keeper.clock import Clock
from undercroft_appliance.keeper.judge import REORGANISED_BLOCKS
from undercroft_appliance.keeper.ledger import Ledger
from undercroft_appliance.keeper.refusals import Refusal
from undercroft_appliance.keeper.session import Session
from undercroft_protocol.messages import (
    LockRequest,
    LogReply,
    LogRequest,
    LogSeal,
    Policy,
    PolicyOffer,
    QuorumOffer,
    open_statement,
)

LEAVES = PAID_SATS + FEE_SATS
UNPARSED = dataclasses.replace(POLICY, sweep_to="wsh(sortedmulti(2))#qqqqqqqq")


def sealed(**fields: Any) -> bytes:
    """Alice's own seal, made 100 s before she activates again."""
    return stated(LogSeal(QUORUM.id, 7, b"\x07" * 32, None, UTC - 100, (), **fields), ALICE.identity)


def armed(bench: Bench, policy: Policy, seal: bytes | None) -> Bench:
    bench.ask(bench.activation_request(policy, log_seal=seal))
    bench.ask(bench.grant((), policy_hash=policy.hash))
    assert bench.keeper.session.state == "armed", bench.told()
    return bench


def seal_of(bench: Bench) -> LogSeal:
    reply = bench.ask(LogRequest(0)).body
    assert isinstance(reply, LogReply)
    return open_statement(LogSeal, reply.seal, (ALICE.entry.identity,))[0]


def test_a_seal_tells_height_total_and_amounts(bench: Bench) -> None:
    armed(bench, POLICY, sealed(total_sats=1000, amounts=(5, 6), height=HEIGHT - 3))
    bench.verdicts(good_batch(2))
    seal = seal_of(bench)
    assert (seal.height, seal.total_sats) == (HEIGHT, 1000 + 2 * LEAVES)
    assert seal.amounts == (5, 6, PAID_SATS, PAID_SATS)


def test_attack_restart_to_begin_the_lifetime_total_anew(bench: Bench) -> None:
    policy = dataclasses.replace(POLICY, most_lifetime_sats=3 * LEAVES)
    armed(bench, policy, sealed(total_sats=LEAVES))
    batch = good_batch(3, policy_hash=policy.hash)
    assert [one.verdict for one in bench.verdicts(batch)] == ["signed", "signed", "refused"]
    assert refusals.LIFETIME_LIMIT.name in bench.told()


def test_attack_lock_to_begin_the_lifetime_total_anew(bench: Bench) -> None:
    policy = dataclasses.replace(POLICY, most_lifetime_sats=2 * LEAVES, most_activation_sats=LEAVES)
    armed(bench, policy, None)
    assert [one.verdict for one in bench.verdicts(good_batch(2, policy_hash=policy.hash))] == ["signed", "refused"]
    assert refusals.ACTIVATION_LIMIT.name in bench.told()
    bench.ask(LockRequest())
    armed(bench, policy, None)
    batch = good_batch(2, first=5, policy_hash=policy.hash, batch_id=b"\x0c" * 16)
    assert [one.verdict for one in bench.verdicts(batch)] == ["signed", "refused"]
    assert bench.keeper.session.ledger(QUORUM.id).total_sats == 2 * LEAVES  # type: ignore[union-attr]


def test_attack_first_activation_without_a_seal_to_begin_the_lifetime_total_anew() -> None:
    session = Session(Clock(lambda: 0.0), bytes)
    session.recall(QUORUM.id, Ledger.recalled(0.0, 0, (), 5))
    session.recall(QUORUM.id, Ledger.recalled(0.0, 0, (), 70))
    session.recall(QUORUM.id, Ledger.recalled(0.0, 0, (), 6))
    assert session.ledger(QUORUM.id).total_sats == 70  # type: ignore[union-attr]


def test_attack_restart_to_begin_with_an_older_chain(bench: Bench) -> None:
    armed(bench, POLICY, sealed(height=HEIGHT + REORGANISED_BLOCKS + 1))
    assert bench.refusal(good_batch()).startswith(refusals.HEIGHT_BACK.name)


def test_a_short_reorganisation_between_two_lives_is_let_pass(bench: Bench) -> None:
    armed(bench, POLICY, sealed(height=HEIGHT + REORGANISED_BLOCKS))
    assert [one.verdict for one in bench.verdicts(good_batch())] == ["signed"]


def test_attack_one_machine_holds_two_keys_of_a_quorum(bench: Bench) -> None:
    bench.activated()
    bench.ask(LockRequest())
    bench.person = BOB
    assert bench.refusal(bench.activation_request()).startswith(refusals.SECOND_KEY.name)
    offer = QuorumOffer(QUORUM, BOB.envelope(None))
    assert bench.refusal(offer, quorum_id=QUORUM.id).startswith(refusals.SECOND_KEY.name)


def test_the_same_owner_may_come_back(bench: Bench) -> None:
    bench.activated()
    bench.ask(LockRequest())
    bench.activated()


def test_attack_a_new_process_forgets_whose_key_it_held() -> None:
    before = Session(Clock(lambda: 0.0), bytes)
    before.seal(QUORUM)
    before.unlock(QUORUM, ALICE.entry, ALICE.entry.site, None)
    before.lock()
    after = Session(Clock(lambda: 0.0), bytes)
    after.restore(before.snapshot())
    after.check_holder(QUORUM.id, ALICE.entry)
    with pytest.raises(Refusal) as caught:
        after.check_holder(QUORUM.id, BOB.entry)
    assert caught.value.code is refusals.SECOND_KEY


def test_a_new_process_goes_on_with_ledger_and_history() -> None:
    before = Session(Clock(lambda: 0.0), bytes)
    before.recall(QUORUM.id, Ledger(5.0, (), 1.0, total_sats=77))
    before.history(QUORUM.id).knows_height(900)
    after = Session(Clock(lambda: 0.0), bytes)
    after.restore(before.snapshot())
    assert after.ledger(QUORUM.id) == before.ledger(QUORUM.id)
    assert after.history(QUORUM.id).snapshot() == before.history(QUORUM.id).snapshot()


def test_attack_owners_approve_a_policy_that_sweeps_to_nowhere(bench: Bench) -> None:
    bench.activated()
    assert bench.refusal(PolicyOffer(UNPARSED)).startswith(refusals.POLICY_UNUSABLE.name)
    bench.ask(LockRequest())
    assert bench.refusal(bench.activation_request(UNPARSED)).startswith(refusals.POLICY_UNUSABLE.name)
