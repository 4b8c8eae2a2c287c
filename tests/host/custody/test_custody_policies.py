"""A policy is proposed once per version; enough owners put it in force, at once or, where it loosens, after a delay."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from exchange import NOW, Ticking
from message_examples import POLICY_TEXT
from owner_statements import approved, founded, governed
from scripted_appliance import STRANGER, altered, stated
from undercroft_host.custody.policies import (
    active_policy,
    approvals_of,
    lineage,
    policy_of_appliance,
    policy_to_approve,
    propose,
    proposed_policy,
    store_approval,
)
from undercroft_host.custody.policy_chain import PolicyChain
from undercroft_host.errors import ApplianceState, Conflict, IntegrityAlarm, NotFound, PolicyInvalid
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import PolicyRecord
from undercroft_protocol.messages import (
    LOOSENING_SECONDS,
    MOST_LOOSENING_SECONDS,
    Policy,
    PolicyApproval,
    Quorum,
)

DAY = 86_400


def text(version: int, *changes: tuple[str, str]) -> str:
    """The example's text under a version, with some words changed."""
    found = POLICY_TEXT.format(version=version)
    for old, new in changes:
        assert old in found
        found = found.replace(old, new, 1)
    return found


TIGHTER = ("refuse_above_sats = 500_000_000", "refuse_above_sats = 400_000_000")
LOOSER = ("refuse_above_sats = 500_000_000", "refuse_above_sats = 600_000_000")


def state_of(session: Session, policy: Policy, quorum: Quorum, now: int) -> str:
    chain = PolicyChain.load(session, quorum, now)
    one = chain.find(policy.hash)
    assert one is not None
    return chain.state(one)


def approve(session: Session, policy: Policy, quorum: Quorum, clock: Ticking, *names: str) -> list[str]:
    """The policy's state after each owner's approval."""
    states = []
    for name in names:
        store_approval(session, approved(name, policy), policy, quorum, clock)
        states.append(state_of(session, policy, quorum, clock()))
    return states


def test_two_owners_put_the_first_policy_in_force(store: Store, clock: Ticking) -> None:
    quorum = founded(store, clock)
    with store.begin("test") as session:
        policy = propose(session, text(1), quorum, clock)
        assert proposed_policy(session, quorum, clock()) == policy
        with pytest.raises(NotFound):
            active_policy(session, quorum, clock())
        assert approve(session, policy, quorum, clock, "alice", "carol") == ["proposed", "active"]
        assert active_policy(session, quorum, clock()) == policy


def test_one_owner_puts_a_tightening_in_force_at_once(store: Store, clock: Ticking) -> None:
    quorum, first = governed(store, clock)
    with store.begin("test") as session:
        second = propose(session, text(2, TIGHTER), quorum, clock)
        assert second.replaces == first.hash
        now = clock()
        assert (active_policy(session, quorum, now), proposed_policy(session, quorum, now)) == (first, second)
        assert approve(session, second, quorum, clock, "carol") == ["active"]
        assert state_of(session, first, quorum, clock()) == "retired"


def test_a_loosening_takes_two_owners_and_then_two_days(store: Store, clock: Ticking) -> None:
    quorum, first = governed(store, clock)
    with store.begin("test") as session:
        second = propose(session, text(2, LOOSER), quorum, clock)
        assert approve(session, second, quorum, clock, "bob", "carol") == ["proposed", "approved"]
        assert proposed_policy(session, quorum, clock()) == second
        usable = NOW + LOOSENING_SECONDS
        assert session.get_one(PolicyRecord, second.hash).usable == usable
        assert active_policy(session, quorum, usable - 1) == first
        assert active_policy(session, quorum, usable) == second
        assert state_of(session, first, quorum, usable) == "retired"


