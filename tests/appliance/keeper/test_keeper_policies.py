"""A policy's life on an appliance: who puts one in force, what has to wait, and that nothing older comes back."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from appliance.builders import (
    ALICE,
    BOB,
    CAROL,
    P2WPKH,
    POLICY,
    QUORUM,
    STRANGER,
    UTC,
    approvals,
    approved,
    good_batch,
    stated,
    successor,
)
from appliance.keeper.keeper_support import Bench
from undercroft_appliance.keeper import activation, ceremony, refusals
from undercroft_appliance.keeper.policies import Authority, PolicyMark, authorise
from undercroft_protocol.bitcoin.address import address_of
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import (
    LOOSENING_SECONDS,
    MOST_LOOSENING_SECONDS,
    MOST_VERSION_STEP,
    ApprovedPolicy,
    LockRequest,
    LogReply,
    LogRequest,
    LogSeal,
    Policy,
    PolicyApproval,
    PolicyOffer,
    QuorumOffer,
    StatementReply,
    Window,
    grouped_code,
    open_statement,
)

FIRST = approved(POLICY, ALICE, BOB)
TIGHT = successor(refuse_above_sats=POLICY.refuse_above_sats - 1)
LOOSE = successor(refuse_above_sats=POLICY.refuse_above_sats + 1)
LONG_AGO = UTC - MOST_LOOSENING_SECONDS


def why(newest: ApprovedPolicy, *lineage: ApprovedPolicy, utc: int = UTC, mark: PolicyMark | None = None) -> Authority:
    return authorise(QUORUM, newest, lineage, utc, mark)


def refused(newest: ApprovedPolicy, *lineage: ApprovedPolicy, utc: int = UTC, mark: PolicyMark | None = None) -> str:
    with pytest.raises(refusals.Refusal) as raised:
        why(newest, *lineage, utc=utc, mark=mark)
    return raised.value.code.name


# Who puts a policy in force.


def test_two_owners_put_the_first_policy_in_force_at_once() -> None:
    found = why(approved(POLICY, ALICE, CAROL, time=0))
    assert found == Authority(("alice", "carol"), 0, None)
    assert refused(approved(POLICY, ALICE)) == refusals.APPROVALS_INSUFFICIENT.name


def test_one_owner_tightens_at_once() -> None:
    found = why(approved(TIGHT, CAROL), FIRST)
    assert found == Authority(("carol",), None, POLICY)


def test_two_owners_loosen_and_it_waits_for_two_days() -> None:
    young = approved(LOOSE, ALICE, BOB, time=UTC - LOOSENING_SECONDS + 1)
    assert refused(young, FIRST) == refusals.POLICY_TOO_YOUNG.name
    assert why(young, FIRST, utc=UTC + 1).since == UTC - LOOSENING_SECONDS + 1
    assert refused(approved(LOOSE, ALICE, time=LONG_AGO), FIRST) == refusals.APPROVALS_INSUFFICIENT.name


@pytest.mark.parametrize("delay", [0, 3600, MOST_LOOSENING_SECONDS])
def test_the_delay_is_the_one_of_the_policy_before(delay: int) -> None:
    before = dataclasses.replace(POLICY, loosening_seconds=delay)
    looser = successor(before, most_inputs=POLICY.most_inputs + 1, loosening_seconds=0)
    first = approved(before, ALICE, BOB)
    waited = approved(looser, ALICE, BOB, time=UTC - delay)
    assert why(waited, first).before == before
    assert refused(waited, first, utc=UTC - 1) == refusals.POLICY_TOO_YOUNG.name


def test_a_tightening_of_a_tightening_by_single_owners_goes_back_to_one_that_two_approved() -> None:
    tighter = successor(TIGHT, most_inputs=1)
    assert why(approved(tighter, BOB), FIRST, approved(TIGHT, CAROL)).before == TIGHT


def test_a_whole_lineage_of_the_greatest_length_is_walked() -> None:
    chain = [POLICY]
    for _ in range(32):
        chain.append(successor(chain[-1], refuse_above_sats=chain[-1].refuse_above_sats - 1))
    lineage = [FIRST, *(approved(one, ALICE) for one in chain[1:-1])]
    assert why(approved(chain[-1], ALICE), *lineage).approvers == ("alice",)


def test_attack_a_loosening_passed_off_as_a_tightening() -> None:
    mixed = successor(refuse_above_sats=1, hold_above_sats=1, most_payees=POLICY.most_payees + 1)
    assert refused(approved(mixed, ALICE), FIRST) == refusals.APPROVALS_INSUFFICIENT.name
    assert refused(approved(mixed, ALICE, BOB), FIRST) == refusals.POLICY_TOO_YOUNG.name


def test_attack_the_policy_before_is_kept_back() -> None:
    assert refused(approved(TIGHT, ALICE)) == refusals.APPROVALS_INSUFFICIENT.name
    for policy in (TIGHT, LOOSE):
        assert refused(approved(policy, ALICE, BOB, time=LONG_AGO + 1)) == refusals.POLICY_TOO_YOUNG.name
        assert why(approved(policy, ALICE, BOB, time=LONG_AGO)).before is None


def test_attack_a_policy_with_a_long_delay_is_kept_back_so_that_a_short_one_counts() -> None:
    slow = dataclasses.replace(POLICY, loosening_seconds=MOST_LOOSENING_SECONDS)
    looser = approved(successor(slow, most_inputs=21), ALICE, BOB, time=UTC - LOOSENING_SECONDS)
    assert refused(looser, approved(slow, ALICE, BOB)) == refusals.POLICY_TOO_YOUNG.name
    assert refused(looser) == refusals.POLICY_TOO_YOUNG.name


def test_attack_one_owner_approves_twice() -> None:
    twice = ApprovedPolicy(LOOSE, approvals(LOOSE, ALICE, time=LONG_AGO) + approvals(LOOSE, ALICE, time=LONG_AGO + 1))
    assert refused(twice, FIRST) == refusals.APPROVALS_INSUFFICIENT.name


def test_attack_one_owners_clock_is_wrong_by_two_days() -> None:
    lying = approvals(LOOSE, ALICE, time=LONG_AGO)
    for others in (approvals(LOOSE, BOB), approvals(LOOSE, BOB, CAROL)):
        assert refused(ApprovedPolicy(LOOSE, lying + others), FIRST) == refusals.POLICY_TOO_YOUNG.name


def test_a_third_approval_does_not_begin_the_delay_anew() -> None:
    given = approvals(LOOSE, ALICE, BOB, time=UTC - LOOSENING_SECONDS) + approvals(LOOSE, CAROL)
    assert why(ApprovedPolicy(LOOSE, given), FIRST).approvers == ("alice", "bob", "carol")


def test_attack_approvals_of_a_later_version_without_a_time() -> None:
    for policy in (LOOSE, TIGHT):
        assert refused(approved(policy, ALICE, BOB, time=0), FIRST) == refusals.APPROVALS_INSUFFICIENT.name


def test_attack_an_approval_from_the_future() -> None:
    ahead = approved(LOOSE, ALICE, BOB, time=UTC + 10**6)
    assert refused(ahead, FIRST) == refusals.POLICY_TOO_YOUNG.name


@pytest.mark.parametrize(
    ("lineage", "code"),
    [
        ((approved(dataclasses.replace(POLICY, name="another"), ALICE, BOB),), refusals.POLICY_LINEAGE),
        ((FIRST, FIRST), refusals.POLICY_LINEAGE),
        ((approved(LOOSE, ALICE, BOB, time=LONG_AGO), FIRST), refusals.POLICY_LINEAGE),
        ((FIRST, approved(LOOSE, ALICE, BOB, time=LONG_AGO)), refusals.POLICY_LINEAGE),
        ((approved(POLICY, ALICE),), refusals.APPROVALS_INSUFFICIENT),
        ((approved(dataclasses.replace(POLICY, quorum_id=b"\x01" * 32), ALICE, BOB),), refusals.POLICY_OTHER_QUORUM),
        ((ApprovedPolicy(POLICY, (bytes(100),)),), refusals.APPROVALS_INSUFFICIENT),
        (
            (ApprovedPolicy(POLICY, (stated(PolicyApproval(QUORUM.id, POLICY.hash, 1, 0), STRANGER),)),),
            refusals.APPROVALS_INSUFFICIENT,
        ),
    ],
    ids=["other-policy", "twice", "backwards", "other-branch", "one-owner", "other-quorum", "garbage", "stranger"],
)
def test_attack_a_lineage_that_does_not_lead_here(
    lineage: tuple[ApprovedPolicy, ...], code: refusals.RefusalCode
) -> None:
    assert refused(approved(TIGHT, ALICE, BOB, time=LONG_AGO), *lineage) == code.name


def test_attack_a_lineage_that_skips_the_policy_that_is_loosened() -> None:
    back = successor(TIGHT, refuse_above_sats=POLICY.refuse_above_sats)
    assert refused(approved(back, ALICE), FIRST) == refusals.POLICY_LINEAGE.name
    assert refused(approved(back, ALICE), FIRST, approved(TIGHT, ALICE)) == refusals.APPROVALS_INSUFFICIENT.name


def test_attack_a_loosening_that_has_not_waited_hides_below_a_tightening() -> None:
    a_little_tighter = approved(successor(LOOSE, most_inputs=POLICY.most_inputs - 1), ALICE, BOB)
    assert refused(a_little_tighter, FIRST, approved(LOOSE, ALICE, BOB)) == refusals.POLICY_TOO_YOUNG.name
    assert refused(a_little_tighter, FIRST, approved(LOOSE, ALICE)) == refusals.APPROVALS_INSUFFICIENT.name


def test_attack_a_later_version_with_a_lower_number() -> None:
    third = dataclasses.replace(TIGHT, version=3)
    lower = dataclasses.replace(successor(third), version=2)
    lineage = FIRST, approved(third, ALICE)
    assert refused(approved(lower, ALICE, BOB), *lineage) == refusals.POLICY_LINEAGE.name


def test_attack_a_version_so_high_that_none_can_follow() -> None:
    last = dataclasses.replace(TIGHT, version=1 + MOST_VERSION_STEP)
    assert why(approved(last, ALICE), FIRST).before == POLICY
    beyond = dataclasses.replace(TIGHT, version=2 + MOST_VERSION_STEP)
    assert refused(approved(beyond, ALICE), FIRST) == refusals.POLICY_LINEAGE.name


# Nothing older comes back.

TIGHT_MARK = PolicyMark.of(TIGHT)


def test_attack_the_policy_before_the_tight_one_comes_back() -> None:
    assert refused(FIRST, mark=TIGHT_MARK) == refusals.POLICY_OLDER.name
    assert why(approved(TIGHT, ALICE), FIRST, mark=TIGHT_MARK).before == POLICY


def test_attack_the_same_version_with_other_rules() -> None:
    other = successor(refuse_above_sats=POLICY.refuse_above_sats - 2)
    assert refused(approved(other, ALICE, BOB), FIRST, mark=TIGHT_MARK) == refusals.POLICY_OLDER.name


def test_attack_one_owner_tightens_the_loose_policy_that_a_tight_one_had_superseded() -> None:
    around = dataclasses.replace(successor(most_inputs=POLICY.most_inputs - 1), version=3)
    assert why(approved(around, ALICE), FIRST).approvers == ("alice",)
    assert refused(approved(around, ALICE), FIRST, mark=TIGHT_MARK) == refusals.APPROVALS_INSUFFICIENT.name
    assert refused(approved(around, ALICE, BOB), FIRST, mark=TIGHT_MARK) == refusals.POLICY_TOO_YOUNG.name


def test_after_the_newest_known_policy_its_successors_may_come() -> None:
    third = approved(successor(TIGHT, most_inputs=1), BOB)
    found = why(third, FIRST, approved(TIGHT, ALICE), mark=PolicyMark.of(POLICY))
    assert found.before == POLICY, "compared with what was in force here, not with what nobody here has seen"


# At an activation.


def lineage_of(policy: Policy, *people: Any, time: int = UTC) -> dict[str, Any]:
    """What an activation with a second version brings."""
    return {"approvals": approvals(policy, *people, time=time), "lineage": (FIRST,)}


def test_an_activation_shows_who_approved_and_what_is_looser_and_since_when(bench: Bench) -> None:
    bench.activated(LOOSE, **lineage_of(LOOSE, ALICE, BOB, time=UTC - LOOSENING_SECONDS))
    shown = "\n".join(bench.owner.questions[0].lines)
    assert "Approved by alice, bob" in shown
    assert "By two owners since 2026-09-19 14:13:20 UTC" in shown
    assert "  LOOSER refuse_above_sats: 100000000 -> 100000001" in shown


def test_an_activation_with_a_tightening_by_one_owner(bench: Bench) -> None:
    bench.activated(TIGHT, **lineage_of(TIGHT, CAROL))
    assert "  stricter refuse_above_sats: 100000000 -> 99999999" in bench.owner.questions[0].lines


def test_attack_the_host_moves_its_clock_so_that_a_loosening_seems_to_have_waited(bench: Bench) -> None:
    request = bench.activation_request(LOOSE, **lineage_of(LOOSE, ALICE, BOB))
    assert bench.refusal(request).startswith(refusals.POLICY_TOO_YOUNG.name)
    assert bench.owner.questions == []
    ahead = dataclasses.replace(request, time=UTC + LOOSENING_SECONDS)
    bench.owner.answers[activation.PROMPT_TIME] = "wrong"
    assert bench.refusal(ahead).startswith(refusals.TIME_DENIED.name)
    assert bench.keeper.session.marks == {}


def test_attack_an_older_policy_after_a_lock(bench: Bench) -> None:
    bench.activated(TIGHT, **lineage_of(TIGHT, CAROL))
    bench.ask(LockRequest())
    assert bench.refusal(bench.activation_request()).startswith(refusals.POLICY_OLDER.name)
    bench.activated(TIGHT, **lineage_of(TIGHT, CAROL))


def test_attack_an_older_policy_after_a_power_cut(bench: Bench) -> None:
    bench.activated(TIGHT, **lineage_of(TIGHT, CAROL))
    reply = bench.ask(LogRequest(0)).body
    assert isinstance(reply, LogReply)
    sealed, _ = open_statement(LogSeal, reply.seal, (ALICE.entry.identity,))
    assert (sealed.policy_version, sealed.policy_hash) == (TIGHT.version, TIGHT.hash)
    with Bench() as restarted:
        request = restarted.activation_request(log_seal=reply.seal)
        assert restarted.refusal(request).startswith(refusals.POLICY_OLDER.name)
        restarted.activated(TIGHT, log_seal=reply.seal, **lineage_of(TIGHT, CAROL))


def test_attack_an_old_seal_does_not_make_the_memory_older(bench: Bench) -> None:
    old = stated(LogSeal(QUORUM.id, 7, b"\x07" * 32, policy_version=1, policy_hash=POLICY.hash), ALICE.identity)
    bench.activated(TIGHT, **lineage_of(TIGHT, CAROL))
    bench.ask(LockRequest())
    assert bench.refusal(bench.activation_request(log_seal=old)).startswith(refusals.POLICY_OLDER.name)


# Approving.


def offered(bench: Bench, policy: Policy) -> PolicyApproval:
    reply = bench.ask(PolicyOffer(policy))
    assert isinstance(reply.body, StatementReply), bench.told()
    approval, _ = open_statement(PolicyApproval, reply.body.statement, (ALICE.entry.identity,))
    in_force = bench.keeper.session.policy
    assert reply.header.policy_hash == (None if in_force is None else in_force.hash)
    return approval


def test_a_tightening_comes_into_force_at_once_and_the_next_batch_is_judged_by_it(bench: Bench) -> None:
    bench.armed()
    assert offered(bench, TIGHT) == PolicyApproval(QUORUM.id, TIGHT.hash, 2, UTC)
    assert bench.keeper.session.policy == TIGHT
    assert bench.refusal(good_batch()).startswith(refusals.OTHER_POLICY.name)
    assert [one.verdict for one in bench.verdicts(good_batch(policy_hash=TIGHT.hash))] == ["signed"]
    bench.command("status")
    code = grouped_code(TIGHT.hash)
    assert f"Policy daily payouts, version 2, code {code}" in bench.last_notice("Status").lines
    bench.ask(LockRequest())
    assert bench.refusal(bench.activation_request()).startswith(refusals.POLICY_OLDER.name)


def test_the_owner_sees_every_rule_and_what_changes_against_the_one_in_force(bench: Bench) -> None:
    bench.activated()
    windows = Window(60, 1, 2, None, 9), POLICY.windows[0]
    offered(bench, successor(most_inputs=19, most_payees=11, windows=windows, allowlist=(P2WPKH,)))
    shown = bench.owner.questions[-1].lines
    assert any(line.startswith("Against version 1, code ") for line in shown)
    assert "  stricter most_inputs: 20 -> 19" in shown
    assert "  LOOSER most_payees: 10 -> 11" in shown
    day = "150000000 / 200000000 sats, any / any transactions"
    assert f"  LOOSER window of 86400 s: {day} -> no rule" in shown
    assert "  stricter window of 60 s: no rule -> 1 / 2 sats, any / 9 transactions" in shown
    assert "  LOOSER allowlist: no rule -> 1 addresses" in shown
    assert f"    + {address_of(P2WPKH, Network.REGTEST)}" in shown


def test_attack_one_owner_loosens_an_armed_appliance(bench: Bench) -> None:
    bench.armed()
    offered(bench, LOOSE)
    assert bench.keeper.session.policy == POLICY
    assert [one.verdict for one in bench.verdicts(good_batch())] == ["signed"]


def test_a_tightening_of_the_life_shortens_the_one_that_runs(bench: Bench) -> None:
    bench.armed()
    bench.clock.seconds += 500
    offered(bench, successor(activation_seconds=600))
    assert bench.keeper.session.armed_seconds() == 100
    bench.clock.seconds += 100
    bench.keeper.tick()
    assert bench.keeper.session.state == "empty"


def test_a_tightening_of_the_life_does_not_lengthen_what_a_grant_gave(bench: Bench) -> None:
    bench.activated()
    bench.ask(bench.grant(life_seconds=50))
    offered(bench, successor(activation_seconds=600))
    assert bench.keeper.session.armed_seconds() == 50


def test_a_tightening_shortens_an_activation_that_is_not_armed_yet(bench: Bench) -> None:
    bench.activated()
    bench.clock.seconds += 500
    offered(bench, successor(activation_seconds=400))
    bench.keeper.tick()
    assert bench.keeper.session.state == "empty"


def test_the_policy_in_force_is_approved_once_more_after_a_lost_reply(bench: Bench) -> None:
    bench.armed()
    first = offered(bench, TIGHT)
    bench.clock.seconds += 60
    assert offered(bench, TIGHT) == dataclasses.replace(first, time=UTC + 60)


def test_a_key_that_is_unlocked_for_the_ceremony_approves_only_a_first_policy(bench: Bench) -> None:
    bench.ask(QuorumOffer(QUORUM, ALICE.envelope(None)))
    offered(bench, POLICY)
    assert bench.refusal(PolicyOffer(TIGHT)).startswith(refusals.POLICY_UNDATED.name)


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        (dataclasses.replace(POLICY, name="another first one"), refusals.POLICY_REPLACES),
        (successor(LOOSE), refusals.POLICY_REPLACES),
        (dataclasses.replace(TIGHT, version=2 + MOST_VERSION_STEP), refusals.POLICY_LINEAGE),
    ],
)
def test_attack_a_policy_that_does_not_follow_the_one_in_force(
    bench: Bench, policy: Policy, code: refusals.RefusalCode
) -> None:
    bench.armed()
    asked = len(bench.owner.questions)
    assert bench.refusal(PolicyOffer(policy)).startswith(code.name)
    assert len(bench.owner.questions) == asked


def test_attack_new_rules_under_an_old_number(bench: Bench) -> None:
    third = dataclasses.replace(TIGHT, version=3)
    bench.armed()
    offered(bench, third)
    again = dataclasses.replace(successor(third), version=3)
    assert bench.refusal(PolicyOffer(again)).startswith(refusals.POLICY_OLDER.name)


def test_an_owner_who_declines_a_tightening_goes_on_with_the_old_rules(bench: Bench) -> None:
    bench.armed()
    bench.owner.answers[ceremony.PROMPT_POLICY] = "decline"
    assert bench.refusal(PolicyOffer(TIGHT)).startswith(refusals.OWNER_DECLINED.name)
    assert bench.keeper.session.policy == POLICY