def test_the_delay_is_counted_from_the_second_approval_on_the_owners_clock(store: Store, clock: Ticking) -> None:
    quorum, _ = governed(store, clock)
    with store.begin("test") as session:
        second = propose(
            session, text(2, LOOSER, ("idle_seconds", "loosening_seconds = 0\nidle_seconds")), quorum, clock
        )
        for name, time in (("alice", NOW - 9), ("bob", NOW - 5), ("carol", NOW - 7)):
            raw = approved(name, second, time=time)
            usable = store_approval(session, raw, second, quorum, clock).usable
        assert usable == NOW - 5 + LOOSENING_SECONDS, "a third approval does not change what two have decided"


def test_a_tightening_in_an_emergency_ends_a_loosening_that_waits(store: Store, clock: Ticking) -> None:
    quorum, _ = governed(store, clock)
    with store.begin("test") as session:
        looser = propose(session, text(2, LOOSER), quorum, clock)
        approve(session, looser, quorum, clock, "alice", "bob")
        tighter = propose(session, text(3, TIGHTER), quorum, clock)
        assert approve(session, tighter, quorum, clock, "carol") == ["active"]
        later = clock() + 3 * DAY
        assert active_policy(session, quorum, later) == tighter
        assert state_of(session, looser, quorum, later) == "retired"
        with pytest.raises(Conflict, match="not up for approval"):
            store_approval(session, approved("carol", looser), looser, quorum, clock)


def test_what_is_no_more_in_force_can_still_be_approved_by_an_owner_who_lags_behind(
    store: Store, clock: Ticking
) -> None:
    quorum, first = governed(store, clock)
    with store.begin("test") as session:
        second = propose(session, text(2, TIGHTER), quorum, clock)
        approve(session, second, quorum, clock, "alice")
        third = propose(session, text(3, TIGHTER, ("most_inputs = 200", "most_inputs = 199")), quorum, clock)
        approve(session, third, quorum, clock, "alice")
        now = clock()
        assert policy_to_approve(session, quorum, first.hash, now) == second
        assert approve(session, second, quorum, clock, "bob") == ["retired"]
        assert policy_to_approve(session, quorum, second.hash, now) == third
        assert policy_to_approve(session, quorum, third.hash, now) == third
        fourth = propose(session, text(4, TIGHTER), quorum, clock)
        assert policy_to_approve(session, quorum, third.hash, now) == fourth
        assert policy_to_approve(session, quorum, fourth.hash, now) == fourth, "its approval was lost on the way"
        with pytest.raises(ApplianceState, match="version 4 is approved where a policy is in force") as raised:
            policy_to_approve(session, quorum, None, now)
        assert "activation open" in raised.value.hint


def test_an_appliance_that_lags_behind_a_loosening_is_to_be_activated_anew(store: Store, clock: Ticking) -> None:
    quorum, first = governed(store, clock)
    with store.begin("test") as session:
        second = propose(session, text(2, LOOSER), quorum, clock)
        approve(session, second, quorum, clock, "alice", "bob")
        now = clock() + 3 * DAY
        with pytest.raises(ApplianceState, match="version 2 loosens it"):
            policy_to_approve(session, quorum, first.hash, now)
        with pytest.raises(ApplianceState, match="unknown here"):
            policy_to_approve(session, quorum, bytes(32), now)


def test_the_policy_of_an_appliance_is_one_that_owners_approved_here(store: Store, clock: Ticking) -> None:
    quorum, first = governed(store, clock)
    with store.begin("test") as session:
        second = propose(session, text(2, TIGHTER), quorum, clock)
        now = clock()
        assert policy_of_appliance(session, quorum, first.hash, now) == first
        with pytest.raises(ApplianceState, match="not approved here") as raised:
            policy_of_appliance(session, quorum, second.hash, now)
        assert "policy approve" in raised.value.hint
        for unknown in (None, bytes(32)):
            with pytest.raises(ApplianceState, match="unknown here"):
                policy_of_appliance(session, quorum, unknown, now)
        approve(session, second, quorum, clock, "alice")
        assert policy_of_appliance(session, quorum, first.hash, now) == first
        assert policy_of_appliance(session, quorum, second.hash, now) == second


def test_a_lineage_leads_to_the_policy_in_force_and_fits_into_an_activation(store: Store, clock: Ticking) -> None:
    quorum, policy = governed(store, clock)
    chain = [policy]
    with store.begin("test") as session:
        for version in range(2, 36):
            # Version 20 was approved by two owners, and after the longest delay it needs no policy before it.
            clock.now += MOST_LOOSENING_SECONDS if version == 34 else 0
            sats = 500_000_000 - version
            newer = propose(session, text(version, (TIGHTER[0], f"refuse_above_sats = {sats}")), quorum, clock)
            approve(session, newer, quorum, clock, *(("alice", "bob") if version == 20 else ("carol",)))
            chain.append(newer)

        assert active_policy(session, quorum, clock()) == chain[-1]
        led = lineage(session, PolicyChain.load(session, quorum, clock()), quorum, clock())
        assert [one.policy for one in led] == chain[19:-1]


def test_attack_one_owner_tightens_until_no_activation_can_bring_what_led_there(store: Store, clock: Ticking) -> None:
    quorum, _ = governed(store, clock)

    def tightened(session: Session, version: int) -> Policy:
        fee = ("most_fee_sats = 1_000_000", f"most_fee_sats = {1_000_000 - version}")
        policy = propose(session, text(version, fee), quorum, clock)
        approve(session, policy, quorum, clock, "alice")
        return policy

    with store.begin("test") as session:
        last = [tightened(session, version) for version in range(2, 34)][-1]
        assert lineage(session, PolicyChain.load(session, quorum, clock()), quorum, clock())[0].policy.version == 1
        with pytest.raises(Conflict, match="no second owner has approved") as raised:
            tightened(session, 34)
        assert "policy approve" in raised.value.hint
        approve(session, last, quorum, clock, "bob")
        clock.now += MOST_LOOSENING_SECONDS
        assert tightened(session, 34) == active_policy(session, quorum, clock())
        led = lineage(session, PolicyChain.load(session, quorum, clock()), quorum, clock())
        assert [one.policy for one in led] == [last]


def test_a_first_policy_that_was_not_approved_may_be_corrected(store: Store, clock: Ticking) -> None:
    quorum = founded(store, clock)
    with store.begin("test") as session:
        propose(session, text(1), quorum, clock)
        corrected = propose(session, text(1, TIGHTER), quorum, clock)
        assert proposed_policy(session, quorum, clock()) == corrected
        assert approve(session, corrected, quorum, clock, "alice", "bob") == ["proposed", "active"]


def test_the_same_file_again_is_the_same_policy(store: Store, clock: Ticking) -> None:
    quorum, policy = governed(store, clock)
    with store.begin("test") as session:
        assert propose(session, text(1), quorum, clock) == policy
        second = propose(session, text(2, TIGHTER), quorum, clock)
        approve(session, second, quorum, clock, "alice")
        assert propose(session, text(2, TIGHTER), quorum, clock) == second
        assert len(PolicyChain.load(session, quorum, clock()).known) == 2


def test_a_file_may_name_what_it_replaces_and_nothing_else_than_what_is_in_force(store: Store, clock: Ticking) -> None:
    quorum, first = governed(store, clock)
    with store.begin("test") as session:
        for wrong in (bytes(32), b"\x01" * 32):
            named = ("name =", f'replaces = "{wrong.hex()}"\nname =')
            with pytest.raises(Conflict, match="another one than that in force"):
                propose(session, text(2, named), quorum, clock)
        named = ("name =", f'replaces = "{first.hash.hex()}"\nname =')
        assert propose(session, text(2, named), quorum, clock).replaces == first.hash


def test_the_first_policy_is_version_1(store: Store, clock: Ticking) -> None:
    quorum = founded(store, clock)
    with store.begin("test") as session, pytest.raises(PolicyInvalid, match="version 1 replaces nothing"):
        propose(session, text(2), quorum, clock)


def test_a_version_must_rise(store: Store, clock: Ticking) -> None:
    quorum, _ = governed(store, clock)
    changed = POLICY_TEXT.format(version=1).replace("daily payouts", "nightly payouts")
    with store.begin("test") as session:
        with pytest.raises(Conflict, match="must be above 1"):
            propose(session, changed, quorum, clock)
        with pytest.raises(Conflict, match="1001 is the highest now"):
            propose(session, text(1002), quorum, clock)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("most_fee_sats", "most_fee_sat", "most_fee_sat is not a rule"),
        ("idle_seconds = 3600", "", "idle_seconds is missing"),
        ("50_000_000", '"50"', "hold_above_sats"),
        ("50_000_000", "0.5", "float where int belongs"),
        ("version = 1", "version = ", "policy file"),
        ("hold_above_sats = 50_000_000", "hold_above_sats = 600_000_000", "larger than refuse_above_sats"),
    ],
)
def test_a_file_that_is_no_policy_is_refused_with_its_reason(
    store: Store, clock: Ticking, old: str, new: str, says: str
) -> None:
    quorum = founded(store, clock)
    text = POLICY_TEXT.format(version=1)
    with store.begin("test") as session, pytest.raises(PolicyInvalid, match=says) as raised:
        propose(session, text.replace(old, new, 1), quorum, clock)
    assert raised.value.exit_code == 2


def test_attack_one_owner_twice_is_one_approval(store: Store, clock: Ticking) -> None:
    quorum = founded(store, clock)
    with store.begin("test") as session:
        policy = propose(session, POLICY_TEXT.format(version=1), quorum, clock)
        assert approve(session, policy, quorum, clock, "alice", "alice") == ["proposed", "proposed"]
        assert len(approvals_of(session, policy)) == 1


@pytest.mark.parametrize(
    "changes",
    [{"policy_hash": bytes(32)}, {"quorum_id": bytes(32)}, {"version": 2}],
    ids=lambda changes: next(iter(changes)),
)
def test_attack_an_approval_of_another_policy_does_not_count(
    store: Store, clock: Ticking, changes: dict[str, Any]
) -> None:
    quorum = founded(store, clock)
    with store.begin("test") as session:
        policy = propose(session, POLICY_TEXT.format(version=1), quorum, clock)
        with pytest.raises(IntegrityAlarm, match="by alice: of another policy"):
            store_approval(session, approved("alice", policy, **changes), policy, quorum, clock)
        assert approvals_of(session, policy) == []


def test_attack_an_approval_of_a_later_version_without_a_time_does_not_count(store: Store, clock: Ticking) -> None:
    quorum, _ = governed(store, clock)
    with store.begin("test") as session:
        second = propose(session, text(2, LOOSER), quorum, clock)
        with pytest.raises(IntegrityAlarm, match="by bob: without a time"):
            store_approval(session, approved("bob", second, time=0), second, quorum, clock)


def test_attack_an_approval_by_a_stranger_does_not_count(store: Store, clock: Ticking) -> None:
    quorum = founded(store, clock)
    with store.begin("test") as session:
        policy = propose(session, POLICY_TEXT.format(version=1), quorum, clock)
        forged = stated(PolicyApproval(quorum.id, policy.hash, policy.version, 0), STRANGER)
        with pytest.raises(IntegrityAlarm, match="may not sign"):
            store_approval(session, forged, policy, quorum, clock)


def test_attack_rules_swapped_in_the_database_are_noticed(store: Store, clock: Ticking) -> None:
    quorum, policy = governed(store, clock)
    with store.begin("test") as session:
        looser = altered(policy, refuse_above_sats=policy.refuse_above_sats * 2)
        session.get_one(PolicyRecord, policy.hash).cbor = looser.to_bytes()
    with store.read() as session, pytest.raises(IntegrityAlarm, match="not what its name says"):
        active_policy(session, quorum, clock())
